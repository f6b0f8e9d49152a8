//! Access tokens and JWT-SVIDs, each with keys of their own: signed by the one active key, verifiable
//! by every key that was not withdrawn.
//!
//! Only the active key's private half stays in memory, parsed once and reached by a handle, because
//! `jsonwebtoken` would parse it anew for every token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::entropy::ring_random;
use crate::error::CustodyError;
use crate::family::{Family, check_public, malformed};
use crate::jose::registry::{self, Registered};
use crate::kek::KeyEncryptionKey;
use crate::keyring::Keyring;
use crate::purpose::Purpose;
use crate::row::KeyRow;

/// The keys of one kind of token.
pub(crate) struct TokenKeys {
    signing: Registered,
    pub(crate) verifying: Family<TokenPublic>,
}

/// The public half, in the two forms in which it is asked for.
pub(crate) struct TokenPublic {
    decoding: DecodingKey,
    x: String,
    y: String,
}

impl TokenKeys {
    pub(crate) fn open(
        kek: &KeyEncryptionKey,
        rows: &[KeyRow],
        purpose: Purpose,
    ) -> Result<Self, CustodyError> {
        let (pair, verifying) = Family::open(kek, rows, purpose, parse)?.split();
        Ok(Self {
            signing: registry::register(Arc::new(pair)),
            verifying,
        })
    }

    fn sign(&self, typ: &str, claims: &impl serde::Serialize) -> Result<String, CustodyError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.verifying.active.id.to_string());
        jsonwebtoken::encode(&header, claims, self.signing.encoding_key())
            .map_err(CustodyError::Signing)
    }

    /// RFC 7517 §5: prepared, active and retired keys, the active one first.
    fn jwks(&self, r#use: &str) -> serde_json::Value {
        let keys: Vec<_> = self
            .verifying
            .all()
            .map(|held| {
                serde_json::json!({
                    "kty": "EC",
                    "crv": "P-256",
                    "x": held.key.x,
                    "y": held.key.y,
                    "kid": held.id,
                    "alg": "ES256",
                    "use": r#use,
                })
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }
}

impl Keyring {
    /// A compact JWS over `claims` by the active key: ES256, `typ` as given (`at+jwt`, RFC 9068 §2.1),
    /// `kid` the key's id.
    pub fn sign_jwt(
        &self,
        header_typ: &str,
        claims: &impl serde::Serialize,
    ) -> Result<String, CustodyError> {
        self.0.tokens.sign(header_typ, claims)
    }

    /// A JWT-SVID over `claims`: ES256, and in the header nothing but `alg`, `kid` and `typ`
    /// (JWT-SVID §2).
    pub fn sign_jwt_svid(&self, claims: &impl serde::Serialize) -> Result<String, CustodyError> {
        self.0.svids.sign("JWT", claims)
    }

    /// The keys of JWT-SVIDs as an OIDC relying party wants them (`use` is `sig`).
    pub fn svid_jwks(&self) -> serde_json::Value {
        self.0.svids.jwks("sig")
    }

    /// The trust domain's bundle: the roots of X.509-SVIDs and the keys of JWT-SVIDs (SPIFFE Trust
    /// Domain and Bundle §4.2.2).
    pub fn svid_bundle(&self) -> serde_json::Value {
        let mut bundle = self.0.svids.jwks("jwt-svid");
        if let Some(serde_json::Value::Array(keys)) = bundle.get_mut("keys") {
            keys.extend(self.root_jwks());
        }
        bundle
    }

    /// The key to verify a token with, for ES256 only; none when it is unknown or withdrawn.
    pub fn access_token_key(&self, kid: &str) -> Option<&DecodingKey> {
        self.0.tokens.verifying.find(kid).map(|key| &key.decoding)
    }

    /// The key to verify a JWT-SVID with; none when it is unknown or withdrawn.
    pub fn svid_key(&self, kid: &str) -> Option<&DecodingKey> {
        self.0.svids.verifying.find(kid).map(|key| &key.decoding)
    }

    /// The published key set of access tokens.
    pub fn jwks(&self) -> serde_json::Value {
        self.0.tokens.jwks("sig")
    }
}

fn parse(row: &KeyRow, private: &[u8]) -> Result<(EcdsaKeyPair, TokenPublic), CustodyError> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private, &ring_random())
        .map_err(|_| malformed(row))?;
    let point = pair.public_key().as_ref();
    check_public(row, Some(point))?;
    let (x, y) = coordinates(point).ok_or_else(|| malformed(row))?;
    let public = TokenPublic {
        decoding: DecodingKey::from_ec_der(point),
        x,
        y,
    };
    Ok((pair, public))
}

/// The coordinates of an uncompressed P-256 point (SEC 1 §2.3.3: 0x04, then both in full length), as a
/// JWK has them.
pub(crate) fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (x, y) = point
        .strip_prefix(&[0x04])
        .and_then(|coordinates| coordinates.split_at_checked(P256_COORDINATE))?;
    Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

const P256_COORDINATE: usize = 32;

#[cfg(test)]
mod tests {
    use jsonwebtoken::{crypto, decode_header};
    use serde_json::json;

    use super::*;
    use crate::fixtures::{add, kek, of, rows};
    use crate::purpose::KeyState;

    fn open(rows: &[KeyRow]) -> Keyring {
        Keyring::open(&kek(), rows).unwrap()
    }

    /// Whether `keyring` believes `token` by the key that the token names.
    fn believes(keyring: &Keyring, token: &str) -> bool {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let kid = decode_header(token).unwrap().kid.unwrap();
        keyring.access_token_key(&kid).is_some_and(|key| {
            crypto::verify(signature, message.as_bytes(), key, Algorithm::ES256).unwrap()
        })
    }

    fn published(keyring: &Keyring) -> Vec<String> {
        let jwks = keyring.jwks();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_signed_token_says_who_signed_it_and_verifies() {
        let keyring = open(&rows());
        let token = keyring
            .sign_jwt("at+jwt", &json!({ "sub": "spiffe://example/a" }))
            .unwrap();
        let header = decode_header(&token).unwrap();
        assert_eq!(header.alg, Algorithm::ES256);
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(
            header.kid.as_deref(),
            Some(keyring.active_id(Purpose::AccessToken).as_str())
        );
        assert!(believes(&keyring, &token));
        let claims = token.split('.').nth(1).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        assert_eq!(claims, br#"{"sub":"spiffe://example/a"}"#);
    }

    #[test]
    fn a_tampered_token_is_not_believed() {
        let keyring = open(&rows());
        let token = keyring.sign_jwt("at+jwt", &json!({ "aud": "a" })).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let other_claims = URL_SAFE_NO_PAD.encode(r#"{"aud":"b"}"#);
        assert!(!believes(
            &keyring,
            &[parts[0], &other_claims, parts[2]].join(".")
        ));
        let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        signature[40] ^= 1;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        assert!(!believes(
            &keyring,
            &[parts[0], parts[1], &signature].join(".")
        ));
        assert!(!believes(&keyring, &[parts[0], parts[1], ""].join(".")));
    }

    #[test]
    fn the_published_key_verifies_what_the_private_one_signed() {
        let keyring = open(&rows());
        let token = keyring.sign_jwt("at+jwt", &json!({})).unwrap();
        let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keyring.jwks()).unwrap();
        let key = DecodingKey::from_jwk(&jwks.keys[0]).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert!(crypto::verify(signature, message.as_bytes(), &key, Algorithm::ES256).unwrap());
        let keys = keyring.jwks()["keys"].clone();
        assert_eq!(
            keys[0].as_object().unwrap().len(),
            7,
            "nothing private is published: {keys}"
        );
    }

    #[test]
    fn prepared_and_retired_keys_verify_and_are_published() {
        let mut rows = rows();
        let token = open(&rows).sign_jwt("at+jwt", &json!({})).unwrap();
        of(&mut rows, Purpose::AccessToken).state = KeyState::Retired;
        let active = add(&mut rows, Purpose::AccessToken, KeyState::Active);
        let prepared = add(&mut rows, Purpose::AccessToken, KeyState::Prepared);

        let rotated = open(&rows);
        assert!(believes(&rotated, &token));
        assert!(rotated.access_token_key(prepared.as_str()).is_some());
        assert_eq!(rotated.active_id(Purpose::AccessToken), &active);
        let kids = published(&rotated);
        assert_eq!(kids.len(), 3);
        assert_eq!(kids[0], active.as_str());
    }

    #[test]
    fn a_withdrawn_key_is_neither_published_nor_believed() {
        let mut rows = rows();
        let token = open(&rows).sign_jwt("at+jwt", &json!({})).unwrap();
        let withdrawn = of(&mut rows, Purpose::AccessToken);
        withdrawn.state = KeyState::Withdrawn;
        let withdrawn = withdrawn.id.clone();
        let active = add(&mut rows, Purpose::AccessToken, KeyState::Active);

        let keyring = open(&rows);
        assert!(!believes(&keyring, &token));
        assert!(keyring.access_token_key(withdrawn.as_str()).is_none());
        assert_eq!(published(&keyring), [active.as_str()]);
    }

    #[test]
    fn an_svid_and_an_access_token_are_never_believed_for_each_other() {
        let keyring = open(&rows());
        let svid = keyring.sign_jwt_svid(&json!({ "sub": "a" })).unwrap();
        let header = svid.split('.').next().unwrap();
        let header = URL_SAFE_NO_PAD.decode(header).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let kid = keyring.active_id(Purpose::JwtSvid).as_str();
        assert_eq!(header, json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }));
        assert!(keyring.access_token_key(kid).is_none());
        assert_eq!(keyring.svid_jwks()["keys"][0]["kid"], kid);
        let bundle = keyring.svid_bundle();
        assert_eq!(bundle["keys"][0]["use"], "jwt-svid");
        // X509-SVID §6.1: one certificate, and no key id.
        let root = &bundle["keys"][1];
        assert_eq!(root["use"], "x509-svid");
        assert_eq!(root["x5c"].as_array().unwrap().len(), 1);
        assert!(root.get("kid").is_none());
        assert!(!published(&keyring).contains(&kid.to_owned()));
    }

    #[test]
    fn two_keyrings_in_one_process_keep_apart() {
        let (one, other) = (open(&rows()), open(&rows()));
        let mine = one.sign_jwt("at+jwt", &json!({})).unwrap();
        let theirs = other.sign_jwt("at+jwt", &json!({})).unwrap();
        assert!(believes(&one, &mine) && believes(&other, &theirs));
        let (message, signature) = theirs.rsplit_once('.').unwrap();
        let my_key = one
            .access_token_key(one.active_id(Purpose::AccessToken).as_str())
            .unwrap();
        assert!(!crypto::verify(signature, message.as_bytes(), my_key, Algorithm::ES256).unwrap());

        let handle = other.0.tokens.signing.encoding_key().clone();
        drop(other);
        let refused = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &json!({}), &handle);
        assert!(matches!(
            refused.unwrap_err().kind(),
            jsonwebtoken::errors::ErrorKind::InvalidEcdsaKey
        ));
        assert!(believes(&one, &one.sign_jwt("at+jwt", &json!({})).unwrap()));
    }

    #[test]
    fn two_openings_of_the_same_rows_keep_apart() {
        let rows = rows();
        let (before, after) = (open(&rows), open(&rows));
        drop(before);
        assert!(believes(
            &after,
            &after.sign_jwt("at+jwt", &json!({})).unwrap()
        ));
    }

    #[test]
    fn claims_that_do_not_serialise_are_not_signed() {
        let claims = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(
            open(&rows())
                .sign_jwt("at+jwt", &claims)
                .unwrap_err()
                .code(),
            "signing_failed"
        );
    }
}
