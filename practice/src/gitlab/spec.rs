//! What a test asks of a GitLab instance.

use serde::Deserialize;

/// Where a job or pipeline stands, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabStatus {
    Created,
    WaitingForResource,
    Preparing,
    Pending,
    Running,
    Success,
    Failed,
    Canceling,
    Canceled,
    Skipped,
    Manual,
    Scheduled,
}

impl LabStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Preparing => "preparing",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
        }
    }

    pub(crate) fn is_complete(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Canceled | Self::Skipped => true,
            Self::Created
            | Self::WaitingForResource
            | Self::Preparing
            | Self::Pending
            | Self::Running
            | Self::Canceling
            | Self::Manual
            | Self::Scheduled => false,
        }
    }
}

/// A pipeline to start: its jobs run at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartPipeline {
    pub project_id: u64,
    pub jobs: Vec<LabJob>,
    /// `aud` of the jobs' `id_tokens`.
    pub audience: String,
    #[serde(default = "main", rename = "ref")]
    pub git_ref: String,
    #[serde(default = "push")]
    pub source: String,
}

impl StartPipeline {
    /// A push to `main`.
    pub fn new(project_id: u64, audience: &str, jobs: Vec<LabJob>) -> Self {
        Self {
            project_id,
            jobs,
            audience: audience.to_owned(),
            git_ref: main(),
            source: push(),
        }
    }
}

/// One job of a pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabJob {
    pub name: String,
    /// Made without protection if the project has none of that name.
    #[serde(default)]
    pub environment: Option<String>,
}

impl LabJob {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            environment: None,
        }
    }

    /// The same job, deploying to `environment`.
    #[must_use]
    pub fn in_environment(mut self, environment: &str) -> Self {
        self.environment = Some(environment.to_owned());
        self
    }
}

/// Who may deploy to a protected environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// 30 developers, 40 maintainers, 60 administrators.
    pub access_level: u64,
    pub required_approvals: u64,
}

fn main() -> String {
    "main".to_owned()
}

fn push() -> String {
    "push".to_owned()
}
