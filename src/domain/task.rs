//! A task: what may be done and why. Every credential belongs to one, and none outlives it.

use serde::{Deserialize, Serialize};

use crate::domain::grant::Grants;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::TaskId;
use crate::domain::name::{ProfileName, TaskName};
use crate::domain::time::Timestamp;
use crate::error::Code;

/// Counts the moves of a row. A task's epoch moves on close, revoke and grant changes; a lineage's
/// on its end and on constraint, pin and grant changes. Issuing moves neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub const fn number(self) -> u64 {
        self.0
    }

    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A task as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub name: TaskName,
    pub profile: ProfileName,
    pub state: TaskState,
    pub epoch: Epoch,
    pub opened_at: Timestamp,
    /// Absolute: nothing under the task is valid from here on.
    pub deadline: Timestamp,
    pub grants: Grants,
    /// For whom an operator opened it: this workload need not be named by the case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<SpiffeId>,
    /// The operator who opened it, where one did: they do not decide on what it asks for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened_by: Option<String>,
}

/// Where a task stands. `Over` is final: it is the tombstone that covers what is in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    Open,
    Over(End),
}

/// How and when a task, lineage or session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub code: Code,
    pub at: Timestamp,
    /// The record's field that ended it, where one did: `pipeline.status`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// Who said so, where a person did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The row is already final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has already ended")]
pub struct AlreadyOver;

impl End {
    pub const fn new(code: Code, at: Timestamp) -> Self {
        Self {
            code,
            at,
            field: None,
            by: None,
            reason: None,
        }
    }
}

impl Task {
    pub const fn is_open(&self) -> bool {
        matches!(self.state, TaskState::Open)
    }

    /// Ends the task for good.
    pub fn end(self, end: End) -> Result<Self, AlreadyOver> {
        match self.state {
            TaskState::Open => Ok(Self {
                state: TaskState::Over(end),
                epoch: self.epoch.next(),
                ..self
            }),
            TaskState::Over(_) => Err(AlreadyOver),
        }
    }
}
