//! A refusal with everything that an operator may know of it: what was asked, what decided, what was
//! known and how old it was, what ended with it, and what to do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::advice::advice;
use super::when::When;
use crate::domain::identity::Identity;
use crate::domain::key::Digest;
use crate::domain::position::DenialId;
use crate::domain::profile::Via;
use crate::domain::time::Timestamp;
use crate::error::Code;
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, FactMark, Leaf, Refused, Request, Subject};
use crate::store::StoredEntry;

/// The whole trace of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub id: String,
    pub at: When,
    pub verdict: Verdict,
    /// What was asked for: `issue`, `renew`, `read`.
    pub verb: String,
    #[schema(value_type = String)]
    pub code: Code,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub required: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed: Option<String>,
    /// What the caller was told.
    pub detail: String,
    /// What it was not told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub internal: Option<String>,
    #[schema(value_type = Object)]
    pub subject: Subject,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub identity: Option<Identity>,
    /// SHA-256 of the evidence, to find the same evidence again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub evidence: Option<Digest>,
    /// Whence it was asked. It took no part in the decision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    pub policies: Vec<String>,
    /// The digest of the profiles and policies that denied it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy_set: Option<String>,
    /// What they were asked, for `writ policy simulate`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub asked: Option<Request>,
    pub facts: Vec<FactView>,
    /// What ended in the same transaction.
    pub ended: Vec<EndedView>,
    pub advice: String,
}

/// Whether something was known to be false, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Denied,
    Undetermined,
}

/// A fact that the decision rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactView {
    pub record: String,
    #[schema(value_type = String)]
    pub via: Via,
    pub observed_at: When,
    /// How old it was when it was decided on, in milliseconds.
    pub age_ms: u64,
    /// Whether the source has such a record.
    pub present: bool,
    pub fields: BTreeMap<String, String>,
}

/// Something that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedView {
    pub what: EndedKind,
    pub id: String,
}

/// What it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedKind {
    Task,
    Lineage,
    Session,
}

impl Explanation {
    /// `None` when the entry is no refusal.
    pub(super) fn of(entry: &StoredEntry, leaf: &Leaf) -> Option<Self> {
        let (verdict, refused) = refusal(&leaf.event)?;
        let judged = refused.judged.as_deref();
        Some(Self {
            id: DenialId(entry.position).to_string(),
            at: leaf.at.into(),
            verdict,
            verb: refused.verb.clone(),
            code: refused.code,
            field: refused.field.clone(),
            required: refused.required.clone(),
            observed: refused.observed.clone(),
            detail: refused.public.clone(),
            internal: refused.internal.clone(),
            subject: leaf.subject.clone(),
            identity: refused.identity.clone(),
            evidence: refused.evidence,
            from: refused.from,
            policies: refused.policies.clone(),
            policy_set: judged.map(|judged| judged.policy_set.to_string()),
            asked: judged.map(|judged| judged.asked.clone()),
            facts: refused
                .facts
                .iter()
                .map(|fact| FactView::of(fact, leaf.at))
                .collect(),
            ended: leaf.writes.iter().filter_map(ended).collect(),
            advice: advice(refused.code).to_owned(),
        })
    }
}

fn refusal(event: &Event) -> Option<(Verdict, &Refused)> {
    match event {
        Event::Denied(refused) => Some((Verdict::Denied, refused)),
        Event::Undetermined(refused) => Some((Verdict::Undetermined, refused)),
        Event::Issued(_)
        | Event::Renewed(_)
        | Event::SecretRead(_)
        | Event::SvidIssued(_)
        | Event::Acted(_)
        | Event::PermitReserved(_)
        | Event::PermitConsumed(_)
        | Event::TaskOpened { .. }
        | Event::TaskClosed { .. }
        | Event::TaskRevoked { .. }
        | Event::LineageRevoked { .. }
        | Event::RiskRaised { .. }
        | Event::Approved { .. }
        | Event::Quarantined { .. }
        | Event::Released { .. }
        | Event::SessionRevoked { .. }
        | Event::CredentialRevoked { .. }
        | Event::BarSet { .. }
        | Event::ContextEnded { .. }
        | Event::SecretStored { .. }
        | Event::SecretDeleted { .. }
        | Event::KeyMoved { .. }
        | Event::ServerCertified { .. }
        | Event::Frozen { .. }
        | Event::FreezeLifted { .. }
        | Event::RulesReplaced { .. } => None,
    }
}

impl FactView {
    fn of(fact: &FactMark, decided: Timestamp) -> Self {
        let age = decided.since(fact.observed_at).as_millis();
        Self {
            record: fact.record.to_string(),
            via: fact.via,
            observed_at: fact.observed_at.into(),
            age_ms: u64::try_from(age).unwrap_or(u64::MAX),
            present: fact.present,
            fields: fact.fields.clone(),
        }
    }
}

fn ended(write: &Write) -> Option<EndedView> {
    let (what, id) = match write {
        Write::Task(task) if !task.is_open() => (EndedKind::Task, task.id.to_string()),
        Write::Lineage(lineage) if lineage.is_over() => {
            (EndedKind::Lineage, lineage.id.to_string())
        }
        Write::Session(session) if !session.is_live() => {
            (EndedKind::Session, session.id.to_string())
        }
        Write::Task(_)
        | Write::Lineage(_)
        | Write::Session(_)
        | Write::Credential(_)
        | Write::Once(_)
        | Write::Spend { .. }
        | Write::Bar(_)
        | Write::Source(_)
        | Write::Secret(_)
        | Write::SecretDeleted { .. }
        | Write::Key(_)
        | Write::Freeze(_)
        | Write::Answered(_)
        | Write::Reservation(_) => return None,
    };
    Some(EndedView { what, id })
}
