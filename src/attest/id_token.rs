//! The checks that every ID token goes through, a workload's and an operator's: the one issuer, its keys,
//! its algorithms, and times that are there and near.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use writ_keys::Keyring;

use crate::attest::invalid;
use crate::attest::jwks::{Jwks, KeyFault};
use crate::attest::jws::{Signed, Unverified};
use crate::attest::strict_json::Object;
use crate::domain::time::Timestamp;
use crate::domain::validity::SKEW;
use crate::error::{Code, Error};

/// One issuer of ID tokens.
pub struct IdTokens {
    /// Compared byte for byte with `iss`.
    pub issuer: String,
    pub algorithms: Vec<Algorithm>,
    /// The greatest age that a token is taken at.
    pub max_age: Duration,
    /// A token that would live longer than that is taken until then, and not refused.
    pub may_outlive: bool,
    pub keys: IssuerKeys,
}

/// Where an issuer's keys are found.
pub enum IssuerKeys {
    /// Where it publishes them.
    Published(Arc<Jwks>),
    /// In this process: the issuer of SVIDs is this broker.
    Own(Arc<ArcSwap<Keyring>>),
}

impl IdTokens {
    /// A token that this issuer has signed, as an ID token and nothing else.
    pub(super) async fn signed(&self, token: Unverified<'_>) -> Result<Signed, Error> {
        if !self.algorithms.contains(&token.algorithm()) {
            return Err(invalid(
                &"the algorithm is not one that this issuer is configured with",
            ));
        }
        let media_type = token.media_type().map_err(|e| invalid(&e))?;
        if media_type.is_some_and(|t| !t.eq_ignore_ascii_case("JWT")) {
            return Err(invalid(&"the token is of another type than an ID token"));
        }
        let signed = self.by_its_key(token).await?;
        match signed.claims.text("iss") {
            Ok(issuer) if issuer == self.issuer => Ok(signed),
            Ok(_) | Err(_) => Err(invalid(&"`iss` is not this issuer")),
        }
    }

    async fn by_its_key(&self, token: Unverified<'_>) -> Result<Signed, Error> {
        let kid = token
            .key_id()
            .map_err(|e| invalid(&e))?
            .ok_or_else(|| invalid(&"the header names no key"))?;
        let unknown = || invalid(&"the issuer has no such key");
        let keys = match &self.keys {
            IssuerKeys::Published(keys) => keys,
            IssuerKeys::Own(ring) => {
                let ring = ring.load();
                let key = ring.svid_key(kid).ok_or_else(unknown)?;
                return token.verify(key).map_err(|e| invalid(&e));
            }
        };
        let key = keys.key(kid, token.algorithm()).await;
        let key = key.map_err(|fault| match fault {
            KeyFault::Unknown => unknown(),
            KeyFault::Unavailable(why) => Error::new(
                Code::IssuerUnavailable,
                "the issuer's keys cannot be read now",
            )
            .with_internal(why)
            .with_retry_after(RETRY),
        })?;
        token.verify(&key).map_err(|e| invalid(&e))
    }

    /// When the token was issued, and until when it is taken.
    pub(super) fn times(
        &self,
        claims: &Object,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), Error> {
        let read = |name| claims.seconds(name).map_err(|e| invalid(&e));
        let at = |seconds| {
            Timestamp::from_seconds(seconds).ok_or_else(|| invalid(&"a time is out of range"))
        };
        let (expires, issued) = (at(read("exp")?)?, at(read("iat")?)?);
        let not_before = match claims.optional_seconds("nbf").map_err(|e| invalid(&e))? {
            Some(seconds) => at(seconds)?,
            None => issued,
        };
        let refuse = |field: &'static str, text: &'static str| {
            Err(Error::new(Code::EvidenceExpired, text).with_field(field))
        };
        if now >= expires.plus(SKEW) {
            return refuse(
                "exp",
                "the evidence has expired: ask the CI system for a fresh token",
            );
        }
        if not_before > now.plus(SKEW) {
            return refuse("nbf", "the evidence is not valid yet: check the clocks");
        }
        if issued > now.plus(SKEW) {
            return refuse(
                "iat",
                "the evidence was issued in the future: check the clocks",
            );
        }
        let oldest = issued.plus(self.max_age);
        let outlives = expires > oldest && !self.may_outlive;
        if outlives || now > oldest {
            return refuse(
                "exp",
                "the evidence is older, or valid for longer, than this issuer's tokens may be",
            );
        }
        Ok((issued, expires.min(oldest)))
    }
}

/// The one audience that a token is for; none where it has several.
pub(super) fn one_audience(claims: &Object) -> Option<&str> {
    match claims.member("aud")? {
        Value::String(one) => Some(one),
        Value::Array(many) => match many.as_slice() {
            [Value::String(one)] => Some(one),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

const RETRY: Duration = Duration::from_secs(5);
