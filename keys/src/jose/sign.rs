//! Signing: ES256 by handle or PKCS#8, RS256 and `EdDSA` from DER. Everything else is refused.

use std::sync::Arc;

use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use signature::Signer;

use super::registry;
use crate::entropy::ring_random;

/// The provider's signer factory.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the provider's function type is given"
)]
pub(super) fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.as_bytes();
    let key = match algorithm {
        Algorithm::ES256 => SigningKey::P256(p256(bytes)?),
        Algorithm::RS256 => SigningKey::Rsa(Box::new(rsa(bytes)?)),
        Algorithm::EdDSA => SigningKey::Ed25519(Box::new(ed25519(bytes)?)),
        Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512
        | Algorithm::ES384
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Box::new(RingSigner {
        algorithm: *algorithm,
        key,
    }))
}

/// A PKCS#8 (RFC 5958) or PKCS#1 (RFC 8017 A.1.2) private key of 2048 to 4096 bits.
pub(super) fn rsa(der: &[u8]) -> Result<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(der)
        .or_else(|_| RsaKeyPair::from_der(der))
        .map_err(|why| ErrorKind::InvalidRsaKey(why.to_string()).into())
}

/// A PKCS#8 private key of version 1 or 2 (RFC 8410 §7): OpenSSL writes the first, without public half.
pub(super) fn ed25519(der: &[u8]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

fn p256(bytes: &[u8]) -> Result<Arc<EcdsaKeyPair>> {
    if let Some(handle) = registry::handle_in(bytes) {
        return registry::find(&handle).ok_or_else(|| ErrorKind::InvalidEcdsaKey.into());
    }
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &ring_random())
        .map(Arc::new)
        .map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

enum SigningKey {
    P256(Arc<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

struct RingSigner {
    algorithm: Algorithm,
    key: SigningKey,
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let failed = |_| signature::Error::new();
        match &self.key {
            SigningKey::P256(pair) => {
                let made = pair.sign(&ring_random(), message).map_err(failed)?;
                Ok(made.as_ref().to_vec())
            }
            SigningKey::Rsa(pair) => {
                let mut made = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &ring_random(), message, &mut made)
                    .map_err(failed)?;
                Ok(made)
            }
            SigningKey::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::crypto;

    use super::super::vectors;
    use super::*;

    fn refusal(key: &EncodingKey, algorithm: Algorithm) -> ErrorKind {
        super::super::install();
        crypto::sign(b"message", key, algorithm)
            .unwrap_err()
            .into_kind()
    }

    fn sign(vector: &vectors::Signed, key: &EncodingKey) -> String {
        super::super::install();
        crypto::sign(vector.message.as_bytes(), key, vector.algorithm).unwrap()
    }

    #[test]
    fn rs256_makes_the_published_signature() {
        let der = URL_SAFE_NO_PAD
            .decode(vectors::RSA_PRIVATE.concat())
            .unwrap();
        let made = sign(&vectors::RS256, &EncodingKey::from_rsa_der(&der));
        assert_eq!(made, vectors::RS256.signature);
    }

    #[test]
    fn eddsa_makes_the_published_signature() {
        let made = sign(
            &vectors::EDDSA,
            &EncodingKey::from_ed_der(&vectors::ed25519_pkcs8()),
        );
        assert_eq!(made, vectors::EDDSA.signature);
    }

    #[test]
    fn es256_signs_from_pkcs8() {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ring_random()).unwrap();
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let made = sign(&vectors::ES256, &key);
        assert_eq!(URL_SAFE_NO_PAD.decode(made).unwrap().len(), 64);
    }

    #[test]
    fn a_key_signs_only_with_an_algorithm_of_its_family() {
        let der = EncodingKey::from_ed_der(&vectors::ed25519_pkcs8());
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::HS256] {
            assert!(matches!(
                refusal(&der, algorithm),
                ErrorKind::InvalidAlgorithm
            ));
        }
    }

    #[test]
    fn algorithms_that_nothing_signs_with_are_refused() {
        let secret = EncodingKey::from_secret(&[7; 64]);
        assert!(matches!(
            refusal(&secret, Algorithm::HS256),
            ErrorKind::UnsupportedAlgorithm
        ));
        let rsa = EncodingKey::from_rsa_der(b"anything");
        assert!(matches!(
            refusal(&rsa, Algorithm::PS256),
            ErrorKind::UnsupportedAlgorithm
        ));
    }

    #[test]
    fn bytes_that_are_no_key_and_handles_of_nothing_are_refused() {
        let unknown = EncodingKey::from_ec_der(b"writ-handle:0123456789abcdef");
        assert!(matches!(
            refusal(&unknown, Algorithm::ES256),
            ErrorKind::InvalidEcdsaKey
        ));
        let cut = EncodingKey::from_ec_der(b"writ-handle:");
        assert!(matches!(
            refusal(&cut, Algorithm::ES256),
            ErrorKind::InvalidEcdsaKey
        ));
        let rsa = EncodingKey::from_rsa_der(b"writ-handle:0123456789abcdef");
        assert!(matches!(
            refusal(&rsa, Algorithm::RS256),
            ErrorKind::InvalidRsaKey(_)
        ));
        let ed = EncodingKey::from_ed_der(b"");
        assert!(matches!(
            refusal(&ed, Algorithm::EdDSA),
            ErrorKind::InvalidEddsaKey
        ));
    }
}
