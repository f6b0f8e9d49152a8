//! Our own access tokens, shown back to us. The signature is checked once per token; what the token
//! stands for is read from the ledger every time.

use std::sync::Arc;

use papaya::HashMap;

use crate::attest::jws::Unverified;
use crate::broker::Broker;
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::mint::access_token::{Claims, TYPE};

/// A token whose signature verified.
#[derive(Debug)]
pub struct OwnToken {
    pub claims: Claims,
    /// Asked again at every use: a withdrawn key takes its tokens with it.
    kid: String,
}

/// Tokens whose signature has been checked, by hash. Bounded: when full, it starts over.
pub struct SeenTokens {
    seen: HashMap<Digest, Arc<OwnToken>>,
    capacity: usize,
}

impl SeenTokens {
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashMap::new(),
            capacity,
        }
    }

    /// Forgets tokens that have expired.
    pub fn forget(&self, now: Timestamp) {
        self.seen
            .pin()
            .retain(|_, token| token.claims.exp > now.seconds());
    }
}

impl Broker {
    /// The token behind a text, if we signed it with a key that is still good. Its time and its
    /// standing are not judged here.
    pub(in crate::broker) fn own_token(&self, text: &str) -> Result<Arc<OwnToken>, Error> {
        let keys = self.minter.keys.load();
        let digest = Digest::of(&[text.as_bytes()]);
        if let Some(token) = self.tokens.seen.pin().get(&digest) {
            return match keys.access_token_key(&token.kid) {
                Some(_) => Ok(Arc::clone(token)),
                None => Err(invalid("its key was withdrawn")),
            };
        }
        let unverified = Unverified::parse(text).map_err(|e| invalid(&e.to_string()))?;
        // Any other JWT of ours, or anybody's, is not an access token (RFC 9068 §4).
        if unverified.media_type() != Ok(Some(TYPE)) {
            return Err(invalid("it is not of the type at+jwt"));
        }
        let kid = unverified
            .key_id()
            .ok()
            .flatten()
            .ok_or_else(|| invalid("it names no key"))?
            .to_owned();
        let key = keys
            .access_token_key(&kid)
            .ok_or_else(|| invalid("it names no key of ours"))?;
        if unverified.algorithm() != jsonwebtoken::Algorithm::ES256 {
            return Err(invalid("its algorithm is not ours"));
        }
        let signed = unverified
            .verify(key)
            .map_err(|e| invalid(&e.to_string()))?;
        let claims: Claims = serde_json::from_value(signed.claims.into_value())
            .map_err(|_| invalid("its claims are not ours"))?;
        if claims.iss != self.minter.issuer {
            return Err(invalid("its issuer is not this broker"));
        }
        let token = Arc::new(OwnToken { claims, kid });
        let seen = self.tokens.seen.pin();
        if seen.len() >= self.tokens.capacity {
            seen.clear();
        }
        seen.insert(digest, Arc::clone(&token));
        Ok(token)
    }
}

/// One answer for every text that is not a good token of ours.
pub(in crate::broker) fn invalid(why: &str) -> Error {
    Error::new(
        Code::TokenInvalid,
        "the token is not a valid access token of this broker",
    )
    .with_internal(why)
}
