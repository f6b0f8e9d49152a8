//! What people do at a GitLab instance, as calls of its control API: projects, pipelines and their jobs,
//! who may deploy where, and where webhooks go.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::hooks::{LabHook, LabSecret};
use super::lab::{Lab, LabProject, StartedLabJob, StartedPipeline};
use super::spec::{LabStatus, Protection, StartPipeline};
use crate::error::WorldError;

type Answer<T> = Result<Json<T>, WorldError>;
type Here = State<Arc<Lab>>;

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/projects", post(create_project))
        .route("/environments", post(make_environment).put(protect))
        .route("/pipelines", post(start))
        .route("/pipelines/{id}/cancel", post(cancel))
        .route("/jobs/{id}", post(move_job))
        .route("/jobs/{id}/retry", post(retry))
        .route("/hook", put(set_hook))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    /// `group/name`
    path: String,
}

async fn create_project(State(lab): Here, Json(new): Json<NewProject>) -> Answer<LabProject> {
    lab.create_project(&new.path).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    project_id: u64,
    name: String,
    #[serde(default)]
    protection: Option<Protection>,
}

async fn make_environment(State(lab): Here, Json(new): Json<Environment>) -> Answer<Value> {
    let id = lab.make_environment(new.project_id, &new.name)?;
    lab.protect(new.project_id, &new.name, new.protection)?;
    Ok(Json(json!({ "environment_id": id })))
}

async fn protect(State(lab): Here, Json(of): Json<Environment>) -> Answer<()> {
    lab.protect(of.project_id, &of.name, of.protection)
        .map(Json)
}

async fn start(State(lab): Here, Json(spec): Json<StartPipeline>) -> Answer<StartedPipeline> {
    lab.start(spec).await.map(Json)
}

async fn cancel(State(lab): Here, Path(id): Path<u64>) -> Answer<()> {
    lab.cancel(id).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    status: LabStatus,
}

async fn move_job(State(lab): Here, Path(id): Path<u64>, Json(to): Json<Moved>) -> Answer<()> {
    lab.move_job(id, to.status).await.map(Json)
}

async fn retry(State(lab): Here, Path(id): Path<u64>) -> Answer<StartedLabJob> {
    lab.retry(id).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    url: String,
    /// Sent as `X-Gitlab-Token`.
    token: String,
}

/// `null` is nowhere.
async fn set_hook(State(lab): Here, Json(hook): Json<Option<Hook>>) {
    lab.set_hook(hook.map(|hook| LabHook {
        url: hook.url,
        secret: LabSecret::Token(hook.token),
    }));
}
