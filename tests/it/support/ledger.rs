//! What the ledger has recorded. A refusal is only one if nothing was.

use writ::domain::credential::CredentialRecord;
use writ::domain::time::Timestamp;
use writ::ledger::change::Write;
use writ::ledger::entry::{Event, Leaf};

use super::broker::Broker;

/// How much there is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    pub tasks: usize,
    pub credentials: usize,
}

impl Broker {
    /// Every task and every credential that was ever recorded.
    pub async fn recorded(&self) -> Recorded {
        Recorded {
            tasks: self.wired.broker.tasks(None, ALL).await.unwrap().len(),
            credentials: self.credentials().await.len(),
        }
    }

    /// Every credential, expired ones included.
    pub async fn credentials(&self) -> Vec<CredentialRecord> {
        let broker = &self.wired.broker;
        let mut all = Vec::new();
        for task in broker.tasks(None, ALL).await.unwrap() {
            let of_task = broker
                .store
                .credentials(broker.realm, task.id, Timestamp::EPOCH);
            all.extend(of_task.await.unwrap());
        }
        all
    }

    /// Every entry of the log that is not in the audit tree yet: all, where nobody sequences.
    pub async fn log(&self) -> Vec<Leaf> {
        let entries = self.wired.broker.store.unsequenced(ALL).await.unwrap();
        let leaves = entries.iter().map(|e| serde_json::from_slice(&e.leaf));
        leaves.collect::<Result<_, _>>().unwrap()
    }

    /// The credentials that were recorded after the first entry that `ends` them.
    pub async fn issued_after(&self, ends: impl Fn(&Event) -> bool) -> Vec<CredentialRecord> {
        let log = self.log().await;
        let after = log.into_iter().skip_while(|leaf| !ends(&leaf.event));
        let writes = after.flat_map(|leaf| leaf.writes);
        let credentials = writes.filter_map(|write| match write {
            Write::Credential(credential) => Some(credential),
            _ => None,
        });
        credentials.collect()
    }
}

const ALL: u32 = 10_000;
