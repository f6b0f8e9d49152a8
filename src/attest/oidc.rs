//! OpenID Connect ID tokens of configured issuers. Strict where libraries forgive: every claim has
//! its one type, `aud` names us alone, `exp` and `iat` are required and near.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::attest::jwks::{Jwks, KeyFault};
use crate::attest::jws::{Signed, Unverified};
use crate::attest::strict_json::Object;
use crate::attest::{Attestor, EvidenceRef, Verified, invalid};
use crate::domain::key::Thumbprint;
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;
use crate::domain::time::Timestamp;
use crate::domain::validity::SKEW;
use crate::error::{Code, Error};

/// What turns verified claims into an identity: one per kind of issuer.
pub trait Preset: Send + Sync {
    /// The identity, selectors and context records that the claims carry.
    ///
    /// # Errors
    /// The text says which claim is missing or unfit.
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String>;
}

/// What a preset reads from claims.
#[derive(Debug)]
pub struct Reading {
    pub identity: crate::domain::identity::Identity,
    pub selectors: Vec<crate::domain::identity::Selector>,
    pub claims: Claims,
    pub records: Vec<crate::attest::Related>,
}

/// One issuer.
pub struct OidcIssuer {
    pub source: SourceName,
    pub issuer: String,
    /// What `aud` has to be: the broker's own issuer identifier, or what is configured instead.
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    /// The longest life that a token of this issuer may have, and its greatest age.
    pub max_age: Duration,
    pub keys: Arc<Jwks>,
    pub preset: Box<dyn Preset>,
}

impl Attestor for OidcIssuer {
    fn attest<'a>(
        &'a self,
        token: Unverified<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Verified, Error>> {
        Box::pin(async move {
            let signed = self.check_signature(token).await?;
            self.check_issuer(&signed.claims)?;
            let demands = self.check_audience(&signed.claims)?;
            let (issued_at, expires_at) = self.check_times(&signed.claims, now)?;
            // Not read, but a token with a `sub` of another type is not an ID token.
            signed
                .claims
                .optional_text("sub")
                .map_err(|e| invalid(&e))?;
            let claims = plain_claims(&signed.claims);
            let reading = self.preset.read(&self.source, claims).map_err(|why| {
                Error::new(
                    Code::EvidenceInvalid,
                    format!("the evidence is not of the configured kind: {why}"),
                )
            })?;
            Ok(Verified {
                source: self.source.clone(),
                identity: reading.identity,
                selectors: reading.selectors,
                claims: reading.claims,
                mark: EvidenceRef {
                    digest: signed.digest,
                    issued_at,
                    expires_at,
                },
                demands,
                records: reading.records,
            })
        })
    }
}

impl OidcIssuer {
    async fn check_signature(&self, token: Unverified<'_>) -> Result<Signed, Error> {
        if !self.algorithms.contains(&token.algorithm()) {
            return Err(invalid(
                &"the algorithm is not one that this issuer is configured with",
            ));
        }
        let media_type = token.media_type().map_err(|e| invalid(&e))?;
        if media_type.is_some_and(|t| !t.eq_ignore_ascii_case("JWT")) {
            return Err(invalid(&"the token is of another type than an ID token"));
        }
        let kid = token
            .key_id()
            .map_err(|e| invalid(&e))?
            .ok_or_else(|| invalid(&"the header names no key"))?;
        let key = self
            .keys
            .key(kid, token.algorithm())
            .await
            .map_err(|fault| match fault {
                KeyFault::Unknown => invalid(&"the issuer has no such key"),
                KeyFault::Unavailable(why) => Error::new(
                    Code::IssuerUnavailable,
                    "the issuer's keys cannot be read now",
                )
                .with_internal(why)
                .with_retry_after(RETRY),
            })?;
        token.verify(&key).map_err(|e| invalid(&e))
    }

    fn check_issuer(&self, claims: &Object) -> Result<(), Error> {
        match claims.text("iss") {
            Ok(issuer) if issuer == self.issuer => Ok(()),
            Ok(_) | Err(_) => Err(invalid(&"`iss` is not this issuer")),
        }
    }

    /// `aud` is our audience and nothing else, or our audience with the thumbprint of the key that
    /// has to come with the token.
    fn check_audience(&self, claims: &Object) -> Result<Option<Thumbprint>, Error> {
        let audience = match claims.member("aud") {
            Some(Value::String(one)) => one.as_str(),
            Some(Value::Array(many)) => match many.as_slice() {
                [Value::String(one)] => one.as_str(),
                _ => return Err(self.wrong_audience()),
            },
            Some(_) | None => return Err(self.wrong_audience()),
        };
        let rest = audience
            .strip_prefix(self.audience.as_str())
            .ok_or_else(|| self.wrong_audience())?;
        if rest.is_empty() {
            return Ok(None);
        }
        let thumbprint = rest
            .strip_prefix("/jkt/")
            .ok_or_else(|| self.wrong_audience())?;
        thumbprint
            .parse()
            .map(Some)
            .map_err(|_| self.wrong_audience())
    }

    fn wrong_audience(&self) -> Error {
        // The signature has verified: the caller may know for whom its token should be.
        let text = format!(
            "the evidence is not for this broker: ask for it with the audience {}",
            self.audience
        );
        Error::new(Code::EvidenceInvalid, text).with_field("aud")
    }

    fn check_times(
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
        if expires.since(issued) > self.max_age || now.since(issued) > self.max_age {
            return refuse(
                "exp",
                "the evidence is older, or valid for longer, than this issuer's tokens may be",
            );
        }
        Ok((issued, expires))
    }
}

/// Text, numbers and booleans, as text. Lists and objects identify nothing here.
fn plain_claims(claims: &Object) -> Claims {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    claims
        .members()
        .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
        .collect()
}

const RETRY: Duration = Duration::from_secs(5);
