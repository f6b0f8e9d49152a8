//! Where the log and its rows are kept. The traits say what a verb may ask of a store; how a backend
//! does it, and in which SQL, stays below this module. A look-up gives `None` for what does not
//! exist: absence is an answer, and [`Down`] is the lack of one.

use std::time::Duration;

use futures_util::future::BoxFuture;
use writ_keys::KeyRow;

use crate::domain::context::RecordKey;
use crate::domain::credential::CredentialRecord;
use crate::domain::freeze::Freeze;
use crate::domain::grant::SecretPath;
use crate::domain::ids::{
    ChangeId, CredentialId, LineageId, Realm, ReservationId, SessionId, TaskId,
};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::lineage::Lineage;
use crate::domain::name::{GrantName, InstanceName, TaskName};
use crate::domain::position::Position;
use crate::domain::reservation::Reservation;
use crate::domain::standing::{Held, Standing, Tied};
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::ledger::change::{Change, OnceKind, SealedVersion};
use crate::ledger::entry::Touch;
use crate::ledger::rows::Refusal;

pub mod inquiry;
pub mod row_mac;
pub mod settings;
pub mod sqlite;
pub mod view;
mod writer;

pub use writer::{Place, Settings};

/// What every verb needs: the one way to change the ledger, and the rows to decide on.
pub trait Store: Listing + inquiry::Inquiry + Audit + Upkeep + Send + Sync {
    /// Admits a change, durably, or names the expectation that failed. It goes on when the caller
    /// is dropped: a client that hangs up does not undo a commit.
    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>>;

    /// A place for a record that follows its answer. It is taken before anything is decided, and waited for
    /// where the writer is behind, so that nothing waits between a decision and its answer.
    fn place(&self) -> BoxFuture<'_, Result<Place<'_>, Down>>;

    /// What stands under a task's name: the task, the instance's lineage in it, and the lineage's
    /// session of this key (or of none).
    fn standing<'a>(
        &'a self,
        realm: Realm,
        name: &'a TaskName,
        instance: &'a InstanceName,
        key: Option<Thumbprint>,
    ) -> BoxFuture<'a, Result<Standing, Down>>;

    /// A session with its lineage and task.
    fn held(&self, realm: Realm, session: SessionId) -> BoxFuture<'_, Result<Option<Held>, Down>>;

    /// Whether a single-use key was used, and the session that it opened.
    fn once(
        &self,
        realm: Realm,
        kind: OnceKind,
        until: Timestamp,
        digest: Digest,
    ) -> BoxFuture<'_, Result<Option<OnceUsed>, Down>>;

    /// An order that was carried out under a key, with what it came to.
    fn answered(&self, realm: Realm, key: Digest) -> BoxFuture<'_, Result<Option<Answered>, Down>>;

    /// One use of an action that a task has reserved.
    fn reservation(
        &self,
        realm: Realm,
        task: TaskId,
        id: ReservationId,
    ) -> BoxFuture<'_, Result<Option<Reservation>, Down>>;

    /// One credential of a lineage.
    fn credential(
        &self,
        realm: Realm,
        lineage: LineageId,
        id: CredentialId,
    ) -> BoxFuture<'_, Result<Option<CredentialRecord>, Down>>;

    /// The newest version of a secret; `None` when there is none or it was deleted.
    fn secret<'a>(
        &'a self,
        realm: Realm,
        path: &'a SecretPath,
    ) -> BoxFuture<'a, Result<Option<SealedVersion>, Down>>;

    /// The lineages that are bound to a record, with their tasks, which are open: live ones, and for a
    /// run those that ended as well, since the run may end after every job of it has.
    fn bound<'a>(
        &'a self,
        realm: Realm,
        record: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Vec<Tied>, Down>>;

    /// Records that lineages are bound to, in an order that stays, from above `after`. Some of them
    /// may be records that nobody stands on any more.
    fn records<'a>(
        &'a self,
        realm: Realm,
        after: Option<&'a RecordKey>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RecordKey>, Down>>;

    /// What is known in memory of tasks, lineages, sessions and bars.
    fn view(&self) -> &view::View;
}

/// What operators look at.
pub trait Listing {
    fn task(&self, realm: Realm, id: TaskId) -> BoxFuture<'_, Result<Option<Task>, Down>>;

    fn task_named<'a>(
        &'a self,
        realm: Realm,
        name: &'a TaskName,
    ) -> BoxFuture<'a, Result<Option<Task>, Down>>;

    /// Tasks in the order of their opening, newest first, from below `before`.
    fn tasks(
        &self,
        realm: Realm,
        before: Option<TaskId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Task>, Down>>;

    fn lineages(&self, realm: Realm, task: TaskId) -> BoxFuture<'_, Result<Vec<Lineage>, Down>>;

    /// The credentials under a task that had not expired at `now`.
    fn credentials(
        &self,
        realm: Realm,
        task: TaskId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CredentialRecord>, Down>>;

    /// Every use of an action that a task has reserved, newest first.
    fn reservations(
        &self,
        realm: Realm,
        task: TaskId,
    ) -> BoxFuture<'_, Result<Vec<Reservation>, Down>>;

    /// How often a task has used each grant whose uses are counted, as far as it has.
    fn spent(
        &self,
        realm: Realm,
        task: TaskId,
    ) -> BoxFuture<'_, Result<Vec<(GrantName, u32)>, Down>>;

    /// Certificates in the order of their ends, from above a moment, or above the one that is given.
    fn certificates<'a>(
        &'a self,
        realm: Realm,
        after: (Timestamp, Option<&'a CredentialRecord>),
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<CredentialRecord>, Down>>;

    /// The certificates of a lineage that had not expired at `now`.
    fn certificates_of(
        &self,
        realm: Realm,
        lineage: LineageId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CredentialRecord>, Down>>;

    /// One entry's leaf.
    fn entry(&self, at: Position) -> BoxFuture<'_, Result<Option<StoredEntry>, Down>>;

    /// The newest entries about a task, newest first.
    fn entries(
        &self,
        realm: Realm,
        task: TaskId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>>;

    /// Paths and newest versions, in the order of the paths, from above `after`.
    fn secrets<'a>(
        &'a self,
        realm: Realm,
        after: Option<&'a SecretPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<SecretListing>, Down>>;

    /// The highest version that a path ever had, deleted ones included; 0 where there was none.
    fn latest_version<'a>(
        &'a self,
        realm: Realm,
        path: &'a SecretPath,
    ) -> BoxFuture<'a, Result<u32, Down>>;

    /// Every freeze of a realm, also those that no longer hold.
    fn freezes(&self, realm: Realm) -> BoxFuture<'_, Result<Vec<Freeze>, Down>>;

    /// The rows of every key, wrapped.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, Down>>;
}

/// What the audit tree is made of and read by.
pub trait Audit {
    /// Entries that are in no leaf yet, in the order in which they are to be merged.
    fn unsequenced(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>>;

    /// Appends leaves and their checkpoint, in one transaction.
    fn append_leaves<'a>(
        &'a self,
        leaves: &'a [SequencedLeaf],
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Down>>;

    /// Sequenced entries from index `from`, in the tree's order.
    fn leaves(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Sequenced>, Down>>;

    /// The newest checkpoint.
    fn checkpoint(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, Down>>;
}

/// What jobs do in the background.
pub trait Upkeep {
    /// Deletes at most `limit` rows that can no longer matter at `now`, and says how many.
    fn sweep(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, Down>>;

    /// Entries of other writers after `seen`; their touches are to be joined into the view.
    fn follow<'a>(&'a self, seen: &'a [Position]) -> BoxFuture<'a, Result<Vec<News>, Down>>;

    /// A cheap durable round trip, for readiness.
    fn ping(&self) -> BoxFuture<'_, Result<(), Down>>;

    /// Stops taking changes and waits until what was taken is answered.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A change was admitted and is durable. Made only by a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    change: ChangeId,
    at: Position,
}

impl Receipt {
    pub(in crate::store) const fn new(change: ChangeId, at: Position) -> Self {
        Self { change, at }
    }

    pub const fn change(&self) -> ChangeId {
        self.change
    }

    pub const fn position(&self) -> Position {
        self.at
    }
}

/// A single-use key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnceUsed {
    /// The session that it opened, if it opened one.
    pub session: Option<SessionId>,
}

/// An entry as it is kept: its leaf bytes are what the tree is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    pub position: Position,
    pub at: Timestamp,
    pub format: u16,
    pub leaf: Vec<u8>,
}

/// What another writer's entry moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub position: Position,
    pub touches: Vec<Touch>,
}

/// A leaf's place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencedLeaf {
    pub index: u64,
    pub position: Position,
    pub hash: Digest,
}

/// An entry with its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    pub leaf: SequencedLeaf,
    pub entry: StoredEntry,
}

/// A signed tree head, with the frontier that the next leaves are merged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    pub size: u64,
    pub at: Timestamp,
    /// Hashes of the perfect subtrees of the tree, largest first.
    pub frontier: Vec<Digest>,
    /// The signed note, as published.
    pub note: String,
}

/// A secret's path and newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretListing {
    pub path: SecretPath,
    pub version: u32,
    pub at: Timestamp,
}

/// The store cannot be asked. Nobody gets in because of it, and nothing is revoked.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be read or written: {0}")]
pub struct Down(pub String);

/// Why a change was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("too many changes are waiting")]
    Overloaded { retry_after: Duration },
    #[error(transparent)]
    Down(#[from] Down),
    /// It may or may not be recorded, and is still being resolved.
    #[error("the commit is in doubt")]
    InDoubt,
}
