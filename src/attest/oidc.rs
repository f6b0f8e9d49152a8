//! OpenID Connect ID tokens of configured issuers. Strict where libraries forgive: every claim has
//! its one type, `aud` names us alone, `exp` and `iat` are required and near.

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::attest::id_token::{IdTokens, one_audience};
use crate::attest::jws::Unverified;
use crate::attest::strict_json::Object;
use crate::attest::token_review::TokenReview;
use crate::attest::{Attestor, EvidenceRef, Verified, invalid};
use crate::domain::key::Thumbprint;
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;
use crate::domain::time::Timestamp;
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
    pub tokens: IdTokens,
    /// What `aud` has to be: the broker's own issuer identifier, or what is configured instead.
    pub audience: String,
    pub preset: Box<dyn Preset>,
    /// Where the claims lie, if not under their own names: a claim's name, and the members that lead
    /// to it.
    pub paths: Vec<(String, Vec<String>)>,
    /// Whom to ask about each token beside its signature.
    pub review: Option<TokenReview>,
}

impl Attestor for OidcIssuer {
    fn attest<'a>(
        &'a self,
        token: Unverified<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Verified, Error>> {
        Box::pin(async move {
            let shown = self.review.as_ref().map(|_| token.compact());
            let signed = self.tokens.signed(token).await?;
            let audience = one_audience(&signed.claims).ok_or_else(|| self.wrong_audience())?;
            let demands = self.check_audience(audience)?;
            let (issued_at, expires_at) = self.tokens.times(&signed.claims, now)?;
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
