//! What happens in a cluster, as calls of its control API: pods come, are given tokens, and go.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::pods::{Cluster, Phase, Pod, PodSpec};
use crate::error::WorldError;

type Here = State<Arc<Cluster>>;
type Named = Path<(String, String)>;

pub(super) fn routes() -> Router<Arc<Cluster>> {
    Router::new()
        .route("/accounts", post(set_account))
        .route("/pods", post(run))
        .route("/pods/{namespace}/{name}", post(set_phase).delete(delete))
        .route("/pods/{namespace}/{name}/token", post(token))
}

/// A service account of a known uid.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
}

async fn set_account(State(cluster): Here, Json(new): Json<Account>) -> Json<()> {
    cluster.set_account(&new.namespace, &new.name, &new.uid);
    Json(())
}

async fn run(State(cluster): Here, Json(spec): Json<PodSpec>) -> Result<Json<Pod>, WorldError> {
    cluster.run(spec).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    phase: Phase,
}

async fn set_phase(
    State(cluster): Here,
    Path(named): Named,
    Json(to): Json<Moved>,
) -> Result<Json<()>, WorldError> {
    cluster.set_phase(&known(&cluster, &named)?, to.phase)?;
    Ok(Json(()))
}

async fn delete(State(cluster): Here, Path(named): Named) -> Result<Json<()>, WorldError> {
    cluster.delete(&known(&cluster, &named)?)?;
    Ok(Json(()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Projection {
    audience: String,
}

async fn token(
    State(cluster): Here,
    Path(named): Named,
    Json(asked): Json<Projection>,
) -> Result<Json<Value>, WorldError> {
    let pod = known(&cluster, &named)?;
    let value = cluster.token(&pod, &asked.audience)?;
    Ok(Json(json!({ "value": value })))
}

fn known(cluster: &Cluster, (namespace, name): &(String, String)) -> Result<Pod, WorldError> {
    let found = cluster.read(|state| state.pod(namespace, name).map(|held| held.pod.clone()));
    found.ok_or_else(|| WorldError::unknown("pod", name))
}
