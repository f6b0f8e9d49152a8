//! `/api/v1/tasks`: what is at work, opening and ending it.

use axum::extract::State;
use axum::{Extension, Json};
use http::Uri;

use super::decode::{Opening, Reason, Sent, SentOrNot};
use super::failed::Failed;
use super::gate::Operator;
use super::list::List;
use super::repeat::Key;
use super::task_view::{Ended, TaskDetail, TaskPage, TaskView};
use super::{AdminState, Answer, Shared, decode};
use crate::broker::revoke::{Ending, TaskRef};
use crate::surface::http::segment::Segment;

pub(super) async fn list(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    uri: Uri,
) -> Answer<TaskPage> {
    let list = List::of(&state, "tasks", "", &operator);
    let page = list.page(&uri)?;
    let found = state.broker.tasks(page.from, page.limit).await?;
    let end = found.last().filter(|_| page.is_full(found.len()));
    let now = state.broker.clock.now();
    Ok(Json(TaskPage {
        tasks: found.iter().map(|task| TaskView::of(task, now)).collect(),
        next: list.behind(end.map(|task| task.id)),
    }))
}

pub(super) async fn open(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    key: Key,
    Sent(opening): Sent<Opening>,
) -> Answer<TaskView> {
    let repeat = key.of(&operator, "open_task", &opening)?;
    let (opened, mut order) = decode::opening(&operator, opening)?;
    order.repeat = repeat;
    let task = state.broker.open_task(&opened, &order).await?;
    Ok(Json(TaskView::of(&task, task.opened_at)))
}

pub(super) async fn show(State(state): Shared, Segment(task): Segment) -> Answer<TaskDetail> {
    let found = state.broker.inspect(&which(&task)?, HISTORY).await?;
    Ok(Json(TaskDetail::of(&found, state.broker.clock.now())))
}

pub(super) async fn revoke(
    State(state): Shared,
    Segment(task): Segment,
    Extension(operator): Extension<Operator>,
    SentOrNot(told): SentOrNot<Reason>,
) -> Answer<Ended> {
    end(&state, &task, Ending::Revoke, &operator, told).await
}

pub(super) async fn close(
    State(state): Shared,
    Segment(task): Segment,
    Extension(operator): Extension<Operator>,
    SentOrNot(told): SentOrNot<Reason>,
) -> Answer<Ended> {
    end(&state, &task, Ending::Close, &operator, told).await
}

async fn end(
    state: &AdminState,
    task: &str,
    ending: Ending,
    operator: &Operator,
    told: Reason,
) -> Answer<Ended> {
    let order = decode::order(operator, told)?;
    let reach = state.broker.end_task(&which(task)?, ending, &order).await?;
    Ok(Json(Ended::of(&reach, state.broker.clock.now())))
}

fn which(text: &str) -> Result<TaskRef, Failed> {
    decode::task_ref(text).map_err(|e| decode::malformed(e.to_string(), "task").into())
}

/// How many entries of its history a task is shown with.
const HISTORY: u32 = 20;
