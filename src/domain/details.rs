//! Authorization details (RFC 9396): the one type that is served. It names a task in a request, and says
//! in a token and in its answers which task it was given for.

use serde::{Deserialize, Serialize};

use crate::domain::context::RecordKind;
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;

/// The `type` of [`TaskDetail`].
pub const TASK: &str = "writ_task";

/// A task that a credential is for (RFC 9396 §2.2: `type` and members of its own).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDetail {
    #[serde(rename = "type")]
    pub kind: DetailKind,
    pub task: TaskName,
    /// Whom the case is about, where the profile pins it: it is so for as long as the lineage lives.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<String>,
}

/// The types of authorization details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetailKind {
    #[serde(rename = "writ_task")]
    Task,
}

impl TaskDetail {
    /// What a lineage's credentials are for; none where no request named its task.
    pub fn of(lineage: &Lineage) -> Option<Self> {
        let bindings = lineage.bindings.iter();
        let case = bindings
            .into_iter()
            .find(|b| b.record.kind == RecordKind::Case)?;
        Some(Self {
            kind: DetailKind::Task,
            task: case.record.to_string().parse().ok()?,
            account: case.pins.get("account").cloned(),
        })
    }
}
