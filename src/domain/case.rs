//! A case: what somebody outside asked for, and who works on it. A ticket, an incident, a change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::context::{RecordKey, RecordKind};
use crate::domain::name::{BadName, CaseId, SourceName, TaskName};

/// One case as its desk shows it. What the desk says is empty is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub status: CaseStatus,
    /// Who works on it, by the desk's own id for them.
    pub assignee: Option<String>,
    /// Whom it is about: the customer's account, the service that is down.
    pub account: Option<String>,
    /// Further fields, under the names that the configuration gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
}

/// Where a case stands, whatever its desk calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    Open,
    /// Alive, and waiting for somebody else.
    Pending,
    /// What stood on it ends, and yet it may be opened again.
    Closed,
    /// Over for good: merged into another, or deleted.
    Final,
}

impl CaseStatus {
    pub const ALL: [Self; 4] = [Self::Open, Self::Pending, Self::Closed, Self::Final];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Closed => "closed",
            Self::Final => "final",
        }
    }
}

impl Case {
    /// A field's value; `None` when the case does not carry it.
    pub fn field(&self, name: &str) -> Option<&str> {
        match name {
            "status" => Some(self.status.as_str()),
            "assignee" => self.assignee.as_deref(),
            "account" => self.account.as_deref(),
            other => self.more.get(other).map(String::as_str),
        }
    }
}

/// The record of one case. A case's id is one plain segment, so that a request that names one can
/// name nothing else.
pub fn case_record(desk: &SourceName, id: &str) -> Result<RecordKey, BadName> {
    let id: CaseId = id.parse()?;
    Ok(RecordKey {
        source: desk.clone(),
        kind: RecordKind::Case,
        id: id.as_str().to_owned(),
    })
}

/// The case that a task is named by, as in `desk/case/4711`; `None` for any other name.
pub fn case_of_task(name: &TaskName) -> Option<RecordKey> {
    let (desk, rest) = name.as_str().split_once('/')?;
    let id = rest.strip_prefix("case/")?;
    case_record(&desk.parse().ok()?, id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_names_one_case_of_one_desk_or_none() {
        let named = |text: &str| {
            let name: TaskName = text.parse().unwrap();
            case_of_task(&name).map(|record| record.to_string())
        };
        assert_eq!(named("desk/case/4711").as_deref(), Some("desk/case/4711"));
        for other in [
            "github/812345/99001/1",
            "desk/case",
            "desk/case/4711/1",
            "desk/cases/4711",
            "desk/Case/4711",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_that_could_lead_elsewhere_is_no_id() {
        let desk: SourceName = "desk".parse().unwrap();
        for bad in [
            "", ".", "..", "../1", "1/2", "%2e", "1?x=2", "1#", "1 ", "ä",
        ] {
            assert!(case_record(&desk, bad).is_err(), "{bad:?} was taken");
        }
    }
}
