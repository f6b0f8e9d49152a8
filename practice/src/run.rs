//! A run, its attempts and its jobs. A run keeps every attempt; a job never leaves `Completed`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::spec::{Conclusion, RunnerEnvironment, StartRun};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id!(
    /// A workflow run; the same for all its attempts.
    RunId,
    /// A job of one attempt.
    JobId,
    /// The check run that reports a job: the claim in ID tokens, never equal to the job's id.
    CheckRunId
);

/// Where a job or an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    InProgress,
    Completed {
        conclusion: Conclusion,
        at: OffsetDateTime,
    },
}

impl Phase {
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed { .. } => "completed",
        }
    }

    pub(crate) fn conclusion(self) -> Option<&'static str> {
        match self {
            Self::Queued | Self::InProgress => None,
            Self::Completed { conclusion, .. } => Some(conclusion.as_str()),
        }
    }

    pub(crate) fn completed_at(self) -> Option<OffsetDateTime> {
        match self {
            Self::Queued | Self::InProgress => None,
            Self::Completed { at, .. } => Some(at),
        }
    }

    pub(crate) fn is_completed(self) -> bool {
        self.completed_at().is_some()
    }
}

pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) repo: Arc<str>,
    pub(crate) number: u64,
    pub(crate) workflow_id: u64,
    pub(crate) check_suite_id: u64,
    pub(crate) git_ref: String,
    pub(crate) spec: Arc<StartRun>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) current: Attempt,
    pub(crate) past: Vec<Attempt>,
}

impl Run {
    pub(crate) fn attempt(&self, number: u32) -> Option<&Attempt> {
        std::iter::once(&self.current)
            .chain(&self.past)
            .find(|attempt| attempt.number == number)
    }

    pub(crate) fn branch(&self) -> &str {
        let name = self.git_ref.strip_prefix("refs/heads/");
        name.or_else(|| self.git_ref.strip_prefix("refs/tags/"))
            .unwrap_or(&self.git_ref)
    }
}

pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) phase: Phase,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) jobs: Vec<JobId>,
}

pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) check_run_id: CheckRunId,
    pub(crate) run: RunId,
    pub(crate) attempt: u32,
    pub(crate) name: String,
    pub(crate) environment: Option<String>,
    pub(crate) deployment_id: u64,
    pub(crate) runner_environment: RunnerEnvironment,
    /// The reusable workflow that the job runs.
    pub(crate) called_workflow: Option<String>,
    /// The unguessable part of the job's token URL.
    pub(crate) key: String,
    /// What the job shows to get an ID token.
    pub(crate) request_token: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) phase: Phase,
}
