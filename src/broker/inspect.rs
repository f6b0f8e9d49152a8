//! Inspect: one task as operators look at it, in one call.

use crate::broker::outstanding::CredentialState;
use crate::broker::revoke::TaskRef;
use crate::broker::{Broker, unavailable};
use crate::domain::credential::CredentialRecord;
use crate::domain::lineage::Lineage;
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
        Ok(Inspection {
            task,
            lineages,
            credentials,
            entries,
        })
    }
}
