//! Rows that are decided on together.

use crate::domain::lineage::Lineage;
use crate::domain::session::Session;
use crate::domain::task::Task;

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

impl From<Held> for Standing {
    fn from(held: Held) -> Self {
        Self {
            task: Some(held.task),
            lineage: Some(held.lineage),
            session: Some(held.session),
        }
    }
}
