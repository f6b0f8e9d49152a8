//! A lineage: one instance at work in one task under one identity. It owns the pins, so a record
//! that has moved since the lineage opened is seen at every decision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::context::{Locator, RecordKey};
use crate::domain::grant::Grants;
use crate::domain::identity::Identity;
use crate::domain::ids::{LineageId, TaskId};
use crate::domain::name::InstanceName;
use crate::domain::task::{AlreadyOver, End, Epoch};
use crate::domain::time::Timestamp;

/// A lineage as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub id: LineageId,
    pub task: TaskId,
    pub instance: InstanceName,
    pub identity: Identity,
    pub state: LineageState,
    pub epoch: Epoch,
    pub opened_at: Timestamp,
    /// The task's deadline: until then a tombstone over this lineage is remembered.
    pub deadline: Timestamp,
    pub bindings: Vec<Binding>,
    /// What is left of the task's grants for this lineage; only ever narrower.
    pub grants: Grants,
}

/// A lineage's tie to one context record, with the values that must stay what they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub record: RecordKey,
    pub locate: Locator,
    pub pins: BTreeMap<String, String>,
}

/// Where a lineage stands. `Ended` is final: evidence does not reopen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LineageState {
    Active,
    Ended(End),
}

impl Lineage {
    pub const fn is_live(&self) -> bool {
        matches!(self.state, LineageState::Active)
    }

    /// Ends the lineage for good, and with it everything it was given.
    pub fn end(self, end: End) -> Result<Self, AlreadyOver> {
        match self.state {
            LineageState::Active => Ok(Self {
                state: LineageState::Ended(end),
                epoch: self.epoch.next(),
                ..self
            }),
            LineageState::Ended(_) => Err(AlreadyOver),
        }
    }
}
