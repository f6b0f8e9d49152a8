//! Verifying: HS*, ES256, ES384, `EdDSA`, RS* and PS*, each only with a key of its family.
//!
//! RSA moduli must have 2048 to 8192 bits (RFC 7518 §3.3 sets the lower bound; the upper one bounds the
//! work that a foreign key set can cause), shared secrets the length of the hash (RFC 7518 §3.2).

use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::hmac;
use ring::signature::{self as scheme, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use signature::Verifier;

/// The provider's verifier factory.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the provider's function type is given"
)]
pub(super) fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let key = match (scheme_of(*algorithm)?, key.kind()) {
        (Scheme::Hmac(hash), DecodingKeyKind::SecretOrDer(secret)) => {
            if secret.len() < hash.digest_algorithm().output_len() {
                return Err(ErrorKind::InvalidKeyFormat.into());
            }
            VerifyingKey::Hmac(hmac::Key::new(hash, secret))
        }
        (Scheme::Curve(check), DecodingKeyKind::SecretOrDer(public)) => {
            VerifyingKey::Public(UnparsedPublicKey::new(check, public.clone()))
        }
        (Scheme::Rsa(check), DecodingKeyKind::SecretOrDer(public)) => {
            VerifyingKey::Public(UnparsedPublicKey::new(check, public.clone()))
        }
        (Scheme::Rsa(check), DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let components = RsaPublicKeyComponents {
                n: n.clone(),
                e: e.clone(),
            };
            VerifyingKey::RsaComponents(check, components)
        }
        (Scheme::Hmac(_) | Scheme::Curve(_), DecodingKeyKind::RsaModulusExponent { .. }) => {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
    };
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        key,
    }))
}

enum Scheme {
    Hmac(hmac::Algorithm),
    Curve(&'static dyn scheme::VerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

fn scheme_of(algorithm: Algorithm) -> Result<Scheme> {
    Ok(match algorithm {
        Algorithm::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
        Algorithm::ES256 => Scheme::Curve(&scheme::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Scheme::Curve(&scheme::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Scheme::Curve(&scheme::ED25519),
        Algorithm::RS256 => Scheme::Rsa(&scheme::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Scheme::Rsa(&scheme::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Scheme::Rsa(&scheme::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Scheme::Rsa(&scheme::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Scheme::Rsa(&scheme::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Scheme::Rsa(&scheme::RSA_PSS_2048_8192_SHA512),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

enum VerifyingKey {
    Hmac(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
    RsaComponents(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
}

struct RingVerifier {
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        match &self.key {
            VerifyingKey::Hmac(key) => hmac::verify(key, message, signature),
            VerifyingKey::Public(key) => key.verify(message, signature),
            VerifyingKey::RsaComponents(check, key) => key.verify(check, message, signature),
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{crypto, decode_header};
    use ring::signature::{KeyPair as _, RsaEncoding, RsaKeyPair};

    use super::super::vectors::{self, Signed};
    use super::*;
    use crate::entropy::ring_random;

    fn verify(algorithm: Algorithm, key: &DecodingKey, message: &[u8], made: &[u8]) -> bool {
        super::super::install();
        crypto::verify(&URL_SAFE_NO_PAD.encode(made), message, key, algorithm).unwrap()
    }

    fn believed_and_tampering_found(algorithm: Algorithm, key: &DecodingKey, made: &[u8]) {
        assert!(verify(algorithm, key, b"message", made), "{algorithm:?}");
        assert!(!verify(algorithm, key, b"massage", made), "{algorithm:?}");
        let mut changed = made.to_vec();
        changed[made.len() / 2] ^= 1;
        assert!(
            !verify(algorithm, key, b"message", &changed),
            "{algorithm:?}"
        );
        assert!(
            !verify(algorithm, key, b"message", &made[1..]),
            "{algorithm:?}"
        );
        assert!(!verify(algorithm, key, b"message", b""), "{algorithm:?}");
    }

    #[test]
    fn published_signatures_verify() {
        super::super::install();
        let secret = URL_SAFE_NO_PAD.decode(vectors::HS256_SECRET).unwrap();
        let (x, y) = vectors::ES256_POINT;
        let cases: [(&Signed, DecodingKey); 4] = [
            (&vectors::HS256, DecodingKey::from_secret(&secret)),
            (
                &vectors::ES256,
                DecodingKey::from_ec_components(x, y).unwrap(),
            ),
            (
                &vectors::RS256,
                DecodingKey::from_rsa_components(vectors::RSA_N, "AQAB").unwrap(),
            ),
            (
                &vectors::EDDSA,
                DecodingKey::from_ed_components(vectors::ED25519_X).unwrap(),
            ),
        ];
        for (vector, key) in cases {
            let message = vector.message.as_bytes();
            let believed = crypto::verify(vector.signature, message, &key, vector.algorithm);
            assert!(believed.unwrap(), "{:?}", vector.algorithm);
        }
    }

    #[test]
    fn every_rsa_algorithm_verifies_in_both_forms_of_key() {
        let pair = vectors::rsa_pair();
        let from_der = DecodingKey::from_rsa_der(pair.public().as_ref());
        let from_jwk = DecodingKey::from_rsa_components(vectors::RSA_N, "AQAB").unwrap();
        let cases: [(Algorithm, &'static dyn RsaEncoding); 6] = [
            (Algorithm::RS256, &scheme::RSA_PKCS1_SHA256),
            (Algorithm::RS384, &scheme::RSA_PKCS1_SHA384),
            (Algorithm::RS512, &scheme::RSA_PKCS1_SHA512),
            (Algorithm::PS256, &scheme::RSA_PSS_SHA256),
            (Algorithm::PS384, &scheme::RSA_PSS_SHA384),
            (Algorithm::PS512, &scheme::RSA_PSS_SHA512),
        ];
        for (algorithm, encoding) in cases {
            let made = sign_rsa(&pair, encoding);
            believed_and_tampering_found(algorithm, &from_der, &made);
            believed_and_tampering_found(algorithm, &from_jwk, &made);
        }
        let made = sign_rsa(&pair, &scheme::RSA_PKCS1_SHA256);
        assert!(!verify(Algorithm::PS256, &from_jwk, b"message", &made));
    }

    fn sign_rsa(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding) -> Vec<u8> {
        let mut made = vec![0; pair.public().modulus_len()];
        pair.sign(encoding, &ring_random(), b"message", &mut made)
            .unwrap();
        made
    }

    #[test]
    fn every_elliptic_algorithm_verifies() {
        for (algorithm, signing) in [
            (Algorithm::ES256, &scheme::ECDSA_P256_SHA256_FIXED_SIGNING),
            (Algorithm::ES384, &scheme::ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            let random = ring_random();
            let pkcs8 = scheme::EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
            let pair = scheme::EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).unwrap();
            let made = pair.sign(&random, b"message").unwrap();
            let key = DecodingKey::from_ec_der(pair.public_key().as_ref());
            believed_and_tampering_found(algorithm, &key, made.as_ref());
        }
        let pair = vectors::ed25519_pair();
        let key = DecodingKey::from_ed_der(pair.public_key().as_ref());
        believed_and_tampering_found(Algorithm::EdDSA, &key, pair.sign(b"message").as_ref());
    }

    #[test]
    fn every_shared_secret_algorithm_verifies_and_short_secrets_are_refused() {
        for (algorithm, hash, length) in [
            (Algorithm::HS256, hmac::HMAC_SHA256, 32),
            (Algorithm::HS384, hmac::HMAC_SHA384, 48),
            (Algorithm::HS512, hmac::HMAC_SHA512, 64),
        ] {
            let secret = vec![7; length];
            let made = hmac::sign(&hmac::Key::new(hash, &secret), b"message");
            let key = DecodingKey::from_secret(&secret);
            believed_and_tampering_found(algorithm, &key, made.as_ref());
            let short = DecodingKey::from_secret(&secret[1..]);
            assert!(matches!(
                refusal(algorithm, &short),
                ErrorKind::InvalidKeyFormat
            ));
        }
    }

    fn refusal(algorithm: Algorithm, key: &DecodingKey) -> ErrorKind {
        super::super::install();
        crypto::verify("AA", b"message", key, algorithm)
            .unwrap_err()
            .into_kind()
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_shared_secret_nor_for_another_family() {
        let point = [4; 65];
        let keys = [
            DecodingKey::from_secret(&[7; 64]),
            DecodingKey::from_ec_der(&point),
            DecodingKey::from_ed_der(&point[..32]),
            DecodingKey::from_rsa_der(&point),
            DecodingKey::from_rsa_components(vectors::RSA_N, "AQAB").unwrap(),
        ];
        let algorithms = [
            Algorithm::HS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
            Algorithm::RS256,
        ];
        for key in &keys {
            for algorithm in algorithms
                .into_iter()
                .filter(|a| a.family() != key.family())
            {
                assert!(matches!(
                    refusal(algorithm, key),
                    ErrorKind::InvalidAlgorithm
                ));
            }
        }
    }

    #[test]
    fn a_token_without_signature_has_no_algorithm() {
        for name in ["none", "None", "", "ES256K", "ES512"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}"}}"#));
            let refused = decode_header(format!("{header}.e30.")).unwrap_err();
            assert!(matches!(refused.kind(), ErrorKind::Json(_)), "{name}");
        }
    }

    #[test]
    fn a_short_rsa_key_verifies_nothing() {
        let weak = vectors::RS256_WITH_1024_BITS;
        let key = DecodingKey::from_rsa_components(vectors::RSA_N_1024, "AQAB").unwrap();
        let made = URL_SAFE_NO_PAD.decode(weak.signature).unwrap();
        assert!(!verify(
            Algorithm::RS256,
            &key,
            weak.message.as_bytes(),
            &made
        ));
    }
}
