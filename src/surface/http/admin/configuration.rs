//! `/api/v1/configuration`: the rules in force, and those of the file in their place.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::{self, SentOrNot};
use super::gate::Operator;
use super::{Answer, Shared};
use crate::broker::apply::{Plan, Wanted};
use crate::ledger::entry::Delta;

/// What is decided by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesView {
    /// As it stands in every decision: over the profiles, the policies and their schema.
    pub policy_set: String,
    pub profiles: Vec<String>,
    pub policies: Vec<String>,
}

/// How far to go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dry_run": true}))]
pub struct NewRules {
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Apply this set and no other: `to` of a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// What changes, or has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Whether it is in force now.
    pub applied: bool,
    pub from: String,
    pub to: String,
    pub profiles: DeltaView,
    pub policies: DeltaView,
}

/// What becomes of things, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeltaView {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

pub(super) async fn show(State(state): Shared) -> Json<RulesView> {
    let rules = state.broker.rules.now();
    let profiles = rules.profiles.all();
    Json(RulesView {
        policy_set: rules.digest().to_string(),
        profiles: profiles.map(|profile| profile.name.to_string()).collect(),
        policies: rules.policies.ids().to_vec(),
    })
}

pub(super) async fn apply(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    SentOrNot(told): SentOrNot<NewRules>,
) -> Answer<PlanView> {
    let shown = told.policy_set.as_deref();
    let shown = shown.map(|shown| decode::parse(shown, "policy_set"));
    let wanted = match (told.dry_run, shown.transpose()?) {
        (true, _) => Wanted::Plan,
        (false, Some(shown)) => Wanted::This(shown),
        (false, None) => Wanted::Whatever,
    };
    let order = decode::order_for(&operator, told.reason)?;
    let configuration = Arc::clone(&state.configuration);
    let plan = configuration.apply(wanted, order).await?;
    Ok(Json(PlanView::from(plan)))
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            applied: plan.applied,
            from: plan.from.to_string(),
            to: plan.to.to_string(),
            profiles: plan.profiles.into(),
            policies: plan.policies.into(),
        }
    }
}

impl From<Delta> for DeltaView {
    fn from(delta: Delta) -> Self {
        Self {
            added: delta.added,
            changed: delta.changed,
            removed: delta.removed,
        }
    }
}
