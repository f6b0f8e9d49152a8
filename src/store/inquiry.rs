//! What operators look for when they know a thing and not its task. None of it is on the way of a
//! request, and none of it walks a table: each question goes by a key, by the order of time, or through
//! the newest so many.

use futures_util::future::BoxFuture;

use crate::domain::ids::{LineageId, Realm, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;
use crate::domain::position::Position;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::{Down, StoredEntry};

/// Questions without a task.
pub trait Inquiry {
    fn lineage(&self, realm: Realm, id: LineageId) -> BoxFuture<'_, Result<Option<Lineage>, Down>>;

    /// Lineages in the order of their opening, newest first, from below `before`.
    fn newest_lineages(
        &self,
        realm: Realm,
        before: Option<LineageId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Lineage>, Down>>;

    /// Lineages whose risk was raised or that are in quarantine, in the order of their opening, from above
    /// `after`.
    fn constrained(
        &self,
        realm: Realm,
        after: Option<LineageId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Lineage>, Down>>;

    /// The sessions of a task's lineages.
    fn sessions(&self, realm: Realm, task: TaskId) -> BoxFuture<'_, Result<Vec<Session>, Down>>;

    /// Task names at or above `from`, in the order of their bytes.
    fn names<'a>(
        &'a self,
        realm: Realm,
        from: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TaskName>, Down>>;

    /// Entries of a sort, newest first, from below `before`.
    fn newest_entries(
        &self,
        realm: Realm,
        sort: Sort,
        before: Option<Mark>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>>;

    /// Entries of a task that opened something or read a secret, oldest first.
    fn takings(
        &self,
        realm: Realm,
        task: TaskId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>>;

    /// Entries that were made from `from` and before `until`. An id tells when it was made, and with it
    /// the entry that made it, also where its row was swept long ago.
    fn made_between(
        &self,
        realm: Realm,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>>;
}

/// Entries that are kept in the order of time besides their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Denials, and what was left undetermined.
    Refusals,
    /// Reads of secrets.
    Reads,
}

/// An entry's place in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at: Timestamp,
    pub position: Position,
}

impl From<&StoredEntry> for Mark {
    fn from(entry: &StoredEntry) -> Self {
        Self {
            at: entry.at,
            position: entry.position,
        }
    }
}
