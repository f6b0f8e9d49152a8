//! `/api/v1/challenges`: what waits for somebody's word, and giving it.

use axum::extract::State;
use axum::{Extension, Json};
use http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::Sent;
use super::gate::Operator;
use super::list::List;
use super::task_view::LineageView;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::broker::risk::Waiting;
use crate::domain::name::TaskName;
use crate::domain::time::Timestamp;
use crate::mint::cursor::Cursor;
use crate::surface::http::segment::Segment;

/// Lineages that are constrained, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingPage {
    pub waiting: Vec<WaitingView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

/// A lineage that is constrained, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingView {
    #[schema(value_type = String)]
    pub task: TaskName,
    pub lineage: LineageView,
    /// How many have to approve, where its risk was raised.
    pub quorum: u32,
    /// Until when enough do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved_until: Option<When>,
}

/// Until when something may go on in spite of its risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "until": "2026-03-01T06:00:00Z", "reason": "looked at the ticket" }))]
pub struct NewApproval {
    /// RFC 3339.
    pub until: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

pub(super) async fn list(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    uri: Uri,
) -> Answer<WaitingPage> {
    let challenges = List::of(&state, "challenges", "", &operator);
    let page = challenges.page(&uri)?;
    let (waiting, end) = state.broker.constrained(page.from, page.limit).await?;
    Ok(Json(WaitingPage {
        waiting: waiting.iter().map(WaitingView::from).collect(),
        next: challenges.behind(end),
    }))
}

pub(super) async fn approve(
    State(state): Shared,
    Segment(challenge): Segment,
    Extension(operator): Extension<Operator>,
    Sent(wanted): Sent<NewApproval>,
) -> Answer<WaitingView> {
    let until: Timestamp = decode::parse(&wanted.until, "until")?;
    let challenge = decode::parse(&challenge, "challenge")?;
    let order = decode::order_for(&operator, wanted.reason)?;
    let waiting = state.broker.approve(challenge, until, &order).await?;
    Ok(Json(WaitingView::from(&waiting)))
}

impl From<&Waiting> for WaitingView {
    fn from(waiting: &Waiting) -> Self {
        Self {
            task: waiting.task.name.clone(),
            lineage: LineageView::from(&waiting.lineage),
            quorum: waiting.quorum,
            approved_until: waiting.approved_until.map(When::from),
        }
    }
}
