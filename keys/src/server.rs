//! The key of the broker's own TLS server: made for one certificate, held in memory, never stored and never
//! given away. Who serves TLS has it sign.

use rcgen::{PublicKeyData as _, SigningKey as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

use crate::certificate::CaKey;
use crate::entropy::ring_random;

/// ring could not make the key or sign with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's key could not be made or used")]
pub struct ServerKeyError;

/// A P-256 key.
pub struct ServerKey {
    pair: CaKey,
    info: Vec<u8>,
}

impl ServerKey {
    /// A new key, by the system's randomness.
    pub fn generate() -> Result<Self, ServerKeyError> {
        let (random, algorithm) = (ring_random(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random);
        let document = document.map_err(|_| ServerKeyError)?;
        let private = Zeroizing::new(document.as_ref().to_vec());
        let pair = CaKey::parse(&private).ok_or(ServerKeyError)?;
        let info = pair.subject_public_key_info();
        Ok(Self { pair, info })
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn info(&self) -> &[u8] {
        &self.info
    }

    /// ECDSA over SHA-256 of the message, in DER, as TLS wants it (RFC 8446 §4.2.3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ServerKeyError> {
        self.pair.sign(message).map_err(|_| ServerKeyError)
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    #[test]
    fn each_key_is_another_and_what_it_signs_verifies_by_its_public_half() {
        let (one, other) = (
            ServerKey::generate().unwrap(),
            ServerKey::generate().unwrap(),
        );
        assert_ne!(one.info(), other.info());
        let signed = one.sign(b"hello").unwrap();
        let public = |key: &ServerKey| {
            let bare = key.pair.der_bytes().to_vec();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bare)
        };
        public(&one).verify(b"hello", &signed).unwrap();
        public(&other).verify(b"hello", &signed).unwrap_err();
        assert_eq!(format!("{one:?}"), "ServerKey(hidden)");
    }
}
