//! What a test or the demo asks of the world: the bodies of the control API, and the arguments of
//! the same verbs in process. Unknown fields are refused, so that a misspelt wish is not ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which form the `sub` claim of a repository's ID tokens has. Repositories made after
/// 2026-07-15 carry the immutable ids beside the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectForm {
    /// `repo:OWNER/REPO:…`
    Legacy,
    /// `repo:OWNER@OWNER_ID/REPO@REPO_ID:…`
    #[default]
    Immutable,
}

/// Who sees a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    Public,
    #[default]
    Private,
    Internal,
}

/// A repository to make. Ids that are not given are the next free ones; repositories of one owner
/// share the owner's id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRepo {
    pub owner: String,
    pub name: String,
    #[serde(default)]
    pub owner_id: Option<u64>,
    #[serde(default)]
    pub repository_id: Option<u64>,
    #[serde(default)]
    pub subject: SubjectForm,
    #[serde(default)]
    pub visibility: Visibility,
    #[serde(default = "main_branch")]
    pub default_branch: String,
    /// Custom properties, shown in ID tokens as `repo_property_NAME`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

impl NewRepo {
    /// A private repository with the next free ids and the current `sub` form.
    pub fn new(owner: &str, name: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            owner_id: None,
            repository_id: None,
            subject: SubjectForm::default(),
            visibility: Visibility::default(),
            default_branch: main_branch(),
            properties: BTreeMap::new(),
        }
    }
}

/// An environment of a repository with the rules that protect it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// `owner/name`
    pub repo: String,
    pub name: String,
    #[serde(default)]
    pub rules: Rules,
}

/// Protection rules of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Minutes before a job may start.
    pub wait_timer: Option<u32>,
    pub required_reviewers: Vec<Reviewer>,
    pub prevent_self_review: bool,
    pub branch_policy: Option<BranchPolicy>,
    pub can_admins_bypass: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            wait_timer: None,
            required_reviewers: Vec::new(),
            prevent_self_review: false,
            branch_policy: None,
            can_admins_bypass: true,
        }
    }
}

/// Who must approve a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewer {
    #[serde(rename = "type")]
    pub kind: ReviewerKind,
    pub id: u64,
    /// A user's login or a team's slug.
    pub login: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum ReviewerKind {
    User,
    Team,
}

/// Which branches may deploy to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchPolicy {
    Protected,
    Custom,
}

/// A workflow run to start: its jobs are under way at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// `owner/name`
    pub repo: String,
    pub jobs: Vec<StartJob>,
    #[serde(default = "some_sha")]
    pub head_sha: String,
    #[serde(default = "push")]
    pub event: String,
    /// The full ref; absent: the default branch.
    #[serde(default, rename = "ref")]
    pub git_ref: Option<String>,
    #[serde(default)]
    pub ref_protected: bool,
    /// Source branch of a pull request, else empty.
    #[serde(default)]
    pub head_ref: String,
    /// Target branch of a pull request, else empty.
    #[serde(default)]
    pub base_ref: String,
    /// Path of the workflow file.
    #[serde(default = "workflow_path")]
    pub workflow: String,
    #[serde(default = "actor")]
    pub actor: String,
    #[serde(default = "actor_id")]
    pub actor_id: u64,
}

impl StartRun {
    /// A push to the default branch of `repo` (`owner/name`).
    pub fn new(repo: &str, jobs: Vec<StartJob>) -> Self {
        Self {
            repo: repo.to_owned(),
            jobs,
            head_sha: some_sha(),
            event: push(),
            git_ref: None,
            ref_protected: false,
            head_ref: String::new(),
            base_ref: String::new(),
            workflow: workflow_path(),
            actor: actor(),
            actor_id: actor_id(),
        }
    }
}

/// One job of a run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartJob {
    pub name: String,
    /// Made without rules if the repository has none of that name.
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub runner_environment: RunnerEnvironment,
    /// The reusable workflow that the job runs; absent: the run's own workflow.
    #[serde(default)]
    pub job_workflow_ref: Option<String>,
}

impl StartJob {
    /// A job without environment on a hosted runner.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            environment: None,
            runner_environment: RunnerEnvironment::default(),
            job_workflow_ref: None,
        }
    }

    /// The same job, deploying to `environment`.
    #[must_use]
    pub fn in_environment(mut self, environment: &str) -> Self {
        self.environment = Some(environment.to_owned());
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerEnvironment {
    #[default]
    GithubHosted,
    SelfHosted,
}

impl RunnerEnvironment {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::GithubHosted => "github-hosted",
            Self::SelfHosted => "self-hosted",
        }
    }
}

/// How a job or run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    #[default]
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

fn main_branch() -> String {
    "main".to_owned()
}

fn some_sha() -> String {
    "5f3c1e0b7a9d42688e1f0c3b5a7d9e2468ace013".to_owned()
}

fn push() -> String {
    "push".to_owned()
}

fn workflow_path() -> String {
    ".github/workflows/deploy.yml".to_owned()
}

fn actor() -> String {
    "practice-actor".to_owned()
}

fn actor_id() -> u64 {
    700_001
}
