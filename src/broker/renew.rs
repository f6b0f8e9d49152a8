//! Renew: a session's handle and its key's proof, and then the same road as at the first time. All
//! facts and policies are judged anew, and what was pinned is held against what is.

use std::collections::BTreeSet;

use crate::attest::{Attested, Evidence};
use crate::broker::find::spent;
use crate::broker::issued::Issued;
use crate::broker::laps::Laps;
use crate::broker::profiles::opening;
use crate::broker::refuse::Trace;
use crate::broker::rules::{Rules, Under};
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, Presented, RETRY, unavailable};
use crate::context::observe::Ties;
use crate::decide::case::{Ask, Case};
use crate::decide::denial::Denial;
use crate::decide::engine::Verb;
use crate::domain::case::case_of_task;
use crate::domain::grant::{Audience, Scope};
use crate::domain::ids::SessionId;
use crate::domain::key::Digest;
use crate::domain::lineage::Lineage;
use crate::domain::profile::{RenewalMode, TaskProfile};
use crate::domain::secret::Secret;
use crate::domain::standing::{Held, Standing};
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::domain::validity::SKEW;
use crate::error::{Code, Error};
use crate::mint::handle;

/// What is asked with a handle.
#[derive(Debug)]
pub struct RenewRequest {
    pub handle: Secret,
    pub proof: Option<Presented>,
    /// Fresh evidence of the same job, where the profile demands it or the caller has it.
    pub evidence: Option<Evidence>,
    /// Empty: what the session opened with.
    pub audiences: BTreeSet<Audience>,
    pub scopes: BTreeSet<Scope>,
}

/// What the caller proved, beside the handle.
struct Caller {
    session: SessionId,
    key: crate::attest::dpop::ProvenKey,
    attested: Option<Attested>,
}

impl Broker {
    /// Renews a session's token (RFC 6749 §6, judged anew).
    ///
    /// # Errors
    /// Everything in the table of outcomes; nothing was issued then.
    pub async fn renew(&self, request: RenewRequest) -> Result<Issued, Error> {
        self.fresh()?;
        let caller = self.caller(&request).await?;
        for _ in 0..ATTEMPTS {
            let held = self.held(caller.session).await?;
            let rules = self.rules.now();
            let under = self.under(&rules, &held, "renew").await?;
            let ask = asked(&request, &held);
            let tried = self.try_renew(&caller, held, under, ask).await?;
            if let Some(issued) = self.conclude(tried).await? {
                return Ok(issued);
            }
        }
        Err(overloaded(RETRY))
    }

    async fn caller(&self, request: &RenewRequest) -> Result<Caller, Error> {
        let now = self.clock.now();
        let invalid = || {
            Error::new(
                Code::TokenInvalid,
                "the renewal handle is not one of this broker's",
            )
        };
        let text = request.handle.expose_str().ok_or_else(invalid)?;
        let session = handle::session(&self.minter.keys.load(), text).ok_or_else(invalid)?;
        let key = Self::prove(request.proof.as_ref(), None, now)?.ok_or_else(|| {
            Error::new(
                Code::ProofRequired,
                "a renewal needs a DPoP proof by the session's key",
            )
        })?;
        let attested = match &request.evidence {
            Some(evidence) => Some(
                self.attestors
                    .attest(evidence, Some(key.clone()), now)
                    .await?,
            ),
            None => None,
        };
        Ok(Caller {
            session,
            key,
            attested,
        })
    }

    /// One way through, as for issue; the ties are the lineage's own, or fresh evidence's.
    async fn try_renew(
        &self,
        caller: &Caller,
        held: Held,
        Under { profile, policies }: Under<'_>,
        ask: Ask,
    ) -> Result<Result<Issued, (Unsettled, Trace)>, Error> {
        let attested = caller.attested.as_ref();
        let rests = self.rests(attested).await?;
        let mut laps = Laps::start(self.clock.as_ref(), "renew");
        let named = case_of_task(&held.task.name);
        let ties = attested.map_or(Ties::Lineage(&held.lineage), |attested| {
            Ties::Evidence(attested, named.as_ref())
        });
        let facts = self.observer.observe(profile, ties).await;
        let standing = held.into();
        let mut case = Case::of_session(Verb::Renew, profile, &standing, &facts)?;
        case.key = Some(caller.key.thumbprint());
        case.proof = Some(caller.key.once());
        if let Some(attested) = attested {
            case.identity = attested.identity();
            case.claims = Some(attested.claims());
            case.evidence = Some(attested.evidence());
            case.evidence_once = Some(evidence_once(attested));
            case.rests = rests.as_ref().ok().copied().flatten();
        }
        laps.done("observe");
        let trace = || Trace::of(&case, "renew");
        if let Some(denial) = rests.err().or_else(|| demanded(profile, attested, &case)) {
            return Err(self.deny(denial, &trace()).await);
        }
        let now = self.clock.now();
        let permit = match self.judge(policies, &case, &ask, now) {
            Ok(permit) => permit,
            Err(refusal) => return Err(self.refuse(refusal, &trace()).await),
        };
        laps.done("decide");
        let settled = self.hand_out(permit, None, now, laps).await;
        Ok(settled.map_err(|unsettled| (unsettled, trace())))
    }

    /// The session with its lineage and task.
    pub(in crate::broker) async fn held(&self, session: SessionId) -> Result<Held, Error> {
        let held = self
            .store
            .held(self.realm, session)
            .await
            .map_err(|down| unavailable(&down))?;
        held.ok_or_else(|| Error::new(Code::TokenInvalid, "the session has long ended"))
    }

    /// The profile that the task was opened under, if the rules still have it.
    pub(in crate::broker) async fn under<'a>(
        &self,
        rules: &'a Rules,
        held: &Held,
        verb: &'static str,
    ) -> Result<Under<'a>, Error> {
        if let Some(under) = rules.under(&held.task.profile) {
            return Ok(under);
        }
        let standing = held.clone().into();
        Err(self
            .unconfigured(&held.task, &held.lineage, standing, verb)
            .await)
    }

    /// The refusal of what was opened under a profile that is gone.
    pub(in crate::broker) async fn unconfigured(
        &self,
        task: &Task,
        lineage: &Lineage,
        standing: Standing,
        verb: &'static str,
    ) -> Error {
        let text = format!("the profile `{}` is no longer configured", task.profile);
        let trace = Trace::early(verb, &lineage.identity, None, standing);
        let denial = Denial::new(Code::ProfileUnmatched, text).field("profile");
        self.deny(denial, &trace).await
    }
}

/// What the profile demands beside the handle: fresh evidence, and of the very same job.
fn demanded(profile: &TaskProfile, attested: Option<&Attested>, case: &Case<'_>) -> Option<Denial> {
    let Some(attested) = attested else {
        let text =
            "the profile renews with fresh evidence only: send a new ID token as subject_token";
        return (profile.renewal == RenewalMode::FreshEvidence)
            .then(|| Denial::new(Code::EvidenceRequired, text).field("subject_token"));
    };
    let same = *attested.source() == profile.source
        && opening(profile, attested, Some(case.task_name))
            .is_ok_and(|o| o.task == *case.task_name && o.instance == *case.instance);
    (!same).then(|| {
        Denial::new(
            Code::ProfileUnmatched,
            "the evidence is of another job than the session's",
        )
        .field("subject_token")
    })
}

fn asked(request: &RenewRequest, held: &Held) -> Ask {
    let granted = &held.session.granted;
    if request.audiences.is_empty() && request.scopes.is_empty() {
        return Ask::Token {
            audiences: granted.audiences.clone(),
            scopes: granted.scopes.clone(),
        };
    }
    let audiences = if request.audiences.is_empty() {
        &granted.audiences
    } else {
        &request.audiences
    };
    // RFC 6749 §6: scopes that are left out are those that were given before. For an audience that
    // the session did not open with, they are the grant's.
    let scopes = if request.scopes.is_empty() && audiences.is_subset(&granted.audiences) {
        &granted.scopes
    } else {
        &request.scopes
    };
    Ask::Token {
        audiences: audiences.clone(),
        scopes: scopes.clone(),
    }
}

fn evidence_once(attested: &Attested) -> (Timestamp, Digest) {
    let mark = attested.evidence();
    let digest = spent(attested.source().as_str(), mark.digest, 0);
    (mark.expires_at.plus(SKEW), digest)
}
