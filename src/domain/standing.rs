//! Rows that are decided on together.

use crate::domain::ids::{CredentialId, LineageId, SessionId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::session::Session;
use crate::domain::task::{Epoch, Task};

/// What stands under a task's name: the task, one instance's lineage in it, and that lineage's
/// session of one key (or of none).
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub task: Option<Task>,
    pub lineage: Option<Lineage>,
    pub session: Option<Session>,
}

/// A session with what it belongs to.
#[derive(Debug, Clone)]
pub struct Held {
    pub task: Task,
    pub lineage: Lineage,
    pub session: Session,
}

/// A lineage that is tied to a record, with its task. A run ties the task even where the lineage has
/// ended.
#[derive(Debug, Clone)]
pub struct Tied {
    pub task: Task,
    pub lineage: Lineage,
}

/// A credential of ours that was shown as evidence, before anybody has looked for its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub lineage: LineageId,
    pub credential: CredentialId,
}

/// What a credential of ours, shown as evidence, rests on: rows that were alive when they were read, and
/// have to be when what is given for it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rests {
    pub task: (TaskId, Epoch),
    pub lineage: (LineageId, Epoch),
    pub session: SessionId,
    pub credential: CredentialId,
    /// The token that it was taken with, whose revocation takes it along.
    pub parent: Option<CredentialId>,
}

impl From<Held> for Standing {
    fn from(held: Held) -> Self {
        Self {
            task: Some(held.task),
            lineage: Some(held.lineage),
            session: Some(held.session),
        }
    }
}
