//! `/api/v1/freezes`: what is stopped for a while, and letting it go on.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::{Reason, Sent, SentOrNot};
use super::failed::Failed;
use super::gate::Operator;
use super::repeat::Key;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::time::Timestamp;
use crate::surface::http::segment::Segment;

/// The freezes that hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeList {
    pub freezes: Vec<FreezeView>,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeView {
    #[schema(value_type = String)]
    pub scope: FreezeScope,
    pub at: When,
    /// When it ends by itself.
    pub until: When,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lifted_at: Option<When>,
}

/// What is to be frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "scope": "repository/github/812345", "until": "2026-03-01T06:00:00Z", "reason": "workflow was tampered with",
}))]
pub struct NewFreeze {
    pub scope: String,
    /// RFC 3339.
    pub until: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

pub(super) async fn list(State(state): Shared) -> Answer<FreezeList> {
    let freezes = state.broker.freezes().await?;
    let freezes = freezes.iter().map(FreezeView::from).collect();
    Ok(Json(FreezeList { freezes }))
}

pub(super) async fn freeze(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    Sent(wanted): Sent<NewFreeze>,
) -> Result<(StatusCode, Json<FreezeView>), Failed> {
    let scope: FreezeScope = decode::parse(&wanted.scope, "scope")?;
    let until: Timestamp = decode::parse(&wanted.until, "until")?;
    let order = decode::order_for(&operator, wanted.reason)?;
    let freeze = state.broker.freeze(&scope, until, &order).await?;
    Ok((StatusCode::CREATED, Json(FreezeView::from(&freeze))))
}

pub(super) async fn lift(
    State(state): Shared,
    Segment(scope): Segment,
    Extension(operator): Extension<Operator>,
    key: Key,
    SentOrNot(told): SentOrNot<Reason>,
) -> Answer<FreezeView> {
    let scope: FreezeScope = decode::parse(&scope, "scope")?;
    let repeat = key.of(&operator, "lift_freeze", &(&scope, &told))?;
    let mut order = decode::order(&operator, told)?;
    order.repeat = repeat;
    let lifted = state.broker.lift(&scope, &order).await?;
    Ok(Json(FreezeView::from(&lifted)))
}

impl From<&Freeze> for FreezeView {
    fn from(freeze: &Freeze) -> Self {
        Self {
            scope: freeze.scope.clone(),
            at: freeze.at.into(),
            until: freeze.until.into(),
            by: freeze.by.clone(),
            reason: freeze.reason.clone(),
            lifted_at: freeze.lifted_at.map(When::from),
        }
    }
}
