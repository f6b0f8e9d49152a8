//! A client's own key: made for one session, held in memory, never sent. It is no broker's key and no
//! row; it is here because private bytes are seen in this crate only.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::entropy::ring_random;

/// ring could not make the key or sign with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session key could not be made or used")]
pub struct SessionKeyError;

/// A P-256 key that proves possession (RFC 9449).
pub struct SessionKey {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    x: String,
    y: String,
}

impl SessionKey {
    /// A new key, by the system's randomness.
    pub fn generate() -> Result<Self, SessionKeyError> {
        let (random, algorithm) = (ring_random(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document =
            EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| SessionKeyError)?;
        Self::open(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key that [`SessionKey::private_pem`] gave away.
    pub fn from_private_pem(pem: &str) -> Result<Self, SessionKeyError> {
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
            .ok_or(SessionKeyError)?;
        let body: Zeroizing<String> =
            Zeroizing::new(body.split_ascii_whitespace().collect::<Vec<_>>().concat());
        let pkcs8 = STANDARD.decode(&*body).map_err(|_| SessionKeyError)?;
        Self::open(Zeroizing::new(pkcs8))
    }

    fn open(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, SessionKeyError> {
        let (random, algorithm) = (ring_random(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &random).map_err(|_| SessionKeyError)?;
        // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
        let (_, point) = pair.public_key().as_ref().split_at(1);
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Ok(Self { pair, pkcs8, x, y })
    }

    /// SHA-256 thumbprint of the public key (RFC 7638 §3), base64url: the `jkt` of RFC 9449 §6.1.
    pub fn thumbprint(&self) -> String {
        let (x, y) = (&self.x, &self.y);
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
    }

    /// A DPoP proof over these claims (RFC 9449 §4.2): a compact JWS, ES256, with the public key.
    pub fn proof(&self, claims: &Map<String, Value>) -> Result<String, SessionKeyError> {
        let jwk = json!({ "crv": "P-256", "kty": "EC", "x": self.x, "y": self.y });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk }).to_string();
        let claims = serde_json::to_string(claims).map_err(|_| SessionKeyError)?;
        let mut jws = URL_SAFE_NO_PAD.encode(header);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jws);
        let signature = self
            .pair
            .sign(&ring_random(), jws.as_bytes())
            .map_err(|_| SessionKeyError)?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut jws);
        Ok(jws)
    }

    /// The private key in PEM (RFC 7468 §10), for a program that has to make proofs itself. The one
    /// private key that leaves this crate: it is its caller's own, and is given away on order only.
    pub fn private_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(STANDARD.encode(&*self.pkcs8));
        let mut pem = Zeroizing::new(String::with_capacity(body.len() + 64));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        pem
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SessionKey")
            .field(&self.thumbprint())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn part(jws: &str, at: usize) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(jws.split('.').nth(at).unwrap())
            .unwrap()
    }

    #[test]
    fn a_proof_verifies_by_the_public_key_it_carries_and_carries_no_private_one() {
        let key = SessionKey::generate().unwrap();
        let claims = json!({ "htm": "POST", "jti": "one" });
        let jws = key.proof(claims.as_object().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&part(&jws, 0)).unwrap();
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&"dpop+jwt".into(), &"ES256".into())
        );
        assert!(header["jwk"].get("d").is_none());
        let mut point = vec![4];
        for member in ["x", "y"] {
            point.extend(
                URL_SAFE_NO_PAD
                    .decode(header["jwk"][member].as_str().unwrap())
                    .unwrap(),
            );
        }
        let signed = jws.rsplit_once('.').unwrap().0;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &part(&jws, 2))
            .unwrap();
    }

    #[test]
    fn a_key_that_was_given_away_is_the_same_key_when_it_is_read_and_other_text_is_none() {
        let key = SessionKey::generate().unwrap();
        let pem = key.private_pem();
        let read = SessionKey::from_private_pem(&pem).unwrap();
        assert_eq!(read.thumbprint(), key.thumbprint());
        for bad in ["", "key", &pem[..80], &pem.replace("PRIVATE", "PUBLIC")] {
            SessionKey::from_private_pem(bad).unwrap_err();
        }
    }

    #[test]
    fn the_key_that_is_given_away_is_the_one_that_signs() {
        let key = SessionKey::generate().unwrap();
        let pem = key.private_pem();
        let body: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
        let der = STANDARD.decode(body).unwrap();
        let again =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &ring_random());
        let public = |pair: &EcdsaKeyPair| pair.public_key().as_ref().to_vec();
        assert_eq!(public(&again.unwrap()), public(&key.pair));
    }

    #[test]
    fn each_session_has_its_own_key_and_shows_only_its_thumbprint() {
        let (one, other) = (
            SessionKey::generate().unwrap(),
            SessionKey::generate().unwrap(),
        );
        assert_ne!(one.thumbprint(), other.thumbprint());
        assert_eq!(
            format!("{one:?}"),
            format!("SessionKey({:?})", one.thumbprint())
        );
    }
}
