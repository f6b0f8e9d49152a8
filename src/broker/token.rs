//! Our own access tokens, shown back to us. The signature is checked once per token; what the token
//! stands for is read from the ledger every time.

use std::sync::Arc;

use crate::attest::jws::Unverified;
use crate::broker::Broker;
use crate::broker::footing::Footing;
use crate::broker::seen::Seen;
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::bar::BarKey;
use crate::mint::access_token::{Claims, TYPE};

/// A token whose signature verified.
#[derive(Debug)]
pub struct OwnToken {
    pub claims: Claims,
    /// Asked again at every use: a withdrawn key takes its tokens with it.
    kid: String,
}

/// Tokens whose signature has been checked.
pub type SeenTokens = Seen<Digest, OwnToken>;

impl OwnToken {
    /// What the token stands on.
    pub(in crate::broker) fn footing(&self) -> Footing {
        let claims = &self.claims;
        let bars = [
            Some(BarKey::Credential(claims.jti)),
            Some(BarKey::Workload(claims.sub.clone())),
            claims.cnf.map(|cnf| BarKey::SenderKey(cnf.jkt)),
        ];
        Footing {
            task: claims.task,
            lineage: claims.lineage,
            session: claims.session,
            credential: claims.jti,
            bars: bars.into_iter().flatten().collect(),
        }
    }
}

impl Broker {
    /// Forgets tokens that have expired.
    pub fn forget_tokens(&self, now: Timestamp) {
        self.tokens
            .forget(|token| token.claims.exp <= now.seconds());
    }

    /// The token behind a text, if we signed it with a key that is still good. Its time and its
    /// standing are not judged here.
    pub(in crate::broker) fn own_token(&self, text: &str) -> Result<Arc<OwnToken>, Error> {
        let keys = self.minter.keys.load();
        let digest = Digest::of(&[text.as_bytes()]);
        if let Some(token) = self.tokens.get(&digest) {
            return match keys.access_token_key(&token.kid) {
                Some(_) => Ok(token),
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
        self.tokens.keep(digest, &token);
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
