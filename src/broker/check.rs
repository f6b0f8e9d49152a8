//! Check: may whoever holds this token do this one thing, now? Everything is judged as at a renewal: task,
//! lineage, session, every binding on facts no older than its `max_age`, the grant, the policies. Rows come
//! from memory and so do facts that are fresh enough, so that a check touches no network and no table.
//!
//! A denial is recorded, and ends what it ends. So is every permit: before the answer leaves where the action
//! changes something, where a proof is spent, or where the profile says so of reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::attest::dpop::ProvenKey;
use crate::broker::laps::Laps;
use crate::broker::refuse::Trace;
use crate::broker::rules::Under;
use crate::broker::settle::{Unsettled, barred, overloaded, unsettled};
use crate::broker::token::{OwnToken, invalid};
use crate::broker::{ATTEMPTS, Broker, Presented, RETRY, unavailable};
use crate::context::observe::Ties;
use crate::decide::act::{Aim, Question};
use crate::decide::case::Case;
use crate::decide::clearance::Clearance;
use crate::decide::denial::Denial;
use crate::decide::engine::Verb;
use crate::domain::action::{Act, Effect};
use crate::domain::grant::Audience;
use crate::domain::key::Thumbprint;
use crate::domain::lineage::is_given_since;
use crate::domain::profile::{Recorded, TaskProfile};
use crate::domain::secret::Secret;
use crate::domain::standing::Standing;
use crate::error::{Code, Error};
use crate::ledger::act::record;
use crate::ledger::bar::BarKey;
use crate::ledger::change::Change;
use crate::ledger::intent::Scene;
use crate::mint::access_token::Claims;
use crate::store::Place;
use crate::telemetry::trace;

/// What an enforcement point asks.
#[derive(Debug)]
pub struct CheckRequest {
    /// Whose token it is said to be.
    pub subject: Option<String>,
    /// The token that it was shown.
    pub token: Secret,
    /// How it was shown that whoever sent the token holds its key.
    pub holder: Holder,
    pub act: Act,
    /// The audiences of the enforcement point: tokens for anybody else are not for it to ask about.
    pub audiences: BTreeSet<Audience>,
}

/// Who says that the sender of a token holds its key.
#[derive(Debug)]
pub enum Holder {
    /// The proof itself (RFC 9449), which is spent here.
    Proof(Box<Presented>),
    /// The enforcement point, which verified a proof by this key.
    Vouched(Thumbprint),
    /// Nobody: good for a bearer token only.
    Nobody,
}

/// An action that was permitted, and recorded or on its way to be.
#[derive(Debug)]
pub struct Cleared(Arc<OwnToken>);

/// A caller's token and the key that it was sent by.
pub(in crate::broker) struct Caller {
    pub(in crate::broker) token: Arc<OwnToken>,
    /// The token's audiences that ask.
    pub(in crate::broker) asking: BTreeSet<Audience>,
    proven: Option<ProvenKey>,
    key: Option<Thumbprint>,
}

/// What is made of an action that is cleared.
pub(in crate::broker) trait Use {
    type Outcome;

    /// As the log and the metrics name it.
    const VERB: &'static str;

    fn question<'a>(&'a self, caller: &'a Caller) -> Question<'a>;

    /// What it came to before, where it comes again and is still cleared: then nothing more is recorded.
    fn before(&self, caller: &Caller) -> Option<Self::Outcome>;

    /// Whether its record may follow its answer, if nothing is changed by it.
    fn may_follow(&self, _: &Caller, _: &TaskProfile) -> bool {
        false
    }

    /// What is to be recorded of it.
    fn record(
        &self,
        clearance: Clearance,
        caller: &Caller,
        profile: &TaskProfile,
        scene: Scene<'_>,
    ) -> Result<Record<Self::Outcome>, Error>;
}

/// A change, when it is to be durable, and what stands once it is.
pub(in crate::broker) struct Record<T> {
    pub(in crate::broker) change: Change,
    pub(in crate::broker) when: Recorded,
    pub(in crate::broker) outcome: T,
}

/// An action that is only asked about.
struct Evaluation<'a>(&'a Act);

impl Use for Evaluation<'_> {
    type Outcome = Cleared;

    const VERB: &'static str = "check";

    fn question<'a>(&'a self, caller: &'a Caller) -> Question<'a> {
        Question {
            act: self.0,
            audiences: &caller.asking,
            aim: Aim::Evaluate,
        }
    }

    fn before(&self, _: &Caller) -> Option<Cleared> {
        None
    }

    fn may_follow(&self, caller: &Caller, profile: &TaskProfile) -> bool {
        caller.proven.is_none() && profile.reads_recorded == Recorded::AfterAnswer
    }

    fn record(
        &self,
        clearance: Clearance,
        caller: &Caller,
        profile: &TaskProfile,
        scene: Scene<'_>,
    ) -> Result<Record<Cleared>, Error> {
        let reads = clearance.effect() == Effect::Reads;
        let when = if reads && self.may_follow(caller, profile) {
            Recorded::AfterAnswer
        } else {
            Recorded::BeforeAnswer
        };
        Ok(Record {
            change: record(clearance, caller.token.claims.jti, when, scene),
            when,
            outcome: Cleared::new(&caller.token),
        })
    }
}

impl Cleared {
    pub(in crate::broker) fn new(token: &Arc<OwnToken>) -> Self {
        Self(Arc::clone(token))
    }

    /// Whose token it was, and for which task.
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }
}

impl Broker {
    /// Decides one action on one resource.
    ///
    /// # Errors
    /// Everything in the table of outcomes; nothing was permitted then.
    pub async fn check(&self, request: &CheckRequest) -> Result<Cleared, Error> {
        self.fresh()?;
        let caller = self.asked_about(request)?;
        for _ in 0..ATTEMPTS {
            let standing = self.session_now(caller.token.claims.session).await?;
            let wanted = Evaluation(&request.act);
            let tried = self.try_use(&caller, &standing, &wanted).await?;
            if let Some(cleared) = self.conclude(tried).await? {
                return Ok(cleared);
            }
        }
        Err(overloaded(RETRY))
    }

    /// The token, if it is one of ours, in its time, and for who asks; and the key that it was sent by.
    pub(in crate::broker) fn asked_about(&self, request: &CheckRequest) -> Result<Caller, Error> {
        let now = self.clock.now();
        let text = request.token.expose_str();
        let text = text.ok_or_else(|| invalid("it is not text"))?;
        let token = self.own_token(text)?;
        if now.seconds() >= token.claims.exp {
            return Err(invalid("it has expired"));
        }
        let said = request.subject.as_deref();
        if said.is_some_and(|said| said != token.claims.sub.as_str()) {
            return Err(invalid(
                "it was issued to another workload than the subject",
            ));
        }
        let audiences = token.claims.aud.iter();
        let asking = audiences.filter(|audience| request.audiences.contains(*audience));
        let asking: BTreeSet<_> = asking.cloned().collect();
        if asking.is_empty() {
            return Err(invalid("it is for another service than the one that asks"));
        }
        let (proven, key) = match &request.holder {
            Holder::Proof(presented) => {
                let proven = Self::prove(Some(presented), Some(text), now)?;
                let key = proven.as_ref().map(ProvenKey::thumbprint);
                (proven, key)
            }
            Holder::Vouched(key) => (None, Some(*key)),
            Holder::Nobody => (None, None),
        };
        match token.claims.cnf.map(|cnf| cnf.jkt) {
            Some(_) if key.is_none() => {
                let text = "the token is bound to a key: it needs a proof of possession";
                Err(Error::new(Code::ProofRequired, text))
            }
            bound if bound == key => Ok(Caller {
                token,
                asking,
                proven,
                key,
            }),
            _ => {
                let text = "the token is bound to another key than the one that it was sent by";
                Err(Error::new(Code::ProofInvalid, text))
            }
        }
    }

    /// One way through, as for any verb.
    pub(in crate::broker) async fn try_use<U: Use>(
        &self,
        caller: &Caller,
        standing: &Standing,
        wanted: &U,
    ) -> Result<Result<U::Outcome, (Unsettled, Trace)>, Error> {
        let mut laps = Laps::start(self.clock.as_ref(), U::VERB);
        let Standing {
            task: Some(task),
            lineage: Some(lineage),
            ..
        } = standing
        else {
            return Err(Error::new(Code::Internal, "a session without its task"));
        };
        let rules = self.rules.now();
        let Some(Under { profile, policies }) = rules.under(&task.profile) else {
            let standing = standing.clone();
            return Err(self.unconfigured(task, lineage, standing, U::VERB).await);
        };
        let facts = self.observer.observe(profile, Ties::Lineage(lineage)).await;
        laps.done("observe");
        let place = if wanted.may_follow(caller, profile) {
            Some(self.place().await?)
        } else {
            None
        };
        let mut case = Case::of_session(Verb::Check, profile, standing, &facts)?;
        case.key = caller.key;
        case.proof = caller.proven.as_ref().map(ProvenKey::once);
        let trace = || Trace::of(&case, U::VERB);
        // A source or the writer may have taken its time. From here to the answer of a read nothing waits, so what has been
        // heard by now is all that the answer has to know.
        self.fresh()?;
        if !self.is_current(standing) || !self.rules.are(&rules) {
            return Ok(Err((Unsettled::Again, trace())));
        }
        if let Some(denial) = self.barred(&caller.token) {
            return Err(self.deny(denial, &trace()).await);
        }
        let clearance = match self.clear(policies, &case, &wanted.question(caller)) {
            Ok(clearance) => clearance,
            Err(refusal) => return Err(self.refuse(refusal, &trace()).await),
        };
        // After the decision: that a task or lineage has ended says more than this does.
        if !is_given_since(caller.token.claims.jti, lineage.released_at) {
            return Err(self.deny(revoked(), &trace()).await);
        }
        laps.done("decide");
        if let Some(outcome) = wanted.before(caller) {
            return Ok(Ok(outcome));
        }
        let scene = self.scene(self.clock.now());
        let record = wanted.record(clearance, caller, profile, scene)?;
        let recorded = self.put_down(record.change, record.when, place).await;
        laps.done("settle");
        let outcome = recorded.map(|()| record.outcome);
        Ok(outcome.map_err(|unsettled| (unsettled, trace())))
    }

    /// A place for the record of a read that need not wait for it. Whoever finds none in time is not permitted.
    async fn place(&self) -> Result<Place<'_>, Error> {
        let late = self.clock.sleep_until(self.clock.now().plus(RETRY));
        tokio::select! {
            biased;
            place = self.store.place() => place.map_err(|down| unavailable(&down)),
            () = late => Err(overloaded(RETRY)),
        }
    }

    /// Records what was cleared: durably before this returns, or only on its way where a read need not wait.
    async fn put_down(
        &self,
        change: Change,
        when: Recorded,
        place: Option<Place<'_>>,
    ) -> Result<(), Unsettled> {
        if let (Recorded::AfterAnswer, Some(place)) = (when, place) {
            place.put(change);
            return Ok(());
        }
        let committed = trace::within("commit", self.store.commit(change)).await;
        committed.map(|_receipt| ()).map_err(unsettled)
    }

    /// Whether the token was revoked, or an operator has barred its workload or its key.
    fn barred(&self, token: &OwnToken) -> Option<Denial> {
        let (view, now) = (self.store.view(), self.clock.now());
        let bars = token.footing().bars;
        let bar = bars.iter().find(|bar| view.is_barred(bar, now))?;
        if matches!(bar, BarKey::Credential(_)) {
            return Some(revoked());
        }
        Some(barred(bar))
    }
}

fn revoked() -> Denial {
    let text = "the credential that was shown has been revoked";
    Denial::new(Code::CredentialRevoked, text)
}
