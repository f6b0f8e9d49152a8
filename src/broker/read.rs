//! Read a secret, or take an SVID: issue, with an access token and its proof as the evidence.
//! Everything is judged anew; the session is not extended; what is given has the token as its parent.

use writ_keys::Authority;

use crate::attest::csr;
use crate::attest::dpop::ProvenKey;
use crate::broker::issued::Issued;
use crate::broker::laps::Laps;
use crate::broker::refuse::Trace;
use crate::broker::rules::Under;
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::token::{OwnToken, invalid};
use crate::broker::{ATTEMPTS, Broker, Presented, RETRY, unavailable};
use crate::context::observe::Ties;
use crate::decide::case::{Ask, Case};
use crate::decide::engine::Verb;
use crate::decide::permit::Permit;
use crate::domain::credential::CredentialRecord;
use crate::domain::grant::{Audience, SecretPath};
use crate::domain::secret::Secret;
use crate::domain::standing::Held;
use crate::domain::time::Timestamp;
use crate::domain::x509::SignedBy;
use crate::error::{Code, Error};
use crate::ledger::change::SealedVersion;

/// What is asked with an access token.
#[derive(Debug)]
pub struct ReadRequest {
    pub token: Secret,
    /// How the token was presented (RFC 9449 §7.1): a token that is bound to a key is not a bearer
    /// token.
    pub scheme: Scheme,
    pub proof: Option<Presented>,
    pub wanted: Wanted,
}

/// What is taken with the token.
#[derive(Debug, Clone)]
pub enum Wanted {
    Secret(SecretPath),
    JwtSvid(Audience),
    /// A certificate for the key of this signing request, in PEM.
    X509Svid(String),
}

/// The authentication scheme that the token came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

struct Caller {
    token: std::sync::Arc<OwnToken>,
    key: Option<ProvenKey>,
}

impl Broker {
    /// Reads a secret under a lease, or makes an SVID.
    ///
    /// # Errors
    /// Everything in the table of outcomes; nothing was given then.
    pub async fn read(&self, request: ReadRequest) -> Result<Issued, Error> {
        self.fresh()?;
        let caller = self.bearer(&request)?;
        let verb = request.wanted.verb();
        let (of, ask) = self.asked(request.wanted)?;
        for _ in 0..ATTEMPTS {
            let held = self.held(caller.token.claims.session).await?;
            let rules = self.rules.now();
            let under = self.under(&rules, &held, verb).await?;
            let tried = self.try_read(&caller, held, under, (verb, of, &ask));
            if let Some(issued) = self.conclude(tried.await?).await? {
                return Ok(issued);
            }
        }
        Err(overloaded(RETRY))
    }

    /// The token and the key that came with it. A token for another service is not for us, whoever
    /// holds it.
    fn bearer(&self, request: &ReadRequest) -> Result<Caller, Error> {
        let now = self.clock.now();
        let text = request
            .token
            .expose_str()
            .ok_or_else(|| invalid("it is not text"))?;
        let token = self.own_token(text)?;
        if now.seconds() >= token.claims.exp {
            return Err(invalid("it has expired"));
        }
        if !token.claims.aud.contains(&self.own_audience) {
            return Err(invalid("it is for another audience"));
        }
        let key = Self::prove(request.proof.as_ref(), Some(text), now)?;
        let bound = token.claims.cnf.map(|cnf| cnf.jkt);
        let shown = key.as_ref().map(ProvenKey::thumbprint);
        let scheme = if bound.is_some() {
            Scheme::Dpop
        } else {
            Scheme::Bearer
        };
        if scheme != request.scheme || bound != shown {
            return Err(Error::new(
                Code::ProofInvalid,
                "the token must be shown with a DPoP proof by the key it is bound to",
            ));
        }
        Ok(Caller { token, key })
    }

    /// One way through, as for issue.
    async fn try_read(
        &self,
        caller: &Caller,
        held: Held,
        Under { profile, policies }: Under<'_>,
        (name, verb, ask): (&'static str, Verb, &Ask),
    ) -> Result<Result<Issued, (Unsettled, Trace)>, Error> {
        let mut laps = Laps::start(self.clock.as_ref(), name);
        let parent = self.parent(caller, &held).await?;
        let facts = self
            .observer
            .observe(profile, Ties::Lineage(&held.lineage))
            .await;
        let standing = held.into();
        let mut case = Case::of_session(verb, profile, &standing, &facts)?;
        case.key = caller.key.as_ref().map(ProvenKey::thumbprint);
        case.proof = caller.key.as_ref().map(ProvenKey::once);
        case.parent = Some(&parent);
        laps.done("observe");
        let trace = || Trace::of(&case, name);
        let now = self.clock.now();
        let permit = match self.judge(policies, &case, ask, now) {
            Ok(permit) => permit,
            Err(refusal) => return Err(self.refuse(refusal, &trace()).await),
        };
        let sealed = self.sealed(&permit).await?;
        laps.done("decide");
        let settled = self.hand_out(permit, sealed, now, laps).await;
        Ok(settled.map_err(|unsettled| (unsettled, trace())))
    }

    /// What is asked, with whatever proves that it may be asked at all.
    fn asked(&self, wanted: Wanted) -> Result<(Verb, Ask), Error> {
        match wanted {
            Wanted::Secret(path) => Ok((Verb::Read, Ask::Secret { path })),
            Wanted::JwtSvid(audience) => Ok((Verb::Identify, Ask::JwtSvid { audience })),
            Wanted::X509Svid(request) => Ok((Verb::Certify, self.certificate_for(&request)?)),
        }
    }

    /// A certificate for the key of a signing request in PEM, by the authority that is in force.
    pub(in crate::broker) fn certificate_for(&self, request: &str) -> Result<Ask, Error> {
        let key = csr::verify(request)?;
        if !self.revocations.has_room() {
            return Err(overloaded(RETRY));
        }
        let keys = self.minter.keys.load();
        if keys.owns(key.bits()) {
            let text = "the key is one of the broker's own";
            return Err(Error::new(Code::KeyRefused, text).with_field("csr"));
        }
        let Authority { id, ends } = keys.authority();
        let by = SignedBy {
            authority: id,
            ends: Timestamp::from_seconds(ends).unwrap_or(Timestamp::EPOCH),
        };
        Ok(Ask::X509Svid { key, by })
    }

    /// The record of the token that was shown. A token without one was never issued.
    async fn parent(&self, caller: &Caller, held: &Held) -> Result<CredentialRecord, Error> {
        let row = self
            .store
            .credential(self.realm, held.lineage.id, caller.token.claims.jti)
            .await;
        row.map_err(|down| unavailable(&down))?
            .ok_or_else(|| invalid("it has no record"))
    }

    /// The version that is read, where a secret is. Only a caller that may read the path learns
    /// whether there is one.
    async fn sealed(&self, permit: &Permit) -> Result<Option<SealedVersion>, Error> {
        let absent =
            || Error::new(Code::NotFound, "there is no secret at this path").with_field("path");
        let Some(path) = permit.secret() else {
            return Ok(None);
        };
        let row = self
            .store
            .secret(self.realm, path)
            .await
            .map_err(|down| unavailable(&down))?;
        row.ok_or_else(absent).map(Some)
    }
}

impl Wanted {
    fn verb(&self) -> &'static str {
        match self {
            Self::Secret(_) => "read",
            Self::JwtSvid(_) => "svid",
            Self::X509Svid(_) => "certify",
        }
    }
}
