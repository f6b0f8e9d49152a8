//! Context records: the normalised shape of what a source knows, the same for every vendor, so that
//! one profile and one policy serve them all.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::case::{Case, CaseStatus};
use crate::domain::name::SourceName;

/// The kinds of record that a source can assert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// One attempt of one pipeline run.
    Pipeline,
    /// One job of a pipeline run.
    Job,
    /// A deployment environment with its protection rules.
    Environment,
    /// A case of a desk: a ticket, an incident, a change.
    Case,
}

/// Which record: a source, a kind, and the record's id at the source, made of immutable ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    pub source: SourceName,
    pub kind: RecordKind,
    pub id: String,
}

/// How to ask the source for a record where its id alone is not enough (a repository's current
/// name), and what the evidence called it besides, for whoever looks for it by that. It says where to
/// look; what is found must still carry the record's own ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Locator(pub BTreeMap<String, String>);

/// One record as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    Pipeline(Pipeline),
    Job(Job),
    Environment(Environment),
    Case(Case),
}

/// Where a run or job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Queued,
    Waiting,
    InProgress,
    /// Nothing of it goes on by itself, and yet it may be started again: a GitLab pipeline, of which
    /// any job can be retried. What stood on it ends; a job that is started later stands by itself.
    Stopped,
    /// Over for good.
    Completed,
}

/// One attempt of one pipeline run. What a way of observing cannot see is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    pub status: RunStatus,
    pub conclusion: Option<String>,
    pub event: Option<String>,
    pub head_sha: Option<String>,
    pub head_branch: Option<String>,
    pub workflow: Option<String>,
}

/// One job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub status: RunStatus,
    pub conclusion: Option<String>,
}

/// A deployment environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub id: String,
    pub name: String,
    /// A digest over the protection rules and branch policy in a canonical order.
    pub protection_rules: String,
    pub protected: bool,
}

impl RecordKind {
    pub const ALL: [Self; 4] = [Self::Pipeline, Self::Job, Self::Environment, Self::Case];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Job => "job",
            Self::Environment => "environment",
            Self::Case => "case",
        }
    }

    /// Every field that a record of this kind can have; a case has those besides that its desk's
    /// configuration names.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &[
                "status",
                "conclusion",
                "event",
                "head_sha",
                "head_branch",
                "workflow",
            ],
            Self::Job => &["status", "conclusion"],
            Self::Environment => &["id", "name", "protection_rules", "protected"],
            Self::Case => &["status", "assignee", "account"],
        }
    }
}

impl RunStatus {
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Waiting,
        Self::InProgress,
        Self::Stopped,
        Self::Completed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::InProgress => "in_progress",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
        }
    }
}

impl Record {
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Pipeline(_) => RecordKind::Pipeline,
            Self::Job(_) => RecordKind::Job,
            Self::Environment(_) => RecordKind::Environment,
            Self::Case(_) => RecordKind::Case,
        }
    }

    /// A field's value; `None` when the record does not carry it.
    pub fn field(&self, name: &str) -> Option<&str> {
        match self {
            Self::Pipeline(run) => match name {
                "status" => Some(run.status.as_str()),
                "conclusion" => run.conclusion.as_deref(),
                "event" => run.event.as_deref(),
                "head_sha" => run.head_sha.as_deref(),
                "head_branch" => run.head_branch.as_deref(),
                "workflow" => run.workflow.as_deref(),
                _ => None,
            },
            Self::Job(job) => match name {
                "status" => Some(job.status.as_str()),
                "conclusion" => job.conclusion.as_deref(),
                _ => None,
            },
            Self::Environment(env) => match name {
                "id" => Some(&env.id),
                "name" => Some(&env.name),
                "protection_rules" => Some(&env.protection_rules),
                "protected" => Some(if env.protected { "true" } else { "false" }),
                _ => None,
            },
            Self::Case(case) => case.field(name),
        }
    }

    /// Every field that the record carries, with its value.
    pub fn fields(&self) -> BTreeMap<&str, &str> {
        let more = match self {
            Self::Case(case) => Some(&case.more),
            Self::Pipeline(_) | Self::Job(_) | Self::Environment(_) => None,
        };
        let more = more.into_iter().flat_map(BTreeMap::keys);
        let names = self.kind().fields().iter().copied();
        names
            .chain(more.map(String::as_str))
            .filter_map(|name| Some((name, self.field(name)?)))
            .collect()
    }

    /// Whether the record can never come back to life: a completed run or job, a case that is final.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Pipeline(run) => matches!(run.status, RunStatus::Completed),
            Self::Job(job) => matches!(job.status, RunStatus::Completed),
            Self::Environment(_) => false,
            Self::Case(case) => matches!(case.status, CaseStatus::Final),
        }
    }

    /// Whether what stands on the record has to end: it is terminal, stopped, or closed.
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Pipeline(Pipeline { status, .. }) | Self::Job(Job { status, .. }) => {
                matches!(status, RunStatus::Stopped | RunStatus::Completed)
            }
            Self::Environment(_) => false,
            Self::Case(case) => matches!(case.status, CaseStatus::Closed | CaseStatus::Final),
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RecordKey {
    /// The one text of a key, used in rows and logs: `github/pipeline/812345/99001/1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.kind, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_kind_can_be_read_and_no_other() {
        let environment = Record::Environment(Environment {
            id: "7".to_owned(),
            name: "production".to_owned(),
            protection_rules: "d".to_owned(),
            protected: true,
        });
        assert_eq!(
            environment.fields().len(),
            RecordKind::Environment.fields().len()
        );
        assert_eq!(environment.field("status"), None);
    }

    #[test]
    fn only_a_completed_run_is_terminal() {
        let job = |status| {
            Record::Job(Job {
                status,
                conclusion: None,
            })
        };
        assert!(job(RunStatus::Completed).is_terminal());
        for alive in [RunStatus::Queued, RunStatus::Waiting, RunStatus::InProgress] {
            assert!(!job(alive).is_terminal() && !job(alive).is_over());
        }
        let stopped = job(RunStatus::Stopped);
        assert!(stopped.is_over() && !stopped.is_terminal());
    }

    #[test]
    fn a_closed_case_may_be_opened_again_and_a_final_one_may_not() {
        let case = |status| {
            Record::Case(Case {
                status,
                assignee: None,
                account: Some("AC-9".to_owned()),
                more: [("queue".to_owned(), "billing".to_owned())].into(),
            })
        };
        for (status, over, terminal) in [
            (CaseStatus::Open, false, false),
            (CaseStatus::Pending, false, false),
            (CaseStatus::Closed, true, false),
            (CaseStatus::Final, true, true),
        ] {
            let case = case(status);
            assert_eq!((case.is_over(), case.is_terminal()), (over, terminal));
        }
        let case = case(CaseStatus::Open);
        let names: Vec<_> = case.fields().into_keys().collect();
        assert_eq!(names, ["account", "queue", "status"]);
    }
}
