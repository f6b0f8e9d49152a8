//! Secrets at rest: each version under a data key of its own, bound to its place. A ciphertext that
//! was moved to another realm, path or version does not open.

use writ_keys::{CustodyError, Entropy, Keyring, Sealed};

use crate::domain::grant::SecretPath;
use crate::domain::ids::Realm;
use crate::domain::key::Digest;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ledger::change::SealedVersion;

/// Where a version belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub realm: Realm,
    pub path: &'a SecretPath,
    pub version: u32,
}

/// Seals a value for its place.
pub fn seal(
    keys: &Keyring,
    place: Place<'_>,
    value: &Secret,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<SealedVersion, CustodyError> {
    let Sealed {
        key_id,
        wrapped,
        sealed,
    } = keys.seal(&place.bytes(), value.expose(), entropy)?;
    Ok(SealedVersion {
        path: place.path.clone(),
        version: place.version,
        at: now,
        key_id: key_id.to_string(),
        digest: Digest::of(&[&wrapped, &sealed]),
        wrapped,
        sealed,
    })
}

/// Why a version does not open.
#[derive(Debug, thiserror::Error)]
pub enum BadSealed {
    #[error("its key id is not one")]
    KeyId(#[from] writ_keys::InvalidKeyId),
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// Opens a version in its place.
pub fn open(keys: &Keyring, realm: Realm, version: &SealedVersion) -> Result<Secret, BadSealed> {
    let place = Place {
        realm,
        path: &version.path,
        version: version.version,
    };
    let sealed = Sealed {
        key_id: version.key_id.clone().try_into()?,
        wrapped: version.wrapped.clone(),
        sealed: version.sealed.clone(),
    };
    Ok(Secret::from(keys.open_sealed(&place.bytes(), &sealed)?))
}

impl Place<'_> {
    /// The place as associated data: one place has one encoding, since a path holds no `|`.
    fn bytes(self) -> Vec<u8> {
        format!(
            "secret|{}|{}|{}",
            self.realm.number(),
            self.path,
            self.version
        )
        .into_bytes()
    }
}
