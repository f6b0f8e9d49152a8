//! How an honest client of a broker behaves, written apart from the broker: a session key of its
//! own, that key's thumbprint, and DPoP proofs by it (RFC 9449). `SessionKey::sign` also makes
//! the dishonest ones that a test wants to see refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use crate::clock;

/// The key cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
#[error("the session key {0}")]
pub struct KeyError(&'static str);

/// A P-256 key that a client makes for one session and never sends.
pub struct SessionKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl SessionKey {
    pub fn generate() -> Result<Self, KeyError> {
        let random = clock::system_random();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| KeyError("cannot be made"))?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Reads what `pkcs8_der` gave.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let random = clock::system_random();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_| KeyError("cannot be read"))?;
        Ok(Self {
            pair,
            pkcs8: der.to_vec(),
        })
    }

    /// The private key, for a client that writes it to a file of its own.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key as a JWK with the members RFC 7638 §3.2 requires, and no other.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
    }

    /// SHA-256 thumbprint of the public key (RFC 7638), base64url: `jkt`.
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        sha256_base64url(members.as_bytes())
    }

    /// A DPoP proof (RFC 9449 §4.2) by this key.
    pub fn proof(&self, proof: &Proof<'_>) -> Result<String, KeyError> {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
        let mut claims = Map::new();
        claims.insert("jti".to_owned(), proof.jti.into());
        claims.insert("htm".to_owned(), proof.htm.into());
        claims.insert("htu".to_owned(), proof.htu.into());
        claims.insert("iat".to_owned(), proof.iat.into());
        if let Some(token) = proof.access_token {
            claims.insert("ath".to_owned(), sha256_base64url(token.as_bytes()).into());
        }
        if let Some(nonce) = proof.nonce {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        self.sign(&header, &Value::Object(claims))
    }

    /// The compact JWS of any header and claims, ES256 by this key whatever the header says.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, KeyError> {
        let mut jws = URL_SAFE_NO_PAD.encode(header.to_string());
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut jws);
        let signature = self
            .pair
            .sign(&clock::system_random(), jws.as_bytes())
            .map_err(|_| KeyError("does not sign"))?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut jws);
        Ok(jws)
    }

    fn coordinates(&self) -> (String, String) {
        // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.split_at(1).1.split_at(32);
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }
}

/// What one DPoP proof says.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// HTTP method.
    pub htm: &'a str,
    /// Target URI without query and fragment.
    pub htu: &'a str,
    /// Seconds since 1970.
    pub iat: i64,
    pub jti: &'a str,
    /// Given when the proof goes with an access token: `ath` is its hash.
    pub access_token: Option<&'a str>,
    /// Given when the server asked for it.
    pub nonce: Option<&'a str>,
}

fn sha256_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn a_proof_verifies_by_the_key_it_carries_and_names_its_request() {
        let key = SessionKey::generate().unwrap();
        let proof = Proof {
            htm: "POST",
            htu: "https://writ.example/oauth2/token",
            iat: 1_764_000_000,
            jti: "one",
            access_token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            nonce: Some("n-1"),
        };
        let jws = key.proof(&proof).unwrap();
        let parts: Vec<&str> = jws.split('.').collect();
        let json = |part: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, claims) = (json(parts[0]), json(parts[1]));
        assert_eq!(header["jwk"], key.jwk());
        assert!(header["jwk"].get("d").is_none());
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["nonce"], "n-1");
        // The pair of token and hash is the example of RFC 9449 §7.1.
        assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");

        let mut point = vec![4];
        for member in ["x", "y"] {
            let value = header["jwk"][member].as_str().unwrap();
            point.extend(URL_SAFE_NO_PAD.decode(value).unwrap());
        }
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                signed.as_bytes(),
                &URL_SAFE_NO_PAD.decode(parts[2]).unwrap(),
            )
            .expect("the proof verifies");
    }

    #[test]
    fn each_session_has_its_own_key() {
        let (one, other) = (
            SessionKey::generate().unwrap(),
            SessionKey::generate().unwrap(),
        );
        assert_ne!(one.thumbprint(), other.thumbprint());
        assert_eq!(one.thumbprint().len(), 43);
        let again = SessionKey::from_pkcs8(one.pkcs8_der()).unwrap();
        assert_eq!(again.thumbprint(), one.thumbprint());
    }
}
