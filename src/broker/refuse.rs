//! Refusals, recorded. A denial that ends a lineage or task ends it in the transaction that records
//! it. The same refusal within a minute answers with the first one's id and writes nothing: a broken
//! client in a loop costs no database write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::attest::Attested;
use crate::broker::Broker;
use crate::broker::caller::client;
use crate::broker::settle::Unsettled;
use crate::decide::case::{Case, fact_mark};
use crate::decide::denial::{Denial, Ends, Refusal, Undetermined};
use crate::domain::context::RecordKey;
use crate::domain::identity::Identity;
use crate::domain::ids::ChangeId;
use crate::domain::key::Digest;
use crate::domain::name::TaskName;
use crate::domain::position::DenialId;
use crate::domain::standing::Standing;
use crate::domain::task::End;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::change::{Change, Lane, Write};
use crate::ledger::entry::{Entry, Event, FactMark, Refused, Subject};
use crate::telemetry;

/// What a refusal is about, for its record.
#[derive(Debug, Clone)]
pub struct Trace {
    pub verb: &'static str,
    pub identity: Identity,
    pub evidence: Option<Digest>,
    pub standing: Standing,
    pub subject: Subject,
    pub facts: Vec<FactMark>,
    /// What the evidence named, where nothing was looked at.
    pub about: Vec<RecordKey>,
}

/// The refusals of the last minute, bounded.
pub struct DenialMemory {
    recent: Mutex<HashMap<Digest, (Timestamp, DenialId)>>,
}

impl Broker {
    /// Records a refusal and turns it into the caller's answer.
    pub(in crate::broker) async fn refuse(&self, refusal: Refusal, trace: &Trace) -> Error {
        match refusal {
            Refusal::Denied(denial) => self.deny(*denial, trace).await,
            Refusal::Undetermined(why) => self.leave_open(*why, trace).await,
        }
    }

    /// Records a denial, and ends what it ends in the same transaction.
    pub(in crate::broker) async fn deny(&self, denial: Denial, trace: &Trace) -> Error {
        metrics::counter!("writ_denials_total", "verb" => trace.verb, "code" => denial.code.as_str()).increment(1);
        let answer = answer(&denial);
        let key = memory_key(denial.code, denial.field.as_deref(), trace);
        let now = self.clock.now();
        if let Some(id) = self.denials.recall(key, now) {
            return answer.with_denial(id);
        }
        match self.commit(self.denial_change(&denial, trace, now)).await {
            Ok(receipt) => {
                let id = DenialId(receipt.position());
                self.denials.remember(key, now, id);
                let trace_id = telemetry::trace::id().map(|id| id.to_string());
                let client = client().map(tracing::field::display);
                tracing::info!(code = %denial.code, field = denial.field, denial = %id, verb = trace.verb, client, trace_id, "denied");
                answer.with_denial(id)
            }
            // Somebody else ended it first, and recorded why.
            Err(Unsettled::Again | Unsettled::EvidenceUsed(_) | Unsettled::Denied(_)) => answer,
            // What could not be recorded was not decided: nothing was issued all the same.
            Err(Unsettled::Failed(error)) => error,
        }
    }

    async fn leave_open(&self, why: Undetermined, trace: &Trace) -> Error {
        metrics::counter!("writ_undetermined_total", "verb" => trace.verb, "code" => why.code.as_str()).increment(1);
        let mut answer = Error::new(why.code, why.public.clone()).with_retry_after(why.retry_after);
        if let Some(field) = &why.field {
            answer = answer.with_field(field.clone());
        }
        let key = memory_key(why.code, why.field.as_deref(), trace);
        let now = self.clock.now();
        if let Some(id) = self.denials.recall(key, now) {
            return answer.with_denial(id);
        }
        let record = Refused {
            internal: why.internal.clone(),
            ..refused(why.code, why.field.as_deref(), &why.public, trace)
        };
        let change = self.record(
            Lane::Issue,
            Vec::new(),
            Event::Undetermined(record),
            trace,
            now,
        );
        // The answer stands with or without its record: nothing was decided.
        if let Ok(receipt) = self.commit(change).await {
            let id = DenialId(receipt.position());
            self.denials.remember(key, now, id);
            answer = answer.with_denial(id);
        }
        answer
    }

    fn denial_change(&self, denial: &Denial, trace: &Trace, now: Timestamp) -> Change {
        let end = End {
            field: denial.field.clone(),
            ..End::new(denial.code, now)
        };
        let Standing { task, lineage, .. } = trace.standing.clone();
        let ended = match denial.ends {
            Ends::Nothing => None,
            Ends::Lineage => lineage.and_then(|l| l.end(end).ok()).map(Write::Lineage),
            Ends::Task => task.and_then(|t| t.end(end).ok()).map(Write::Task),
        };
        let lane = if ended.is_some() {
            Lane::Revoke
        } else {
            Lane::Issue
        };
        let record = Refused {
            required: denial.required.clone(),
            observed: denial.observed.clone(),
            internal: denial.internal.clone(),
            policies: denial.policies.clone(),
            judged: denial.judged.clone(),
            ended_lineage: ended.is_some(),
            ..refused(denial.code, denial.field.as_deref(), &denial.public, trace)
        };
        self.record(
            lane,
            ended.into_iter().collect(),
            Event::Denied(record),
            trace,
            now,
        )
    }

    fn record(
        &self,
        lane: Lane,
        writes: Vec<Write>,
        event: Event,
        trace: &Trace,
        now: Timestamp,
    ) -> Change {
        Change {
            id: ChangeId::new(now, self.entropy.as_ref()),
            realm: self.realm,
            lane,
            expects: Vec::new(),
            writes,
            entry: Entry {
                at: now,
                subject: trace.subject.clone(),
                event,
            },
        }
    }
}

impl Trace {
    /// The trace of a case that was decided.
    pub fn of(case: &Case<'_>, verb: &'static str) -> Self {
        let standing = case.standing.clone();
        let subject = Subject {
            task: standing.task.as_ref().map(|task| task.id),
            task_name: Some(case.task_name.clone()),
            lineage: standing.lineage.as_ref().map(|lineage| lineage.id),
            session: standing.session.as_ref().map(|session| session.id),
            workload: Some(case.identity.id().clone()),
        };
        Self {
            verb,
            identity: case.identity.clone(),
            evidence: case.evidence.map(|evidence| evidence.digest),
            standing,
            subject,
            facts: case.facts.known().map(fact_mark).collect(),
            about: Vec::new(),
        }
    }

    /// The trace of a refusal that came before any case was put together.
    pub fn early(
        verb: &'static str,
        identity: &Identity,
        evidence: Option<Digest>,
        standing: Standing,
    ) -> Self {
        let subject = Subject {
            task: standing.task.as_ref().map(|task| task.id),
            task_name: standing.task.as_ref().map(|task| task.name.clone()),
            lineage: standing.lineage.as_ref().map(|lineage| lineage.id),
            session: standing.session.as_ref().map(|session| session.id),
            workload: Some(identity.id().clone()),
        };
        Self {
            verb,
            identity: identity.clone(),
            evidence,
            standing,
            subject,
            facts: Vec::new(),
            about: Vec::new(),
        }
    }

    /// The trace of evidence that was refused before any case was put together: the task that it would
    /// have opened, as far as that is known, and the records that it named.
    pub fn of_evidence(attested: &Attested, task: Option<&TaskName>, standing: Standing) -> Self {
        let digest = Some(attested.evidence().digest);
        let mut trace = Self::early("issue", attested.identity(), digest, standing);
        let records = attested.records().iter();
        trace.about = records.map(|related| related.key.clone()).collect();
        trace.subject.task_name = trace.subject.task_name.or_else(|| task.cloned());
        trace
    }
}

impl Default for DenialMemory {
    fn default() -> Self {
        Self {
            recent: Mutex::new(HashMap::new()),
        }
    }
}

impl DenialMemory {
    fn recall(&self, key: Digest, now: Timestamp) -> Option<DenialId> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, id) = recent.get(&key)?;
        (now.since(*at) < MEMORY).then_some(*id)
    }

    fn remember(&self, key: Digest, now: Timestamp, id: DenialId) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= CAPACITY {
            recent.retain(|_, (at, _)| now.since(*at) < MEMORY);
        }
        if recent.len() < CAPACITY {
            recent.insert(key, (now, id));
        }
    }
}

fn answer(denial: &Denial) -> Error {
    let mut answer = Error::new(denial.code, denial.public.clone());
    if let Some(challenge) = denial.challenge {
        answer = answer.with_challenge(challenge);
    }
    match &denial.field {
        Some(field) => answer.with_field(field.clone()),
        None => answer,
    }
}

fn refused(code: Code, field: Option<&str>, public: &str, trace: &Trace) -> Refused {
    Refused {
        verb: trace.verb.to_owned(),
        code,
        field: field.map(str::to_owned),
        required: None,
        observed: None,
        public: public.to_owned(),
        internal: None,
        identity: Some(trace.identity.clone()),
        evidence: trace.evidence,
        policies: Vec::new(),
        judged: None,
        facts: trace.facts.clone(),
        about: trace.about.clone(),
        from: client(),
        ended_lineage: false,
    }
}

/// The same lineage, or what the evidence named where there is none yet, refused for the same reason.
fn memory_key(code: Code, field: Option<&str>, trace: &Trace) -> Digest {
    let whom = trace.subject.lineage.map_or_else(
        || trace.identity.id().to_string(),
        |lineage| lineage.to_string(),
    );
    let about = trace.about.iter().map(ToString::to_string);
    let about = about.collect::<Vec<_>>().join(" ");
    Digest::of(&[
        trace.verb.as_bytes(),
        code.as_str().as_bytes(),
        field.unwrap_or("").as_bytes(),
        whom.as_bytes(),
        about.as_bytes(),
    ])
}

const MEMORY: Duration = Duration::from_mins(1);

const CAPACITY: usize = 10_000;
