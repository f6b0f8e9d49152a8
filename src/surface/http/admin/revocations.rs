//! `/api/v1/revocations`: what a condition means, and revoking it, a bounded list at a time.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::Sent;
use super::gate::Operator;
use super::list::List;
use super::task_view::TaskView;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::broker::revoke_many::{Done, Fate, Target};
use crate::broker::sift::{Sifted, Tally};
use crate::domain::condition::RawCondition;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::key::Thumbprint;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::mint::cursor::Cursor;

/// Which tasks are looked for, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "where": "repository_id=812345 and issued>-2h" }))]
pub struct Wanted {
    pub r#where: String,
    /// As the last answer had it as `next`: with the condition as that answer had it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub cursor: Option<Cursor>,
}

/// What would be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewView {
    /// The condition with its times in full: ask for the next part with it.
    pub r#where: String,
    pub tasks: Vec<MatchView>,
    /// How many more fit and are over already.
    pub over: u32,
    /// The claims of the condition that anybody has.
    pub claims_met: BTreeSet<String>,
    pub looked_at: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

/// An open task that fits, with what is out under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatchView {
    #[serde(flatten)]
    pub task: TaskView,
    pub credentials: TallyView,
}

/// Credentials, counted by where they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TallyView {
    pub live: u32,
    pub revoked: u32,
    /// Certificates that are revoked and not on the lists yet: a second at most.
    #[serde(default)]
    pub propagating: u32,
    /// Certificates that are revoked and should be on the lists by now.
    #[serde(default)]
    pub stuck: u32,
    /// Certificates that are revoked and on the lists: taken by whoever reads none until they expire.
    pub listed: u32,
    /// Revoked, and taken by whoever verifies offline until they expire.
    pub expires_at: u32,
    /// When the last expires of those that are revoked and may yet be taken by somebody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<When>,
    /// Secrets that were read: rotate them.
    pub exposed: u32,
}

/// What is to be revoked: one kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "tasks": ["task_018f2b3c4d5e7f60a1b2c3d4e5f60718"], "reason": "workflow was tampered with",
}))]
pub struct NewRevocation {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub tasks: Vec<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub lineage: Option<LineageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub credential: Option<CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub workload: Option<SpiffeId>,
    /// RFC 7638 thumbprint of a session key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<Thumbprint>,
    /// RFC 3339: until when a workload or a key is barred; 72 hours where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The condition that the tasks were found by: it stands in the log behind the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#where: Option<String>,
}

/// What became of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    pub results: Vec<FateView>,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FateView {
    /// `task`, `lineage`, `credential`, `workload`, `key`.
    pub of: String,
    pub id: String,
    pub outcome: FateKind,
    /// Why it is stuck.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    pub credentials: TallyView,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FateKind {
    Revoked,
    AlreadyOver,
    NotFound,
    /// It could not be revoked, or nobody knows yet: the same order may be given again.
    Stuck,
}

pub(super) async fn preview(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    Sent(wanted): Sent<Wanted>,
) -> Answer<PreviewView> {
    let condition: RawCondition = decode::parse(&wanted.r#where, "where")?;
    let now = state.broker.clock.now();
    let condition = decode::condition(&condition, now)?;
    let filter = condition.to_string();
    let list = List::of(&state, "revocations", &filter, &operator);
    let before = list.from(wanted.cursor.as_ref())?;
    let sifted = state.broker.sift(condition, before).await?;
    let next = list.behind(sifted.next);
    Ok(Json(PreviewView::of(&sifted, next, now)))
}

pub(super) async fn revoke(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    Sent(wanted): Sent<NewRevocation>,
) -> Answer<RevocationView> {
    let mut order = decode::order_for(&operator, wanted.reason.clone())?;
    if let Some(text) = &wanted.r#where {
        let condition: RawCondition = decode::parse(text, "where")?;
        let condition = decode::condition(&condition, state.broker.clock.now())?;
        order.reason = Some(because(order.reason.as_deref(), &condition.to_string()));
    }
    let targets = targets(wanted, state.broker.clock.now())?;
    let fates = state.broker.revoke_many(targets, &order).await;
    let results = fates.iter().map(FateView::from).collect();
    Ok(Json(RevocationView { results }))
}

/// The reason and the condition in one text of the log, on one line.
fn because(reason: Option<&str>, condition: &str) -> String {
    let text = format!("{} (where {condition})", reason.unwrap_or("revoked"));
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).take(LONGEST_BECAUSE).collect()
}

fn targets(wanted: NewRevocation, now: Timestamp) -> Result<Vec<Target>, Error> {
    let wrong = |what: &str| decode::malformed(what.to_owned(), "body");
    let until = match &wanted.until {
        None => now.plus(BAR),
        Some(text) => decode::parse(text, "until")?,
    };
    if !(now < until && until <= now.plus(LONGEST_BAR)) {
        return Err(decode::malformed(
            "a bar ends within a year".to_owned(),
            "until",
        ));
    }
    if wanted.tasks.len() > MOST_TASKS {
        return Err(wrong("at most 100 tasks at a time"));
    }
    let mut targets: Vec<_> = wanted.tasks.into_iter().map(Target::Task).collect();
    let kinds = usize::from(!targets.is_empty())
        + usize::from(wanted.lineage.is_some())
        + usize::from(wanted.credential.is_some())
        + usize::from(wanted.workload.is_some())
        + usize::from(wanted.key.is_some());
    if kinds != 1 {
        return Err(wrong(
            "name tasks, or a lineage, a credential, a workload or a key",
        ));
    }
    targets.extend(wanted.lineage.map(Target::Lineage));
    targets.extend(wanted.credential.map(Target::Credential));
    targets.extend(wanted.workload.map(|id| Target::Workload(id, until)));
    targets.extend(wanted.key.map(|key| Target::Key(key, until)));
    Ok(targets)
}

impl PreviewView {
    fn of(sifted: &Sifted, next: Option<Cursor>, now: Timestamp) -> Self {
        let tasks = sifted.tasks.iter().map(|(task, tally)| MatchView {
            task: TaskView::of(task, now),
            credentials: TallyView::from(tally),
        });
        Self {
            r#where: sifted.condition.to_string(),
            tasks: tasks.collect(),
            over: sifted.over,
            claims_met: sifted.claims_met.clone(),
            looked_at: sifted.looked_at,
            next,
        }
    }
}

impl From<&Tally> for TallyView {
    fn from(tally: &Tally) -> Self {
        Self {
            live: tally.live,
            revoked: tally.revoked,
            propagating: tally.propagating,
            stuck: tally.stuck,
            listed: tally.listed,
            expires_at: tally.offline,
            until: tally.offline_until.map(When::from),
            exposed: tally.exposed,
        }
    }
}

impl From<&Fate> for FateView {
    fn from(fate: &Fate) -> Self {
        let (of, id) = match &fate.target {
            Target::Task(id) => ("task", id.to_string()),
            Target::Lineage(id) => ("lineage", id.to_string()),
            Target::Credential(id) => ("credential", id.to_string()),
            Target::Workload(id, _) => ("workload", id.to_string()),
            Target::Key(key, _) => ("key", key.to_string()),
        };
        let (outcome, code) = match &fate.done {
            Done::Revoked => (FateKind::Revoked, None),
            Done::AlreadyOver => (FateKind::AlreadyOver, None),
            Done::Absent => (FateKind::NotFound, None),
            Done::Stuck(error) => (FateKind::Stuck, Some(error.code())),
        };
        Self {
            of: of.to_owned(),
            id,
            outcome,
            code,
            credentials: TallyView::from(&fate.tally),
        }
    }
}

/// So many changes share one commit, or a few.
pub const MOST_TASKS: usize = 100;

/// It is kept in the log for good, once for each task.
const LONGEST_BECAUSE: usize = 1_024;

/// Longer than any run lives.
const BAR: std::time::Duration = std::time::Duration::from_hours(72);

const LONGEST_BAR: std::time::Duration = std::time::Duration::from_hours(366 * 24);
