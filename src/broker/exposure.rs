//! Exposure: the secret values that a task has read. No revocation takes them back; whoever ends a task
//! for a theft has to rotate each. The log tells it, because the rows of leases are soon swept.

use std::collections::HashMap;

use crate::broker::find::read;
use crate::broker::revoke::TaskRef;
use crate::broker::{Broker, unavailable};
use crate::domain::credential::{CredentialKind, SecretLease};
use crate::domain::grant::SecretPath;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{LineageId, TaskId};
use crate::domain::name::InstanceName;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::change::Write;
use crate::store::Down;

/// What a task has read.
#[derive(Debug)]
pub struct Exposure {
    pub task: TaskId,
    /// In the order of the first reads.
    pub values: Vec<ReadValue>,
    /// There were more reads than are looked at.
    pub more: bool,
}

/// One version of one secret, read by one instance.
#[derive(Debug)]
pub struct ReadValue {
    pub path: SecretPath,
    pub version: u32,
    pub lineage: LineageId,
    pub instance: Option<InstanceName>,
    pub workload: Option<SpiffeId>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// A newer version is stored: whether the old value was also withdrawn where it is good, only its
    /// owner knows.
    pub replaced: bool,
}

impl Broker {
    /// The secret values that were read under a task.
    pub async fn exposure(&self, which: &TaskRef) -> Result<Exposure, Error> {
        let task = match which {
            TaskRef::Id(id) => *id,
            TaskRef::Name(_) => self.find_task(which).await?.ok_or_else(gone)?.id,
        };
        let told = self.values(task).await.map_err(|down| unavailable(&down))?;
        told.ok_or_else(gone)
    }

    async fn values(&self, task: TaskId) -> Result<Option<Exposure>, Down> {
        let entries = self.store.takings(self.realm, task, MOST).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        let more = u32::try_from(entries.len()).is_ok_and(|have| have >= MOST);
        let mut instances: HashMap<LineageId, InstanceName> = HashMap::new();
        let mut values: Vec<ReadValue> = Vec::new();
        for entry in &entries {
            let leaf = read(entry)?;
            for write in leaf.writes {
                if let Write::Lineage(lineage) = write {
                    instances.insert(lineage.id, lineage.instance);
                } else if let Write::Credential(record) = write
                    && let CredentialKind::SecretLease(lease) = record.kind
                {
                    let workload = leaf.subject.workload.clone();
                    note(&mut values, lease, (record.lineage, workload), entry.at);
                }
            }
        }
        for value in &mut values {
            value.instance = instances.get(&value.lineage).cloned();
            let latest = self.store.latest_version(self.realm, &value.path).await?;
            value.replaced = latest > value.version;
        }
        Ok(Some(Exposure { task, values, more }))
    }
}

fn note(
    values: &mut Vec<ReadValue>,
    lease: SecretLease,
    (lineage, workload): (LineageId, Option<SpiffeId>),
    at: Timestamp,
) {
    let same = |value: &&mut ReadValue| {
        (&value.path, value.version, value.lineage) == (&lease.path, lease.version, lineage)
    };
    if let Some(value) = values.iter_mut().find(same) {
        value.last = at;
        return;
    }
    values.push(ReadValue {
        path: lease.path,
        version: lease.version,
        lineage,
        instance: None,
        workload,
        first: at,
        last: at,
        replaced: false,
    });
}

fn gone() -> Error {
    let text = "there is no such task; one that was over for an hour is asked for by its id";
    Error::new(Code::NotFound, text).with_field("task")
}

/// More reads than one task makes.
const MOST: u32 = 10_000;
