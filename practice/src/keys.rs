//! The world's signing keys: RSA-2048 test keys carried in the source, because ring cannot make
//! RSA keys. Which of them a site publishes and signs with is set by control calls; signing with a
//! key that is not published is how a forger looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{self, KeyPair as _, RsaEncoding};
use ring::{hmac, rsa};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::error::WorldError;

/// How a token is signed. Only RS256 is what an honest issuer does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum Alg {
    #[default]
    RS256,
    RS384,
    RS512,
    PS256,
    /// The confusion attack: HMAC keyed with the bytes of the public key.
    HS256,
    /// No signature at all.
    #[serde(rename = "none")]
    Unsigned,
}

impl Alg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::HS256 => "HS256",
            Self::Unsigned => "none",
        }
    }

    fn rsa(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::RS256 => Some(&signature::RSA_PKCS1_SHA256),
            Self::RS384 => Some(&signature::RSA_PKCS1_SHA384),
            Self::RS512 => Some(&signature::RSA_PKCS1_SHA512),
            Self::PS256 => Some(&signature::RSA_PSS_SHA256),
            Self::HS256 | Self::Unsigned => None,
        }
    }
}

/// Which keys a site publishes and which one signs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyTurn {
    pub published: Vec<String>,
    pub signing: String,
}

pub(crate) struct TestKey {
    pub(crate) kid: &'static str,
    pair: rsa::KeyPair,
}

impl TestKey {
    fn parse(kid: &'static str, pem: &str) -> Result<Self, WorldError> {
        let body: String = pem
            .lines()
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .skip(1)
            .take_while(|line| !line.starts_with("-----END"))
            .collect();
        let der = STANDARD.decode(body).map_err(|_| WorldError::Key(kid))?;
        let pair = rsa::KeyPair::from_pkcs8(&der).map_err(|_| WorldError::Key(kid))?;
        Ok(Self { kid, pair })
    }

    /// Signature of the JWS signing input `message`.
    pub(crate) fn sign(&self, alg: Alg, message: &[u8]) -> Result<Vec<u8>, WorldError> {
        if let Some(padding) = alg.rsa() {
            let mut signature = vec![0; self.pair.public().modulus_len()];
            self.pair
                .sign(padding, &clock::system_random(), message, &mut signature)
                .map_err(|_| WorldError::Signing)?;
            return Ok(signature);
        }
        if alg == Alg::Unsigned {
            return Ok(Vec::new());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        Ok(hmac::sign(&key, message).as_ref().to_vec())
    }

    fn jwk(&self) -> Value {
        let public = rsa::PublicKeyComponents::<Vec<u8>>::from(self.pair.public());
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(public.n),
            "e": URL_SAFE_NO_PAD.encode(public.e),
        })
    }
}

/// The test keys of one site and their turn.
pub struct Keys {
    all: Vec<Arc<TestKey>>,
    turn: Mutex<KeyTurn>,
}

impl Keys {
    /// The first key is published and signs.
    pub(crate) fn load() -> Result<Self, WorldError> {
        let mut all = Vec::with_capacity(PEMS.len());
        for (kid, pem) in PEMS {
            all.push(Arc::new(TestKey::parse(kid, pem)?));
        }
        let (first, _) = PEMS[0];
        let turn = KeyTurn {
            published: vec![first.to_owned()],
            signing: first.to_owned(),
        };
        Ok(Self {
            all,
            turn: Mutex::new(turn),
        })
    }

    /// Ids of all carried keys, published or not.
    pub fn available(&self) -> Vec<&'static str> {
        self.all.iter().map(|key| key.kid).collect()
    }

    /// What is published and what signs.
    pub fn turn(&self) -> KeyTurn {
        self.locked().clone()
    }

    /// Sets both at once; refuses a key that is not carried.
    pub fn set(&self, turn: KeyTurn) -> Result<(), WorldError> {
        for kid in turn.published.iter().chain([&turn.signing]) {
            self.named(kid)?;
        }
        *self.locked() = turn;
        Ok(())
    }

    /// Signs with the next carried key from now on and publishes it; the one that signed until now
    /// stays published only with `keep_old`.
    pub fn rotate(&self, keep_old: bool) -> KeyTurn {
        let mut turn = self.locked();
        let at = self.all.iter().position(|key| key.kid == turn.signing);
        let next = self
            .all
            .iter()
            .cycle()
            .skip(at.map_or(0, |at| at + 1))
            .map(|key| key.kid);
        if let Some(next) = next.take(1).next() {
            let old = std::mem::replace(&mut turn.signing, next.to_owned());
            turn.published
                .retain(|kid| kid != next && (keep_old || *kid != old));
            turn.published.push(next.to_owned());
        }
        turn.clone()
    }

    pub(crate) fn signing(&self) -> Result<Arc<TestKey>, WorldError> {
        self.named(&self.turn().signing)
    }

    pub(crate) fn named(&self, kid: &str) -> Result<Arc<TestKey>, WorldError> {
        let found = self.all.iter().find(|key| key.kid == kid);
        found
            .map(Arc::clone)
            .ok_or_else(|| WorldError::unknown("key", kid))
    }

    /// The published set (RFC 7517 §5).
    pub(crate) fn jwks(&self) -> Value {
        let turn = self.turn();
        let published = self
            .all
            .iter()
            .filter(|key| turn.published.iter().any(|k| k == key.kid));
        json!({ "keys": published.map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    fn locked(&self) -> MutexGuard<'_, KeyTurn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PEMS: [(&str, &str); 4] = [
    (
        "writ-practice-test-1",
        include_str!("../testkeys/TEST-rsa-1.pem"),
    ),
    (
        "writ-practice-test-2",
        include_str!("../testkeys/TEST-rsa-2.pem"),
    ),
    (
        "writ-practice-test-3",
        include_str!("../testkeys/TEST-rsa-3.pem"),
    ),
    (
        "writ-practice-test-4",
        include_str!("../testkeys/TEST-rsa-4.pem"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(keys: &Keys) -> Vec<String> {
        let jwks = keys.jwks();
        let listed = jwks["keys"].as_array().unwrap();
        listed
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn rotation_publishes_the_next_key_and_drops_the_old_one_unless_kept() {
        let keys = Keys::load().unwrap();
        assert_eq!(kids(&keys), ["writ-practice-test-1"]);
        keys.rotate(true);
        assert_eq!(
            kids(&keys),
            ["writ-practice-test-1", "writ-practice-test-2"]
        );
        keys.rotate(false);
        assert_eq!(
            kids(&keys),
            ["writ-practice-test-1", "writ-practice-test-3"]
        );
        assert_eq!(keys.signing().unwrap().kid, "writ-practice-test-3");
    }

    #[test]
    fn the_published_set_holds_no_private_member() {
        let keys = Keys::load().unwrap();
        let jwks = keys.jwks();
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(
                jwks["keys"][0].get(member).is_none(),
                "{member} is published"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_turn_stays() {
        let keys = Keys::load().unwrap();
        let wish = KeyTurn {
            published: vec!["other".to_owned()],
            signing: "other".to_owned(),
        };
        assert!(matches!(
            keys.set(wish),
            Err(WorldError::Unknown { kind: "key", .. })
        ));
        assert_eq!(kids(&keys), ["writ-practice-test-1"]);
    }
}
