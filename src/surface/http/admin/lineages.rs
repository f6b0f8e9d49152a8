//! `/api/v1/lineages`: one instance at work, trusted less, stopped, and let go on with less.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::{Reason, Sent, SentOrNot};
use super::gate::Operator;
use super::repeat::Key;
use super::task_view::LineageView;
use super::{Answer, Shared, decode};
use crate::broker::constrain::Constrained;
use crate::domain::constraint::Narrowing;
use crate::domain::grant::Scope;
use crate::domain::name::{ActionName, GrantName};
use crate::error::Error;
use crate::surface::http::segment::Segment;

/// A lineage as an order left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConstrainedView {
    pub lineage: LineageView,
    /// It was so before: nothing was changed.
    pub already: bool,
}

/// With how much less a lineage goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "without_writes": true, "reason": "the ticket told it to refund itself" }))]
pub struct NewRelease {
    /// Grants that it loses.
    #[schema(value_type = Vec<String>)]
    pub without_grants: Vec<GrantName>,
    /// Actions that it loses, in whatever grant.
    #[schema(value_type = Vec<String>)]
    pub without_actions: Vec<ActionName>,
    /// Scopes that it loses, in whatever grant.
    #[schema(value_type = Vec<String>)]
    pub without_scopes: Vec<String>,
    /// Whether it loses every action that changes something.
    pub without_writes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a lineage is trusted less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "risk": "high", "reason": "asks for accounts by the hundred" }))]
pub struct NewRisk {
    /// `medium` or `high`.
    pub risk: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

pub(super) async fn raise(
    State(state): Shared,
    Segment(id): Segment,
    Extension(operator): Extension<Operator>,
    Sent(wanted): Sent<NewRisk>,
) -> Answer<ConstrainedView> {
    let risk = decode::parse(&wanted.risk, "risk")?;
    let id = decode::parse(&id, "lineage")?;
    let order = decode::order_for(&operator, wanted.reason)?;
    let done = state.broker.raise_risk(id, risk, &order).await?;
    Ok(Json(ConstrainedView::from(&done)))
}

pub(super) async fn quarantine(
    State(state): Shared,
    Segment(id): Segment,
    Extension(operator): Extension<Operator>,
    SentOrNot(told): SentOrNot<Reason>,
) -> Answer<ConstrainedView> {
    let id = decode::parse(&id, "lineage")?;
    let order = decode::order(&operator, told)?;
    let done = state.broker.quarantine(id, &order).await?;
    Ok(Json(ConstrainedView::from(&done)))
}

pub(super) async fn release(
    State(state): Shared,
    Segment(id): Segment,
    Extension(operator): Extension<Operator>,
    key: Key,
    Sent(wanted): Sent<NewRelease>,
) -> Answer<LineageView> {
    let lineage = decode::parse(&id, "lineage")?;
    let repeat = key.of(&operator, "release", &(&id, &wanted))?;
    let narrowing = wanted.narrowing()?;
    let mut order = decode::order_for(&operator, wanted.reason)?;
    order.repeat = repeat;
    let released = state.broker.release(lineage, &narrowing, &order).await?;
    Ok(Json(LineageView::from(&released)))
}

impl From<&Constrained> for ConstrainedView {
    fn from(done: &Constrained) -> Self {
        Self {
            lineage: LineageView::from(&done.lineage),
            already: done.already,
        }
    }
}

impl NewRelease {
    fn narrowing(&self) -> Result<Narrowing, Error> {
        let named = [
            &self.without_grants.len(),
            &self.without_actions.len(),
            &self.without_scopes.len(),
        ];
        if named.into_iter().any(|many| *many > MOST) {
            let text = format!("at most {MOST} of a kind are taken away at once");
            return Err(decode::malformed(text, "without"));
        }
        let scopes = self.without_scopes.iter();
        let scopes = scopes.map(|text| decode::parse::<Scope>(text, "without_scopes"));
        Ok(Narrowing {
            grants: self.without_grants.iter().cloned().collect(),
            actions: self.without_actions.iter().cloned().collect(),
            scopes: scopes.collect::<Result<_, _>>()?,
            writes: self.without_writes,
        })
    }
}

const MOST: usize = 100;
