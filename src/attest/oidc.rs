//! OpenID Connect ID tokens of configured issuers. Strict where libraries forgive: every claim has
//! its one type, `aud` names us alone, `exp` and `iat` are required and near.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use writ_keys::Keyring;

use crate::attest::jwks::{Jwks, KeyFault};
use crate::attest::jws::{Signed, Unverified};
use crate::attest::strict_json::Object;
use crate::attest::token_review::TokenReview;
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
    /// A credential of ours that the evidence is.
    pub rests_on: Option<crate::domain::standing::Shown>,
}

/// One issuer.
pub struct OidcIssuer {
    pub source: SourceName,
    pub issuer: String,
    /// What `aud` has to be: the broker's own issuer identifier, or what is configured instead.
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    /// The greatest age that a token is taken at, and the longest life that it may have.
    pub max_age: Duration,
    /// The issuer mints one token per job, which lives as long as the job may run: it is taken for as
    /// long as `max_age`, however late it would expire.
    pub mints_once: bool,
    pub keys: IssuerKeys,
    pub preset: Box<dyn Preset>,
    /// Where the claims lie, if not under their own names: a claim's name, and the members that lead
    /// to it.
    pub paths: Vec<(String, Vec<String>)>,
    /// Whom to ask about each token beside its signature.
    pub review: Option<TokenReview>,
}

/// Where an issuer's keys are found.
pub enum IssuerKeys {
    /// Where it publishes them.
    Published(Arc<Jwks>),
    /// In this process: the issuer of SVIDs is this broker.
    Own(Arc<ArcSwap<Keyring>>),
}

impl Attestor for OidcIssuer {
    fn attest<'a>(
        &'a self,
        token: Unverified<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Verified, Error>> {
        Box::pin(async move {
            let shown = self.review.as_ref().map(|_| token.compact());
            let signed = self.check_signature(token).await?;
            self.check_issuer(&signed.claims)?;
            let audience = self.audience(&signed.claims)?;
            let demands = self.check_audience(audience)?;
            let (issued_at, expires_at) = self.check_times(&signed.claims, now)?;
            // Not read, but a token with a `sub` of another type is not an ID token.
            signed
                .claims
                .optional_text("sub")
                .map_err(|e| invalid(&e))?;
            let claims = self.claims(&signed.claims);
            let reading = self.preset.read(&self.source, claims).map_err(|why| {
                Error::new(
                    Code::EvidenceInvalid,
                    format!("the evidence is not of the configured kind: {why}"),
                )
            })?;
            if let (Some(review), Some(token)) = (&self.review, &shown) {
                review.check(token, audience, &reading.claims, now).await?;
            }
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
                rests_on: reading.rests_on,
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
        let unknown = || invalid(&"the issuer has no such key");
        let keys = match &self.keys {
            IssuerKeys::Published(keys) => keys,
            IssuerKeys::Own(ring) => {
                let ring = ring.load();
                let key = ring.svid_key(kid).ok_or_else(unknown)?;
                return token.verify(key).map_err(|e| invalid(&e));
            }
        };
        let key = keys
            .key(kid, token.algorithm())
            .await
            .map_err(|fault| match fault {
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

    /// The claims that the issuer's tokens are read for: all that are plain, or those that lie where the
    /// paths lead.
    fn claims(&self, token: &Object) -> Claims {
        if self.paths.is_empty() {
            let named = token.members();
            return named
                .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
                .collect();
        }
        let led = self.paths.iter().filter_map(|(name, path)| {
            let (first, rest) = path.split_first()?;
            let member = token.member(first)?;
            let found = rest
                .iter()
                .try_fold(member, |value, name| value.get(name))?;
            Some((name.clone(), plain(found)?))
        });
        led.collect()
    }

    fn check_issuer(&self, claims: &Object) -> Result<(), Error> {
        match claims.text("iss") {
            Ok(issuer) if issuer == self.issuer => Ok(()),
            Ok(_) | Err(_) => Err(invalid(&"`iss` is not this issuer")),
        }
    }

    /// The one audience that the token is for.
    fn audience<'c>(&self, claims: &'c Object) -> Result<&'c str, Error> {
        match claims.member("aud") {
            Some(Value::String(one)) => Ok(one),
            Some(Value::Array(many)) => match many.as_slice() {
                [Value::String(one)] => Ok(one),
                _ => Err(self.wrong_audience()),
            },
            Some(_) | None => Err(self.wrong_audience()),
        }
    }

    /// `aud` is our audience and nothing else, or our audience with the thumbprint of the key that
    /// has to come with the token.
    fn check_audience(&self, audience: &str) -> Result<Option<Thumbprint>, Error> {
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
        let oldest = issued.plus(self.max_age);
        let outlives = expires > oldest && !self.mints_once;
        if outlives || now > oldest {
            return refuse(
                "exp",
                "the evidence is older, or valid for longer, than this issuer's tokens may be",
            );
        }
        Ok((issued, expires.min(oldest)))
    }
}

/// Text, numbers and booleans, as text. Lists and objects identify nothing here.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

const RETRY: Duration = Duration::from_secs(5);
