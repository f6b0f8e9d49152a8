//! What was found, as operators see it. The text that was looked for is not part of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credential_view::CredentialView;
use super::task_view::{EndView, LineageView, TaskView};
use super::when::When;
use crate::broker::find::{By, Found, Hit};
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{LineageId, SessionId, TaskId};
use crate::domain::name::TaskName;
use crate::domain::session::{Session, SessionState};
use crate::domain::time::Timestamp;

/// Everything that the text may have meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundView {
    pub found: Vec<HitView>,
    /// The search stopped at its bound.
    pub more: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HitView {
    /// What the text was taken for.
    pub by: ByView,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub task_name: Option<TaskName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub lineage_id: Option<LineageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub workload: Option<SpiffeId>,
    /// Absent when the row was swept: then the task was over for an hour at least.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lineage: Option<LineageView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<SessionView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credential: Option<CredentialView>,
}

/// How the text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByView {
    AccessToken,
    JwtSvid,
    RenewalHandle,
    Evidence,
    Credential,
    Permit,
    Certificate,
    Session,
    Lineage,
    Task,
    Run,
    Job,
    Claim,
    Workload,
    Repository,
    Commit,
    SecretPath,
    Denial,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    #[schema(value_type = String)]
    pub id: SessionId,
    /// Whether it has a key, and so a renewal handle.
    pub keyed: bool,
    pub opened_at: When,
    /// Until when it can be renewed.
    pub expires_at: When,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<EndView>,
}

impl FoundView {
    pub(super) fn of(found: &Found, now: Timestamp) -> Self {
        Self {
            found: found.hits.iter().map(|hit| HitView::of(hit, now)).collect(),
            more: found.more,
        }
    }
}

impl HitView {
    fn of(hit: &Hit, now: Timestamp) -> Self {
        Self {
            by: ByView::from(hit.by),
            task_id: hit.subject.task,
            task_name: hit.subject.task_name.clone(),
            lineage_id: hit.subject.lineage,
            workload: hit.subject.workload.clone(),
            task: hit.task.as_ref().map(|task| TaskView::of(task, now)),
            lineage: hit.lineage.as_ref().map(LineageView::from),
            session: hit.session.as_ref().map(SessionView::from),
            credential: hit.credential.as_ref().map(CredentialView::from),
        }
    }
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id,
            keyed: session.key.is_some(),
            opened_at: session.opened_at.into(),
            expires_at: session.expires_at.into(),
            ended: match &session.state {
                SessionState::Live => None,
                SessionState::Ended(end) => Some(end.into()),
            },
        }
    }
}

impl From<By> for ByView {
    fn from(by: By) -> Self {
        match by {
            By::AccessToken => Self::AccessToken,
            By::JwtSvid => Self::JwtSvid,
            By::RenewalHandle => Self::RenewalHandle,
            By::Evidence => Self::Evidence,
            By::Credential => Self::Credential,
            By::Permit => Self::Permit,
            By::Certificate => Self::Certificate,
            By::Session => Self::Session,
            By::Lineage => Self::Lineage,
            By::Task => Self::Task,
            By::Run => Self::Run,
            By::Job => Self::Job,
            By::Claim => Self::Claim,
            By::Workload => Self::Workload,
            By::Repository => Self::Repository,
            By::Commit => Self::Commit,
            By::SecretPath => Self::SecretPath,
            By::Denial => Self::Denial,
        }
    }
}
