//! A change: values that a verb builds and the store admits atomically, or refuses by naming the
//! expectation that failed.

use serde::{Deserialize, Serialize};
use writ_keys::KeyRow;

use crate::domain::context::RecordKey;
use crate::domain::credential::CredentialRecord;
use crate::domain::freeze::Freeze;
use crate::domain::grant::SecretPath;
use crate::domain::ids::{ChangeId, CredentialId, LineageId, Realm, SessionId, TaskId};
use crate::domain::key::Digest;
use crate::domain::lineage::Lineage;
use crate::domain::name::GrantName;
use crate::domain::reservation::Reservation;
use crate::domain::session::Session;
use crate::domain::task::{Epoch, Task};
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::entry::Entry;

/// One atomic change. Admitted whole or not at all.
#[derive(Debug, Clone)]
pub struct Change {
    pub id: ChangeId,
    pub realm: Realm,
    pub lane: Lane,
    pub expects: Vec<Expectation>,
    pub writes: Vec<Write>,
    pub entry: Entry,
}

/// The queue's order: a revocation never waits behind an issue, and nothing behind a record that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    Revoke,
    Renew,
    Issue,
    /// What was answered already.
    Note,
}

/// What must still be true when the change is admitted. Any number of changes may hold the same
/// one: issuing under a task moves no epoch, so issues do not conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "expect", rename_all = "snake_case")]
pub enum Expectation {
    TaskOpen {
        task: TaskId,
        epoch: Epoch,
    },
    LineageLive {
        lineage: LineageId,
        epoch: Epoch,
    },
    SessionLive {
        session: SessionId,
    },
    /// The parent of what is issued: recorded, not barred, not expired.
    CredentialStanding {
        lineage: LineageId,
        credential: CredentialId,
    },
    NotBarred {
        key: BarKey,
    },
    /// The policies that were decided on are still the ones in force.
    PolicySet {
        digest: Digest,
    },
    /// The end of what was decided on, compared with the writer's clock at commit.
    Before {
        at: Timestamp,
    },
}

/// One write of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "write", rename_all = "snake_case")]
pub enum Write {
    /// The whole row; its epoch is the old one's next, or the first for a new row.
    Task(Task),
    /// As for a task.
    Lineage(Lineage),
    /// As for a task.
    Session(Session),
    /// Appended, never updated.
    Credential(CredentialRecord),
    /// A key that may be used once.
    Once(Once),
    /// Uses taken from a task's grant; the limit is the grant's own.
    Spend {
        task: TaskId,
        grant: GrantName,
        uses: u32,
    },
    Bar(Bar),
    /// The highest version of a record that was seen at its source.
    Source(SourceMark),
    Secret(SealedVersion),
    SecretDeleted {
        path: SecretPath,
    },
    Key(KeyChange),
    /// As for a task; a lifted freeze is its row in the next epoch.
    Freeze(Freeze),
    /// An order that was carried out under a key.
    Answered(Answered),
    /// The whole row, reserved or consumed. What is reserved takes its use in the same change.
    Reservation(Reservation),
}

/// A single-use key. `until` leads its primary key, so it must be the same for every retry: it
/// comes from the evidence or proof itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Once {
    pub kind: OnceKind,
    pub until: Timestamp,
    pub digest: Digest,
    /// The session that the key opened, so that its owner can find it again.
    pub session: Option<SessionId>,
}

/// What a single-use key stands for; the same bytes of another kind are another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnceKind {
    Evidence,
    Proof,
}

/// The version at which a record was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMark {
    pub record: RecordKey,
    pub version: String,
    pub observed_at: Timestamp,
}

/// One sealed version of a secret. The sealed bytes are in its row only; the log has their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVersion {
    pub path: SecretPath,
    pub version: u32,
    pub at: Timestamp,
    pub key_id: String,
    pub digest: Digest,
    #[serde(skip)]
    pub wrapped: Vec<u8>,
    #[serde(skip)]
    pub sealed: Vec<u8>,
}

/// A key's row was made or moved to another state. The wrapped bytes are in its row only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyChange {
    pub id: String,
    pub purpose: String,
    pub state: String,
    #[serde(skip)]
    pub row: Option<KeyRow>,
}

impl PartialEq for KeyChange {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.purpose, &self.state) == (&other.id, &other.purpose, &other.state)
    }
}

impl Eq for KeyChange {}

impl Write {
    /// The credential, where it records one.
    pub const fn credential(&self) -> Option<&CredentialRecord> {
        if let Self::Credential(record) = self {
            return Some(record);
        }
        None
    }
}

impl OnceKind {
    pub const fn number(self) -> u8 {
        match self {
            Self::Evidence => 1,
            Self::Proof => 2,
        }
    }
}
