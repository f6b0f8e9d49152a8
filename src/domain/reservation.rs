//! A reservation: one use of one action on one resource, taken from the task's pool for one lineage. Workloads
//! call it their permit. It is consumed at most once, and never goes back to the pool: what was not used by
//! its end has lapsed, and was a use all the same.

use serde::{Deserialize, Serialize};

use crate::domain::action::{Act, ResourceId};
use crate::domain::grant::Audience;
use crate::domain::ids::{LineageId, ReservationId, TaskId};
use crate::domain::name::{ActionName, GrantName, ResourceKind, ServerName};
use crate::domain::time::Timestamp;

/// A reservation as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub id: ReservationId,
    pub task: TaskId,
    pub lineage: LineageId,
    pub grant: GrantName,
    /// The service that may consume it.
    pub audience: Audience,
    pub action: ActionName,
    pub kind: ResourceKind,
    pub resource: ResourceId,
    pub reserved_at: Timestamp,
    /// From here on it has lapsed, if it was not consumed before.
    pub expires_at: Timestamp,
    pub state: ReservationState,
}

/// Whether it was consumed. That is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReservationState {
    Reserved,
    Consumed {
        at: Timestamp,
        /// The resource server that did what it permits.
        by: ServerName,
    },
}

/// Where a reservation stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationStanding {
    Reserved,
    Consumed,
    Lapsed,
}

/// It was consumed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has been consumed")]
pub struct AlreadyConsumed;

impl Reservation {
    pub const fn is_consumed(&self) -> bool {
        matches!(self.state, ReservationState::Consumed { .. })
    }

    pub fn standing(&self, now: Timestamp) -> ReservationStanding {
        match self.state {
            ReservationState::Consumed { .. } => ReservationStanding::Consumed,
            ReservationState::Reserved if now < self.expires_at => ReservationStanding::Reserved,
            ReservationState::Reserved => ReservationStanding::Lapsed,
        }
    }

    /// Whether it is for this very action on this very resource. What a service says of the resource besides
    /// is judged when it says it.
    pub fn is_for(&self, act: &Act) -> bool {
        (&self.action, &self.kind, &self.resource)
            == (&act.action, &act.resource.kind, &act.resource.id)
    }

    /// Uses it up.
    ///
    /// # Errors
    /// It was before.
    pub fn consume(self, at: Timestamp, by: ServerName) -> Result<Self, AlreadyConsumed> {
        match self.state {
            ReservationState::Reserved => Ok(Self {
                state: ReservationState::Consumed { at, by },
                ..self
            }),
            ReservationState::Consumed { .. } => Err(AlreadyConsumed),
        }
    }
}
