//! Inspect: one task as operators look at it, in one call.

use crate::broker::outstanding::CredentialState;
use crate::broker::revoke::TaskRef;
use crate::broker::{Broker, unavailable};
use crate::domain::credential::CredentialRecord;
use crate::domain::lineage::Lineage;
use crate::domain::name::GrantName;
use crate::domain::reservation::Reservation;
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::entry::Leaf;
use crate::store::StoredEntry;

/// A task with what is at work in it, what is out under it, and what happened last. It is read row by
/// row: a change in between may be seen in one part and not yet in another.
#[derive(Debug)]
pub struct Inspection {
    pub task: Task,
    pub lineages: Vec<Lineage>,
    /// Those that have not expired, with where each stands.
    pub credentials: Vec<(CredentialRecord, CredentialState)>,
    /// How often each grant was used, of those whose uses are counted.
    pub spent: Vec<(GrantName, u32)>,
    /// Uses of actions that were reserved, newest first.
    pub reservations: Vec<Reservation>,
    /// Newest first.
    pub entries: Vec<(StoredEntry, Leaf)>,
}

impl Broker {
    /// Looks at one task, with at most `entries` of its history.
    pub async fn inspect(&self, which: &TaskRef, entries: u32) -> Result<Inspection, Error> {
        let absent = || Error::new(Code::NotFound, "there is no such task").with_field("task");
        let task = self.find_task(which).await?.ok_or_else(absent)?;
        let entries = self.history(task.id, entries).await?;
        let lineages = self
            .store
            .lineages(self.realm, task.id)
            .await
            .map_err(|down| unavailable(&down))?;
        let credentials = self.outstanding(&task).await?;
        let spent = self.store.spent(self.realm, task.id).await;
        let reservations = self.store.reservations(self.realm, task.id).await;
        Ok(Inspection {
            task,
            lineages,
            credentials,
            spent: spent.map_err(|down| unavailable(&down))?,
            reservations: reservations.map_err(|down| unavailable(&down))?,
            entries,
        })
    }
}
