//! The entry of a change: what happened, for the audit log (`leaf`) and for followers (`touches`).
//! Leaf bytes are frozen per format once written; touches are a feed and may change each release.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use writ_keys::KeyId;

pub use crate::decide::asked::Request;
use crate::domain::action::{Effect, ResourceId};
use crate::domain::constraint::Risk;
use crate::domain::context::RecordKey;
use crate::domain::freeze::FreezeScope;
use crate::domain::grant::SecretPath;
use crate::domain::host::Host;
use crate::domain::identity::{Identity, SpiffeId};
use crate::domain::ids::{
    ChangeId, CredentialId, LineageId, Realm, ReservationId, SessionId, TaskId,
};
use crate::domain::key::Digest;
use crate::domain::name::{ActionName, GrantName, ResourceKind, ServerName, TaskName};
use crate::domain::profile::Via;
use crate::domain::session::SessionState;
use crate::domain::task::{Epoch, TaskState};
use crate::domain::time::Timestamp;
use crate::domain::x509::Serial;
use crate::error::Code;
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Change, Expectation, Write};

/// The format of leaves that this release writes.
pub const FORMAT: u16 = 1;

/// How many names of one sort an entry has.
const MOST_NAMES: usize = 64;

/// One per change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: Timestamp,
    pub subject: Subject,
    pub event: Event,
}

/// Whom an entry is about, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_name: Option<TaskName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lineage: Option<LineageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workload: Option<SpiffeId>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Issued(Justification),
    Renewed(Justification),
    SecretRead(Justification),
    SvidIssued(Justification),
    /// One action was permitted, at its use.
    Acted(Box<Deed>),
    /// One use of an action was taken from its task's pool, for good.
    PermitReserved(Box<PermitDeed>),
    /// It was used.
    PermitConsumed(Box<PermitDeed>),
    Denied(Refused),
    /// Nothing was known to be false, and nothing was issued.
    Undetermined(Refused),
    /// An operator opened it for one workload.
    TaskOpened {
        by: String,
        reason: Option<String>,
    },
    TaskClosed {
        by: String,
        reason: Option<String>,
    },
    TaskRevoked {
        by: String,
        reason: Option<String>,
    },
    LineageRevoked {
        by: String,
        reason: Option<String>,
    },
    RiskRaised {
        risk: Risk,
        by: String,
        reason: Option<String>,
    },
    /// What waited for it is permitted until then, once there are as many as the profile wants.
    Approved {
        until: Timestamp,
        by: String,
        reason: Option<String>,
    },
    /// Everything under a lineage was stopped until somebody has looked.
    Quarantined {
        by: String,
        reason: Option<String>,
    },
    /// A lineage goes on, with the narrower grants that the entry writes.
    Released {
        by: String,
        reason: Option<String>,
    },
    SessionRevoked {
        by: String,
    },
    CredentialRevoked {
        credential: CredentialId,
        by: String,
    },
    BarSet {
        key: BarKey,
        by: String,
        reason: Option<String>,
    },
    /// A source was read, and what justified the task or lineage is over, or not what it was.
    ContextEnded {
        record: RecordKey,
        field: String,
        value: String,
        /// Absent: `context_ended`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        code: Option<Code>,
    },
    SecretStored {
        path: SecretPath,
        version: u32,
        by: String,
    },
    SecretDeleted {
        path: SecretPath,
        by: String,
    },
    KeyMoved {
        id: String,
        purpose: String,
        state: String,
        by: String,
    },
    /// The broker's own authority signed a certificate for the broker's own server.
    ServerCertified {
        serial: Serial,
        authority: KeyId,
        hosts: Vec<Host>,
        expires_at: Timestamp,
    },
    Frozen {
        scope: FreezeScope,
        until: Timestamp,
        by: String,
        reason: Option<String>,
    },
    FreezeLifted {
        scope: FreezeScope,
        by: String,
        reason: Option<String>,
    },
    /// Other profiles or policies took the place of those that were decided by.
    RulesReplaced {
        from: Digest,
        to: Digest,
        profiles: Delta,
        policies: Delta,
        by: String,
        reason: Option<String>,
    },
}

/// What became of things that have names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

/// Why something was given: who, on which evidence, by which policies, on which facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Justification {
    pub identity: Identity,
    pub evidence: Option<Digest>,
    pub policies: Vec<String>,
    pub policy_set: Digest,
    pub facts: Vec<FactMark>,
}

/// An action that was permitted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// The token that was shown.
    pub credential: CredentialId,
    pub grant: GrantName,
    pub action: ActionName,
    pub effect: Effect,
    pub kind: ResourceKind,
    pub id: ResourceId,
    pub because: Justification,
}

/// One use of an action, and why it was reserved or consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitDeed {
    pub permit: ReservationId,
    /// When it lapses, or would have.
    pub until: Timestamp,
    /// The resource server that consumed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<ServerName>,
    pub deed: Deed,
}

/// Why something was refused. Everything here is for the operator; the caller gets the code, the
/// field and the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub verb: String,
    pub code: Code,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub required: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed: Option<String>,
    pub public: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub internal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<Digest>,
    pub policies: Vec<String>,
    /// What the policies were asked, where it came to that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub judged: Option<Box<Judged>>,
    pub facts: Vec<FactMark>,
    /// The records that the evidence named, where it was refused before any was looked at: a refusal
    /// without a task is found by them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub about: Vec<RecordKey>,
    /// Whence it was asked, as far as listed proxies vouch for it. It took no part in the decision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<IpAddr>,
    /// Whether the refusal ended the lineage in the same transaction.
    pub ended_lineage: bool,
}

/// What policies were asked, and which they were. With the identity and the facts beside it the question can be
/// put again, but for what a service said of a resource, which is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub policy_set: Digest,
    pub asked: Request,
}

/// A fact that a decision rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactMark {
    pub record: RecordKey,
    pub via: Via,
    pub observed_at: Timestamp,
    /// The record's fields; empty when the source answered that there is no such record.
    pub fields: BTreeMap<String, String>,
    pub present: bool,
}

/// What a follower has to know of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    pub aggregate: Aggregate,
    pub epoch: Epoch,
    pub life: Life,
    /// Until when a tombstone must be remembered.
    pub until: Timestamp,
    /// A lineage's release from quarantine: what was given before does not stand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub released_at: Option<Timestamp>,
}

/// What moved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "of", content = "id", rename_all = "snake_case")]
pub enum Aggregate {
    Task(TaskId),
    Lineage(LineageId),
    Session(SessionId),
    Bar(BarKey),
    Freeze(FreezeScope),
}

/// Alive, or over: for good, unless it is a freeze that was lifted or a lineage that left quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    Live,
    Over,
}

/// The leaf of format 1, as it is read back for replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    pub format: u16,
    pub change: ChangeId,
    pub realm: Realm,
    pub at: Timestamp,
    pub subject: Subject,
    pub event: Event,
    pub expects: Vec<Expectation>,
    pub writes: Vec<Write>,
}

#[derive(Serialize)]
struct LeafRef<'a> {
    format: u16,
    change: ChangeId,
    realm: Realm,
    at: Timestamp,
    subject: &'a Subject,
    event: &'a Event,
    expects: &'a [Expectation],
    writes: &'a [Write],
}

impl Change {
    /// The bytes that enter the audit tree. They hold no secret: sealed and wrapped bytes stay in
    /// their rows.
    pub fn leaf(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&LeafRef {
            format: FORMAT,
            change: self.id,
            realm: self.realm,
            at: self.entry.at,
            subject: &self.entry.subject,
            event: &self.entry.event,
            expects: &self.expects,
            writes: &self.writes,
        })
    }

    /// What followers are told.
    pub fn touches(&self) -> Vec<Touch> {
        self.writes.iter().filter_map(touch_of).collect()
    }
}

impl Delta {
    /// The same within the bound of an entry: of a long list the first names, and how many more there are.
    #[must_use]
    pub fn bounded(&self) -> Self {
        let some = |all: &[String]| {
            let mut names: Vec<_> = all.iter().take(MOST_NAMES).cloned().collect();
            if let Some(more) = all.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
                names.push(format!("and {more} more"));
            }
            names
        };
        Self {
            added: some(&self.added),
            changed: some(&self.changed),
            removed: some(&self.removed),
        }
    }
}

impl Event {
    /// Whether something was refused, or left undetermined.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Undetermined(_))
    }

    /// The event's name in rows, logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Issued(_) => "issued",
            Self::Renewed(_) => "renewed",
            Self::SecretRead(_) => "secret_read",
            Self::SvidIssued(_) => "svid_issued",
            Self::Acted(_) => "acted",
            Self::PermitReserved(_) => "permit_reserved",
            Self::PermitConsumed(_) => "permit_consumed",
            Self::Denied(_) => "denied",
            Self::Undetermined(_) => "undetermined",
            Self::TaskOpened { .. } => "task_opened",
            Self::TaskClosed { .. } => "task_closed",
            Self::TaskRevoked { .. } => "task_revoked",
            Self::LineageRevoked { .. } => "lineage_revoked",
            Self::RiskRaised { .. } => "risk_raised",
            Self::Approved { .. } => "approved",
            Self::Quarantined { .. } => "quarantined",
            Self::Released { .. } => "released",
            Self::SessionRevoked { .. } => "session_revoked",
            Self::CredentialRevoked { .. } => "credential_revoked",
            Self::BarSet { .. } => "bar_set",
            Self::ContextEnded { .. } => "context_ended",
            Self::SecretStored { .. } => "secret_stored",
            Self::SecretDeleted { .. } => "secret_deleted",
            Self::KeyMoved { .. } => "key_moved",
            Self::ServerCertified { .. } => "server_certified",
            Self::Frozen { .. } => "frozen",
            Self::FreezeLifted { .. } => "freeze_lifted",
            Self::RulesReplaced { .. } => "rules_replaced",
        }
    }
}

/// What a written row means to a follower.
pub fn touch_of(write: &Write) -> Option<Touch> {
    let life = |live: bool| if live { Life::Live } else { Life::Over };
    match write {
        Write::Task(task) => Some(Touch {
            aggregate: Aggregate::Task(task.id),
            epoch: task.epoch,
            life: life(matches!(task.state, TaskState::Open)),
            until: task.deadline,
            released_at: None,
        }),
        Write::Lineage(lineage) => Some(Touch {
            aggregate: Aggregate::Lineage(lineage.id),
            epoch: lineage.epoch,
            life: life(lineage.is_live()),
            until: lineage.deadline,
            released_at: lineage.released_at,
        }),
        Write::Session(session) => Some(Touch {
            aggregate: Aggregate::Session(session.id),
            epoch: session.epoch,
            life: life(matches!(session.state, SessionState::Live)),
            until: session.deadline,
            released_at: None,
        }),
        Write::Bar(bar) => Some(Touch {
            aggregate: Aggregate::Bar(bar.key.clone()),
            epoch: Epoch::FIRST,
            life: Life::Over,
            until: bar.until,
            released_at: None,
        }),
        // Held fast like a tombstone while it holds; lifted, it permits again.
        Write::Freeze(freeze) => Some(Touch {
            aggregate: Aggregate::Freeze(freeze.scope.clone()),
            epoch: freeze.epoch,
            life: life(freeze.lifted_at.is_some()),
            until: freeze.until,
            released_at: None,
        }),
        Write::Credential(_)
        | Write::Once(_)
        | Write::Spend { .. }
        | Write::Source(_)
        | Write::Secret(_)
        | Write::SecretDeleted { .. }
        | Write::Key(_)
        | Write::Answered(_)
        | Write::Reservation(_) => None,
    }
}
