//! What `jsonwebtoken` asks a provider for when it turns keys into JWKs and thumbprints.

use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use ring::digest::{SHA256, SHA384, SHA512};
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};

use super::sign;
use crate::entropy::ring_random;

/// Modulus and exponent of a private key in DER.
pub(super) fn rsa_from_private(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let pair = sign::rsa(der)?;
    let components = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    Ok((components.n, components.e))
}

/// Refused: ring does not take a public key apart, and Writ reads RSA keys from JWKs, where they are.
pub(super) fn rsa_from_public(_der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    Err(ErrorKind::InvalidKeyFormat.into())
}

/// Curve and coordinates of a PKCS#8 private key.
pub(super) fn ec_from_private(
    der: &[u8],
    algorithm: Algorithm,
) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let (signing, curve, length) = match algorithm {
        Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, EllipticCurve::P256, 32),
        Algorithm::ES384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, EllipticCurve::P384, 48),
        Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512
        | Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::EdDSA
        | _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let invalid = || ErrorKind::InvalidEcdsaKey;
    let pair = EcdsaKeyPair::from_pkcs8(signing, der, &ring_random()).map_err(|_| invalid())?;
    // An uncompressed point (SEC 1 §2.3.3).
    let point = pair.public_key().as_ref();
    let (x, y) = point
        .strip_prefix(&[0x04])
        .and_then(|coordinates| coordinates.split_at_checked(length))
        .ok_or_else(invalid)?;
    Ok((curve, x.to_vec(), y.to_vec()))
}

/// The public half of an Ed25519 private key in PKCS#8.
pub(super) fn ed_from_private(der: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    match curve {
        EllipticCurve::Ed25519 => Ok(sign::ed25519(der)?.public_key().as_ref().to_vec()),
        EllipticCurve::P256 | EllipticCurve::P384 | EllipticCurve::P521 | _ => {
            Err(ErrorKind::InvalidEddsaKey.into())
        }
    }
}

/// The hash under a thumbprint.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the provider's function type is given"
)]
pub(super) fn digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &SHA256,
        ThumbprintHash::SHA384 => &SHA384,
        ThumbprintHash::SHA512 => &SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(ring::digest::digest(algorithm, data).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::EncodingKey;
    use jsonwebtoken::jwk::Jwk;

    use super::super::vectors;
    use super::*;

    fn thumbprint(jwk: &Jwk) -> String {
        super::super::install();
        jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    #[test]
    fn published_thumbprints_are_reproduced() {
        for (jwk, expected) in vectors::THUMBPRINTS {
            let jwk: Jwk = serde_json::from_str(&jwk.concat()).unwrap();
            assert_eq!(thumbprint(&jwk), expected);
        }
    }

    #[test]
    fn a_private_key_gives_its_published_public_half() {
        super::super::install();
        let ed = EncodingKey::from_ed_der(&vectors::ed25519_pkcs8());
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&ed, Algorithm::EdDSA).unwrap());
        assert_eq!(jwk.unwrap()["x"], vectors::ED25519_X);

        let der = URL_SAFE_NO_PAD
            .decode(vectors::RSA_PRIVATE.concat())
            .unwrap();
        let rsa = EncodingKey::from_rsa_der(&der);
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&rsa, Algorithm::RS256).unwrap());
        assert_eq!(jwk.unwrap()["n"], vectors::RSA_N);
    }

    #[test]
    fn coordinates_have_the_full_length_of_their_curve() {
        for (algorithm, signing, curve, length) in [
            (
                Algorithm::ES256,
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                EllipticCurve::P256,
                32,
            ),
            (
                Algorithm::ES384,
                &ECDSA_P384_SHA384_FIXED_SIGNING,
                EllipticCurve::P384,
                48,
            ),
        ] {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &ring_random()).unwrap();
            let (found, x, y) = ec_from_private(pkcs8.as_ref(), algorithm).unwrap();
            assert_eq!((found, x.len(), y.len()), (curve, length, length));
        }
        let refused = ec_from_private(b"", Algorithm::RS256).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::InvalidAlgorithm));
    }
}
