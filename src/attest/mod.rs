//! Attestation: from what a caller shows to who it is. This module is the only maker of
//! [`Attested`]; nothing later in the broker looks at evidence again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::attest::preset::Preset;
use crate::attest::vocabulary::Vocabulary;
use crate::domain::context::{Locator, Record, RecordKey, RecordKind};
use crate::domain::identity::{Identity, Selector};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;
use crate::domain::standing::Shown;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::telemetry::trace;

pub mod certificate;
mod claims;
pub mod csr;
pub mod dpop;
pub mod generic;
pub mod github;
pub mod gitlab;
pub mod id_token;
pub mod jwks;
pub mod jws;
pub mod kubernetes;
pub mod oidc;
pub mod operator;
pub mod preset;
pub mod settings;
pub mod strict_json;
pub mod svid;
pub mod token_review;
pub mod vocabulary;
mod weak;

/// What a caller shows: nothing of it is verified.
#[derive(Clone)]
pub enum Evidence {
    /// An OpenID Connect ID token, in compact form.
    IdToken(String),
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::IdToken(_) => f.write_str("IdToken(hidden)"),
        }
    }
}

/// Verifies one issuer's evidence.
pub trait Attestor: Send + Sync {
    /// Who is asking, or why that is not known.
    ///
    /// # Errors
    /// `evidence_invalid` and `evidence_expired` for what does not verify, `issuer_unavailable` when
    /// the issuer's keys cannot be read.
    fn attest<'a>(
        &'a self,
        evidence: jws::Unverified<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Verified, Error>>;
}

/// What an attestor found: an identity, and the key that the evidence is tied to, if it is.
#[derive(Debug)]
pub struct Verified {
    pub source: SourceName,
    pub identity: Identity,
    pub selectors: Vec<Selector>,
    pub claims: Claims,
    pub mark: EvidenceRef,
    /// The evidence is worth nothing without a proof by this key.
    pub demands: Option<Thumbprint>,
    pub records: Vec<Related>,
    /// A credential of ours that the evidence is: it counts only while that stands.
    pub rests_on: Option<Shown>,
}

/// Enough of a piece of evidence to recognise it, and nothing to use it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceRef {
    pub digest: Digest,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A context record that the evidence names, and what the evidence itself proves of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub key: RecordKey,
    pub locate: Locator,
    pub proven: Option<Record>,
}

/// A workload whose evidence, and key where it showed one, were verified.
#[derive(Debug)]
pub struct Attested {
    verified: Verified,
    key: Option<dpop::ProvenKey>,
}

/// Every configured attestor, by issuer.
#[derive(Default)]
pub struct Attestors {
    by_issuer: HashMap<String, Arc<dyn Attestor>>,
    /// What the identities that they find are made of.
    identifying: BTreeSet<String>,
}

impl Attestors {
    /// Registers the attestor of one issuer. An issuer that is not registered is never asked for
    /// anything: no evidence makes the broker call out to where it was not configured to.
    pub fn register(&mut self, issuer: String, words: &Vocabulary, attestor: Arc<dyn Attestor>) {
        self.by_issuer.insert(issuer, attestor);
        let claims = words.identifying().into_iter().map(str::to_owned);
        self.identifying.extend(claims);
    }

    /// The claims that an identity may be made of: of every configured source, and of every vendor that is
    /// understood, since what one of them opened outlives its configuration.
    pub fn identifying(&self) -> BTreeSet<String> {
        let vendors = Preset::ALL.map(Vocabulary::of);
        let claims = vendors.iter().flat_map(Vocabulary::identifying);
        let claims = claims.map(str::to_owned);
        claims.chain(self.identifying.iter().cloned()).collect()
    }

    /// Verifies evidence together with the proof that came beside it.
    pub async fn attest(
        &self,
        evidence: &Evidence,
        key: Option<dpop::ProvenKey>,
        now: Timestamp,
    ) -> Result<Attested, Error> {
        trace::within("attest", self.verify(evidence, key, now)).await
    }

    async fn verify(
        &self,
        evidence: &Evidence,
        key: Option<dpop::ProvenKey>,
        now: Timestamp,
    ) -> Result<Attested, Error> {
        let Evidence::IdToken(token) = evidence;
        let unverified = jws::Unverified::parse(token).map_err(|e| invalid(&e))?;
        let issuer = unverified.issuer().map_err(|e| invalid(&e))?;
        let attestor = self.by_issuer.get(issuer).ok_or_else(|| {
            Error::new(Code::EvidenceInvalid, TEXT_INVALID)
                .with_internal("the issuer is not configured")
        })?;
        let verified = attestor.attest(unverified, now).await?;
        match (verified.demands, &key) {
            (Some(demanded), Some(shown)) if demanded != shown.thumbprint() => Err(Error::new(
                Code::KeyMismatch,
                "the evidence is tied to another key than the proof was made by",
            )),
            (Some(_), None) => Err(Error::new(
                Code::ProofRequired,
                "the evidence is tied to a key: send a DPoP proof by that key",
            )),
            (Some(_) | None, _) => Ok(Attested { verified, key }),
        }
    }
}

impl Attested {
    pub const fn source(&self) -> &SourceName {
        &self.verified.source
    }

    pub const fn identity(&self) -> &Identity {
        &self.verified.identity
    }

    pub fn selectors(&self) -> &[Selector] {
        &self.verified.selectors
    }

    pub const fn claims(&self) -> &Claims {
        &self.verified.claims
    }

    pub const fn evidence(&self) -> EvidenceRef {
        self.verified.mark
    }

    /// The key that the caller proved to hold.
    pub fn key(&self) -> Option<Thumbprint> {
        self.key.as_ref().map(dpop::ProvenKey::thumbprint)
    }

    /// Whether the evidence itself names the key: whoever else comes by it cannot use it.
    pub const fn is_tied_to_key(&self) -> bool {
        self.verified.demands.is_some()
    }

    /// The proof, so that it can be spent.
    pub const fn proof(&self) -> Option<&dpop::ProvenKey> {
        self.key.as_ref()
    }

    /// The record of one kind that the evidence names.
    pub fn record(&self, kind: RecordKind) -> Option<&Related> {
        self.verified
            .records
            .iter()
            .find(|related| related.key.kind == kind)
    }

    /// The credential of ours that the evidence is.
    pub const fn rests_on(&self) -> Option<Shown> {
        self.verified.rests_on
    }

    pub fn records(&self) -> &[Related] {
        &self.verified.records
    }
}

/// What the caller may know of evidence that did not verify: not which check failed, lest the
/// endpoint tells a guesser how far it got.
pub(crate) const TEXT_INVALID: &str = "the evidence did not verify";

pub(crate) fn invalid(why: &impl std::fmt::Display) -> Error {
    Error::new(Code::EvidenceInvalid, TEXT_INVALID).with_internal(why)
}
