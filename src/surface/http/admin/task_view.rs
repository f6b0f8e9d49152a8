//! Tasks as operators see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credential_view::CredentialView;
use super::entry_view::EntryView;
use super::when::When;
use crate::broker::inspect::Inspection;
use crate::broker::revoke::Reach;
use crate::domain::constraint::{Quarantine, Risk};
use crate::domain::grant::{Audience, Grants};
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{LineageId, ReservationId, TaskId};
use crate::domain::lineage::{Binding, Lineage, LineageState};
use crate::domain::name::{
    ActionName, GrantName, InstanceName, ProfileName, ResourceKind, ServerName, TaskName,
};
use crate::domain::reservation::{Reservation, ReservationStanding, ReservationState};
use crate::domain::task::{End, Task, TaskState};
use crate::domain::time::Timestamp;
use crate::error::Code;
use crate::mint::cursor::Cursor;

/// A part of all tasks, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    pub tasks: Vec<TaskView>,
    /// What to ask for as `cursor`, where there may be more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    #[schema(value_type = String)]
    pub id: TaskId,
    #[schema(value_type = String)]
    pub name: TaskName,
    #[schema(value_type = String)]
    pub profile: ProfileName,
    pub state: TaskStanding,
    pub opened_at: When,
    pub deadline: When,
    /// For whom an operator opened it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub agent: Option<SpiffeId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<EndView>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStanding {
    Open,
    /// Its deadline has passed.
    Expired,
    Over,
}

/// How and when something ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndView {
    #[schema(value_type = String)]
    pub code: Code,
    pub at: When,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// A task with what is at work in it, what is out under it, and what happened last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    pub task: TaskView,
    #[schema(value_type = Object)]
    pub grants: Grants,
    /// Of each grant whose uses are counted.
    pub uses: Vec<UsesView>,
    pub lineages: Vec<LineageView>,
    /// Those that have not expired.
    pub credentials: Vec<CredentialView>,
    /// Newest first.
    pub entries: Vec<EntryView>,
}

/// One instance at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineageView {
    #[schema(value_type = String)]
    pub id: LineageId,
    #[schema(value_type = String)]
    pub instance: InstanceName,
    #[schema(value_type = String)]
    pub identity: SpiffeId,
    /// The claims that may never differ under it.
    pub claims: BTreeMap<String, String>,
    pub opened_at: When,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<EndView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step_up: Option<StepUpView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quarantined: Option<QuarantineView>,
    /// When it was last let go on with less: nothing that it was given before stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub released_at: Option<When>,
    /// What is left of the task's grants for it.
    #[schema(value_type = Object)]
    pub grants: Grants,
    pub bindings: Vec<BindingView>,
}

/// What a task has used of a grant. What has lapsed is used: it never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsesView {
    #[schema(value_type = String)]
    pub grant: GrantName,
    pub limit: u32,
    pub left: u32,
    /// The permits that were taken, where its writes are what is counted; newest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub permits: Vec<PermitView>,
}

/// One use of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PermitView {
    #[schema(value_type = String)]
    pub permit: ReservationId,
    #[schema(value_type = String)]
    pub lineage: LineageId,
    #[schema(value_type = String)]
    pub audience: Audience,
    #[schema(value_type = String)]
    pub action: ActionName,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: ResourceKind,
    pub id: String,
    pub state: PermitStanding,
    pub reserved_at: When,
    pub expires_at: When,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consumed_at: Option<When>,
    /// The resource server that did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub by: Option<ServerName>,
}

/// Where a permit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermitStanding {
    Reserved,
    Consumed,
    /// It was not used in its time.
    Lapsed,
}

/// How far a lineage is trusted less, and who has approved what it does in spite of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepUpView {
    /// `medium` or `high`.
    #[schema(value_type = String)]
    pub risk: Risk,
    /// What an approval is for.
    pub challenge: String,
    pub since: When,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    pub approvals: Vec<ApprovalView>,
}

/// Somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    pub by: String,
    pub at: When,
    pub until: When,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Since when a lineage may do nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineView {
    pub since: When,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// A tie to one record, and what must stay as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindingView {
    pub record: String,
    pub pins: BTreeMap<String, String>,
}

/// What a revocation or a closing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskView>,
    pub credentials: Vec<CredentialView>,
}

/// Which of the three it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ended,
    /// It had ended before; nothing was changed.
    AlreadyOver,
    /// It was never opened, and cannot be from now on.
    Barred,
}

impl TaskView {
    pub(super) fn of(task: &Task, now: Timestamp) -> Self {
        let (state, ended) = match &task.state {
            TaskState::Open if now < task.deadline => (TaskStanding::Open, None),
            TaskState::Open => (TaskStanding::Expired, None),
            TaskState::Over(end) => (TaskStanding::Over, Some(EndView::from(end))),
        };
        Self {
            id: task.id,
            name: task.name.clone(),
            profile: task.profile.clone(),
            state,
            opened_at: task.opened_at.into(),
            deadline: task.deadline.into(),
            agent: task.agent.clone(),
            ended,
        }
    }
}

impl TaskDetail {
    pub(super) fn of(found: &Inspection, now: Timestamp) -> Self {
        Self {
            task: TaskView::of(&found.task, now),
            grants: found.task.grants.clone(),
            uses: uses(found, now),
            lineages: found.lineages.iter().map(LineageView::from).collect(),
            credentials: found.credentials.iter().map(CredentialView::from).collect(),
            entries: found.entries.iter().map(EntryView::from).collect(),
        }
    }
}

/// What was used of each grant that counts, whether anything was or not.
fn uses(found: &Inspection, now: Timestamp) -> Vec<UsesView> {
    let grants = found.task.grants.iter();
    let counted = grants.filter_map(|(name, grant)| Some((name, grant.uses?)));
    counted
        .map(|(name, limit)| {
            let mut spent = found.spent.iter();
            let used = spent
                .find(|(grant, _)| grant == name)
                .map_or(0, |(_, n)| *n);
            let permits = found.reservations.iter().filter(|one| one.grant == *name);
            UsesView {
                grant: name.clone(),
                limit,
                left: limit.saturating_sub(used),
                permits: permits.map(|one| PermitView::of(one, now)).collect(),
            }
        })
        .collect()
}

impl PermitView {
    fn of(one: &Reservation, now: Timestamp) -> Self {
        let (consumed_at, by) = match &one.state {
            ReservationState::Reserved => (None, None),
            ReservationState::Consumed { at, by } => (Some((*at).into()), Some(by.clone())),
        };
        Self {
            permit: one.id,
            lineage: one.lineage,
            audience: one.audience.clone(),
            action: one.action.clone(),
            kind: one.kind.clone(),
            id: one.resource.as_str().to_owned(),
            state: match one.standing(now) {
                ReservationStanding::Reserved => PermitStanding::Reserved,
                ReservationStanding::Consumed => PermitStanding::Consumed,
                ReservationStanding::Lapsed => PermitStanding::Lapsed,
            },
            reserved_at: one.reserved_at.into(),
            expires_at: one.expires_at.into(),
            consumed_at,
            by,
        }
    }
}

impl Ended {
    pub(super) fn of(reach: &Reach, now: Timestamp) -> Self {
        Self {
            outcome: match (&reach.task, reach.already) {
                (Some(_), false) => Outcome::Ended,
                (Some(_), true) => Outcome::AlreadyOver,
                (None, true | false) => Outcome::Barred,
            },
            task: reach.task.as_ref().map(|task| TaskView::of(task, now)),
            credentials: reach.credentials.iter().map(CredentialView::from).collect(),
        }
    }
}

impl From<&End> for EndView {
    fn from(end: &End) -> Self {
        Self {
            code: end.code,
            at: end.at.into(),
            field: end.field.clone(),
            by: end.by.clone(),
            reason: end.reason.clone(),
        }
    }
}

impl From<&Lineage> for LineageView {
    fn from(lineage: &Lineage) -> Self {
        Self {
            id: lineage.id,
            instance: lineage.instance.clone(),
            identity: lineage.identity.id().clone(),
            claims: lineage.identity.fixed().clone(),
            opened_at: lineage.opened_at.into(),
            ended: match &lineage.state {
                LineageState::Active | LineageState::StepUp(_) | LineageState::Quarantined(_) => {
                    None
                }
                LineageState::Ended(end) => Some(end.into()),
            },
            step_up: StepUpView::of(lineage),
            quarantined: match &lineage.state {
                LineageState::Quarantined(why) => Some(why.into()),
                LineageState::Active | LineageState::StepUp(_) | LineageState::Ended(_) => None,
            },
            released_at: lineage.released_at.map(When::from),
            grants: lineage.grants.clone(),
            bindings: lineage.bindings.iter().map(BindingView::from).collect(),
        }
    }
}

impl StepUpView {
    fn of(lineage: &Lineage) -> Option<Self> {
        let (under, challenge) = (lineage.step_up()?, lineage.challenge()?);
        let approvals = under.approvals.iter().map(|one| ApprovalView {
            by: one.by.clone(),
            at: one.at.into(),
            until: one.until.into(),
            reason: one.reason.clone(),
        });
        Some(Self {
            risk: under.risk,
            challenge: challenge.to_string(),
            since: under.since.into(),
            by: under.by.clone(),
            reason: under.reason.clone(),
            approvals: approvals.collect(),
        })
    }
}

impl From<&Quarantine> for QuarantineView {
    fn from(why: &Quarantine) -> Self {
        Self {
            since: why.since.into(),
            by: why.by.clone(),
            reason: why.reason.clone(),
        }
    }
}

impl From<&Binding> for BindingView {
    fn from(binding: &Binding) -> Self {
        Self {
            record: binding.record.to_string(),
            pins: binding.pins.clone(),
        }
    }
}
