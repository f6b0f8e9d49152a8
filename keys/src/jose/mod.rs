//! ring under `jsonwebtoken`, which brings no cryptography of its own here.
//!
//! `jsonwebtoken` asks one process-wide provider for a signer or a verifier at each call. This one gives
//! only what Writ accepts: an algorithm outside the key's family, a short RSA modulus or a short shared
//! secret is refused before anything is compared.

mod components;
pub(crate) mod registry;
mod sign;
mod thumbprint;
mod verify;

#[cfg(test)]
mod vectors;

use std::sync::OnceLock;

use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};

use crate::error::CustodyError;
pub use thumbprint::jwk_thumbprint_p256;

/// Makes ring the provider of token cryptography for this process. May be called any number of times;
/// must come before any other use of `jsonwebtoken`, else [`crate::Keyring::open`] refuses.
pub fn install() {
    installed();
}

/// Refuses when another provider holds the process-wide place.
pub(crate) fn ensure_installed() -> Result<(), CustodyError> {
    if installed() {
        Ok(())
    } else {
        Err(CustodyError::ForeignProvider)
    }
}

/// Whether ours is the provider, after trying to make it so.
fn installed() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| PROVIDER.install_default().is_ok())
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: sign::signer,
    verifier_factory: verify::verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: components::rsa_from_private,
        rsa_pub_components_from_public_key: components::rsa_from_public,
        ec_pub_components_from_private_key: components::ec_from_private,
        ed_pub_components_from_private_key: components::ed_from_private,
        compute_digest: components::digest,
    },
};
