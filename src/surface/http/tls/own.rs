//! The certificate that the broker issued to itself, for a handshake: its key stays where keys are, and signs.

use std::sync::Arc;

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::SubjectPublicKeyInfoDer;

use crate::broker::own_certificate::OwnCertificate;

/// The certificate as a handshake wants it.
pub fn certified(own: Arc<OwnCertificate>) -> CertifiedKey {
    CertifiedKey::new(own.chain.clone(), Arc::new(Held(own)))
}

#[derive(Debug, Clone)]
struct Held(Arc<OwnCertificate>);

impl SigningKey for Held {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SCHEME)
            .then(|| Box::new(self.clone()) as _)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.key.info()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Held {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = self.0.key.sign(message);
        signed.map_err(|why| Error::General(why.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

/// What a P-256 key signs in TLS 1.3, and what is as good in 1.2.
const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
