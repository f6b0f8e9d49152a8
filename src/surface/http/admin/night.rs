//! What is asked at night: `/api/v1/find`, `/api/v1/why/{about}`, `/api/v1/tasks/{task}/exposure`.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::denial_view::Explanation;
use super::entry_view::EntryView;
use super::failed::Failed;
use super::find_view::FoundView;
use super::task_view::TaskView;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::broker::exposure::{Exposure, ReadValue};
use crate::broker::find::clue::Clue;
use crate::broker::find::is_secret;
use crate::broker::why::Why;
use crate::domain::grant::SecretPath;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{LineageId, TaskId};
use crate::domain::name::InstanceName;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::surface::http::segment::Segment;

/// The refusals about something, and the events behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyView {
    pub tasks: Vec<TaskView>,
    /// Newest first; those that came before there was a task are among them.
    pub refusals: Vec<Explanation>,
    /// What else happened to the tasks, newest first.
    pub events: Vec<EntryView>,
    /// There are older refusals that were not looked through.
    pub more: bool,
}

/// The secret values that a task has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExposureView {
    #[schema(value_type = String)]
    pub task: TaskId,
    pub values: Vec<ValueView>,
    pub more: bool,
}

/// One version of one secret that is known to whoever had the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueView {
    #[schema(value_type = String)]
    pub path: SecretPath,
    pub version: u32,
    #[schema(value_type = String)]
    pub lineage: LineageId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub instance: Option<InstanceName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub workload: Option<SpiffeId>,
    pub first_read_at: When,
    pub last_read_at: When,
    /// A newer version is stored here.
    pub replaced: bool,
}

/// The body is the text that is looked for, and may be a secret: it has no other place in a request.
pub(super) async fn find(State(state): Shared, body: Bytes) -> Answer<FoundView> {
    let found = state.broker.find(&Secret::new(body.to_vec())).await?;
    Ok(Json(FoundView::of(&found, state.broker.clock.now())))
}

pub(super) async fn why(State(state): Shared, Segment(about): Segment) -> Answer<WhyView> {
    let about = about.trim();
    if about.is_empty() || about.len() > LONGEST || is_secret(about) {
        let what = "name a run's page, a task or a denial; a secret belongs into the body of find";
        return Err(decode::malformed(what.to_owned(), "about").into());
    }
    let told = state.broker.why(&Clue::read(about)).await?;
    Ok(Json(WhyView::of(&told, state.broker.clock.now())))
}

pub(super) async fn exposure(State(state): Shared, Segment(task): Segment) -> Answer<ExposureView> {
    let which = decode::task_ref(&task)
        .map_err(|e| Failed::from(decode::malformed(e.to_string(), "task")))?;
    Ok(Json(ExposureView::from(
        &state.broker.exposure(&which).await?,
    )))
}

impl WhyView {
    fn of(told: &Why, now: Timestamp) -> Self {
        let refusals = told.refusals.iter();
        Self {
            tasks: told.tasks.iter().map(|t| TaskView::of(t, now)).collect(),
            refusals: refusals
                .filter_map(|(entry, leaf)| Explanation::of(entry, leaf))
                .collect(),
            events: told.events.iter().map(EntryView::from).collect(),
            more: told.more,
        }
    }
}

impl From<&Exposure> for ExposureView {
    fn from(told: &Exposure) -> Self {
        Self {
            task: told.task,
            values: told.values.iter().map(ValueView::from).collect(),
            more: told.more,
        }
    }
}

impl From<&ReadValue> for ValueView {
    fn from(value: &ReadValue) -> Self {
        Self {
            path: value.path.clone(),
            version: value.version,
            lineage: value.lineage,
            instance: value.instance.clone(),
            workload: value.workload.clone(),
            first_read_at: value.first.into(),
            last_read_at: value.last.into(),
            replaced: value.replaced,
        }
    }
}

const LONGEST: usize = 2 * 1024;
