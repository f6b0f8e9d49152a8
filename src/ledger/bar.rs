//! Bars: tombstones over things that have no row of their own, or none yet.

use serde::{Deserialize, Serialize};

use crate::domain::identity::SpiffeId;
use crate::domain::ids::CredentialId;
use crate::domain::key::Thumbprint;
use crate::domain::name::TaskName;
use crate::domain::time::Timestamp;

/// What is barred.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "bar", content = "of", rename_all = "snake_case")]
pub enum BarKey {
    /// A workload, under whatever task.
    Workload(SpiffeId),
    /// A session key, wherever it is shown.
    SenderKey(Thumbprint),
    /// A task by its external name, before it was ever opened.
    TaskName(TaskName),
    /// One credential; its session goes on.
    Credential(CredentialId),
}

/// A bar and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    pub key: BarKey,
    pub at: Timestamp,
    /// Until nothing that the bar covers can still be valid.
    pub until: Timestamp,
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl BarKey {
    /// The kind as it is stored.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Workload(_) => "workload",
            Self::SenderKey(_) => "sender_key",
            Self::TaskName(_) => "task_name",
            Self::Credential(_) => "credential",
        }
    }

    /// The value as it is stored.
    pub fn value(&self) -> String {
        match self {
            Self::Workload(id) => id.to_string(),
            Self::SenderKey(key) => key.to_string(),
            Self::TaskName(name) => name.to_string(),
            Self::Credential(id) => id.to_string(),
        }
    }
}
