//! The one way into the ledger: changes wait in four lanes, revocations first; one task takes what
//! waits, admits it by the fold in order, writes and commits once, updates the view, and only then
//! answers. What must stay true:
//!
//! - nothing is answered as admitted before it is durable and before the view knows it;
//! - a refusal is answered only when the batch it was judged in is settled, because it may rest on
//!   a change of the same batch;
//! - a batch that fails is halved until the change that cannot be written fails alone;
//! - numbers have no gaps: only a durable commit moves the count.
//!
//! A backend brings a transaction ([`Batch`]) and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::ids::Realm;
use crate::domain::key::Digest;
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use crate::ledger::change::{Change, Once};
use crate::ledger::rows::{Refusal, Rows};
use crate::store::Down;

mod keys;
mod lanes;
mod run;

pub(in crate::store) use keys::Keys;
pub(in crate::store) use lanes::Lanes;
pub use lanes::Place;
pub(in crate::store) use run::{Seat, Signals, Writer};

/// What a store is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this process in the `writer` table.
    pub node: String,
    /// About how many live rows of each kind the view keeps.
    pub view_capacity: usize,
    /// How many revocations may wait. Nothing else takes a place in this lane.
    pub revoke_lane: usize,
    /// How many renewals may wait.
    pub renew_lane: usize,
    /// How many issues, and recorded refusals, may wait.
    pub issue_lane: usize,
    /// How many records that follow their answers may wait. Who finds no place waits for one.
    pub note_lane: usize,
    /// How many changes share one commit at most.
    pub batch: usize,
    /// What a caller is told who finds its lane full.
    pub retry_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: "local".to_owned(),
            view_capacity: 200_000,
            revoke_lane: 4_096,
            renew_lane: 4_096,
            issue_lane: 4_096,
            note_lane: 4_096,
            batch: 256,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Where batches are written.
pub(in crate::store) trait Backend: Send + Sync {
    /// Begins a transaction that no other writer of the same rows can come between.
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Batch>, Down>>;

    /// Whether the entry of a position is durable: the answer to a commit in doubt.
    fn recorded(&self, at: Position) -> BoxFuture<'_, Result<bool, Down>>;
}

/// One transaction of a backend.
pub(in crate::store) trait Batch: Send {
    /// Locks and reads what a batch names, with the tasks of its lineages.
    fn lock(&mut self, keys: Keys) -> BoxFuture<'_, Result<Ledgers, Down>>;

    /// The single-use keys among these that were used before, with the sessions that they opened.
    fn claim<'a>(
        &'a mut self,
        once: &'a [(Realm, Once)],
    ) -> BoxFuture<'a, Result<Vec<(Realm, Once)>, Down>>;

    /// Writes what was admitted, with one statement per table; `after` are the rows that it leaves.
    fn write<'a>(
        &'a mut self,
        admitted: &'a [Placed<'a>],
        after: &'a Ledgers,
    ) -> BoxFuture<'a, Result<(), Down>>;

    /// Makes it durable.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), CommitFault>>;

    /// Leaves everything as it was.
    fn rollback(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// An admitted change and its number.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Placed<'a> {
    pub(in crate::store) at: Position,
    pub(in crate::store) change: &'a Change,
}

/// Why a commit was not confirmed.
#[derive(Debug)]
pub(in crate::store) enum CommitFault {
    /// Nobody knows yet: look for the entry.
    InDoubt(Down),
    /// What the disk holds cannot be known by asking: the process has to end.
    Fatal(Down),
}

/// The rows that a batch names, per realm.
#[derive(Debug, Default)]
pub(in crate::store) struct Ledgers(BTreeMap<Realm, Rows>);

impl Ledgers {
    pub(in crate::store) fn of(&mut self, realm: Realm) -> &mut Rows {
        self.0.entry(realm).or_default()
    }

    pub(in crate::store) fn get(&self, realm: Realm) -> Option<&Rows> {
        self.0.get(&realm)
    }

    fn admit(
        &mut self,
        change: &Change,
        policy_set: Digest,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let rows = self.of(change.realm);
        rows.set_policy_set(policy_set);
        rows.admit(change, now)
    }
}

#[cfg(test)]
mod tests;
