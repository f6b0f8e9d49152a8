//! A client certificate: what a peer knows this side by in the TLS handshake.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::domain::secret::Secret;

/// A chain and the key of its leaf. `Debug` shows neither. Clones share the key.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: Arc<[CertificateDer<'static>]>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// The text is no chain, or no key. Neither is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    #[error("it holds no certificate in PEM")]
    Chain,
    #[error("it holds no private key in PEM")]
    Key,
}

impl ClientCertificate {
    /// Reads a chain, leaf first, and its key, both in PEM. Whether they belong together is found out by
    /// the first handshake's set-up.
    pub fn from_pem(chain: &str, key: &Secret) -> Result<Self, BadCertificate> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Arc<[_]>, _>>()
            .map_err(|_| BadCertificate::Chain)?;
        if chain.is_empty() {
            return Err(BadCertificate::Chain);
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| BadCertificate::Key)?;
        Ok(Self {
            chain,
            key: Arc::new(key),
        })
    }

    /// As `rustls` takes them.
    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.to_vec(), self.key.clone_key())
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_no_key_is_refused_and_not_repeated() {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let read = |chain: &str, key: &str| {
            ClientCertificate::from_pem(chain, &Secret::from(key.to_owned()))
        };
        let good = read(&chain, &key).unwrap();
        assert_eq!(format!("{good:?}"), "ClientCertificate(hidden)");
        for (chain, key, why) in [
            ("", key.as_str(), BadCertificate::Chain),
            ("canary", &key, BadCertificate::Chain),
            (&key, &key, BadCertificate::Chain),
            (&chain, "", BadCertificate::Key),
            (&chain, &chain, BadCertificate::Key),
        ] {
            let error = read(chain, key).unwrap_err();
            assert_eq!(error, why);
            assert!(!error.to_string().contains("canary"));
        }
    }
}
