//! The control API: each call decodes, runs one verb of the site, and encodes. It is served only
//! on loopback, as everything here, and passes no fault gate.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::WorldError;
use crate::faults::{Fault, Requests};
use crate::hooks::{Delivery, Forgery, HookSettings};
use crate::keys::KeyTurn;
use crate::mint::{Mint, MintMany};
use crate::run::{JobId, RunId};
use crate::site::{CreatedRepo, Site, StartedRun};
use crate::spec::{Conclusion, EnvironmentSpec, NewRepo, StartRun};

type Answer<T> = Result<Json<T>, WorldError>;
type Here = State<Arc<Site>>;

pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/repos", post(create_repo))
        .route(
            "/environments",
            post(create_environment)
                .put(edit_environment)
                .delete(delete_environment),
        )
        .route("/environments/recreate", post(recreate_environment))
        .route("/runs", post(start_run))
        .route("/runs/{id}/complete", post(complete_run))
        .route("/runs/{id}/cancel", post(cancel_run))
        .route("/runs/{id}/rerun", post(rerun))
        .route("/jobs/{id}/complete", post(complete_job))
        .route("/mint", post(mint))
        .route("/mint_many", post(mint_many))
        .route("/keys", get(keys).put(set_keys))
        .route("/keys/rotate", post(rotate_keys))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/requests", get(requests).delete(forget_requests))
        .route("/hooks", put(set_hooks))
        .route("/hooks/settle", post(settle))
        .route("/deliveries", get(deliveries))
        .route("/deliveries/forge", post(forge))
        .route("/deliveries/{guid}", get(payload))
        .route("/deliveries/{guid}/replay", post(replay))
        .route("/clock", put(set_clock))
        .route("/rate_limit", put(set_rate_limit))
}

async fn create_repo(State(site): Here, Json(new): Json<NewRepo>) -> Answer<CreatedRepo> {
    site.create_repo(new).map(Json)
}

async fn create_environment(State(site): Here, Json(spec): Json<EnvironmentSpec>) -> Answer<Value> {
    site.create_environment(spec).map(environment)
}

async fn recreate_environment(
    State(site): Here,
    Json(spec): Json<EnvironmentSpec>,
) -> Answer<Value> {
    site.recreate_environment(spec).map(environment)
}

async fn edit_environment(State(site): Here, Json(spec): Json<EnvironmentSpec>) -> Answer<Value> {
    site.edit_environment(spec).map(environment)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentName {
    repo: String,
    name: String,
}

async fn delete_environment(
    State(site): Here,
    Json(which): Json<EnvironmentName>,
) -> Answer<Value> {
    site.delete_environment(&which.repo, &which.name)
        .map(environment)
}

fn environment(id: u64) -> Json<Value> {
    Json(json!({ "environment_id": id }))
}

async fn start_run(State(site): Here, Json(spec): Json<StartRun>) -> Answer<StartedRun> {
    site.start_run(spec).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Completion {
    #[serde(default)]
    conclusion: Conclusion,
}

async fn complete_run(
    State(site): Here,
    Path(id): Path<RunId>,
    Json(how): Json<Completion>,
) -> Answer<Value> {
    done(site.complete_run(id, how.conclusion).await)
}

async fn cancel_run(State(site): Here, Path(id): Path<RunId>) -> Answer<Value> {
    done(site.cancel_run(id).await)
}

async fn rerun(State(site): Here, Path(id): Path<RunId>) -> Answer<StartedRun> {
    site.rerun(id).await.map(Json)
}

async fn complete_job(
    State(site): Here,
    Path(id): Path<JobId>,
    Json(how): Json<Completion>,
) -> Answer<Value> {
    done(site.complete_job(id, how.conclusion).await)
}

async fn mint(State(site): Here, Json(order): Json<Mint>) -> Answer<Value> {
    Ok(Json(json!({ "value": site.mint(order)? })))
}

async fn mint_many(State(site): Here, Json(order): Json<MintMany>) -> Answer<Value> {
    Ok(Json(json!({ "tokens": site.mint_many(order).await? })))
}

async fn keys(State(site): Here) -> Json<Value> {
    let turn = site.keys().turn();
    Json(json!({
        "published": turn.published,
        "signing": turn.signing,
        "available": site.keys().available(),
    }))
}

async fn set_keys(State(site): Here, Json(turn): Json<KeyTurn>) -> Answer<Value> {
    done(site.keys().set(turn))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default)]
    keep_old: bool,
}

async fn rotate_keys(State(site): Here, Json(how): Json<Rotation>) -> Json<KeyTurn> {
    Json(site.keys().rotate(how.keep_old))
}

async fn faults(State(site): Here) -> Json<Vec<Fault>> {
    Json(site.faults().list())
}

async fn set_fault(State(site): Here, Json(fault): Json<Fault>) -> Answer<Value> {
    done(site.faults().set(fault))
}

async fn clear_faults(State(site): Here) -> Answer<Value> {
    site.faults().clear();
    done(Ok(()))
}

async fn requests(State(site): Here) -> Json<Requests> {
    Json(site.faults().requests())
}

async fn forget_requests(State(site): Here) -> Answer<Value> {
    site.faults().forget_requests();
    done(Ok(()))
}

async fn set_hooks(State(site): Here, Json(settings): Json<HookSettings>) -> Answer<Value> {
    done(site.hooks().set(settings))
}

async fn settle(State(site): Here) -> Answer<Value> {
    done(site.hooks().settle().await)
}

async fn deliveries(State(site): Here) -> Json<Vec<Delivery>> {
    Json(site.hooks().deliveries())
}

async fn payload(State(site): Here, Path(guid): Path<String>) -> Result<Vec<u8>, WorldError> {
    site.hooks()
        .payload(&guid)
        .ok_or_else(|| WorldError::unknown("delivery", guid))
}

async fn replay(State(site): Here, Path(guid): Path<String>) -> Answer<Delivery> {
    site.hooks().replay(&guid).await.map(Json)
}

async fn forge(State(site): Here, Json(forgery): Json<Forgery>) -> Answer<Delivery> {
    site.hooks().forge(forgery).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOffset {
    offset_secs: i64,
}

async fn set_clock(State(site): Here, Json(offset): Json<ClockOffset>) -> Answer<Value> {
    site.set_clock_offset(offset.offset_secs);
    done(Ok(()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HourlyLimit {
    limit: u64,
}

async fn set_rate_limit(State(site): Here, Json(hourly): Json<HourlyLimit>) -> Answer<Value> {
    site.set_rate_limit(hourly.limit);
    done(Ok(()))
}

fn done(outcome: Result<(), WorldError>) -> Answer<Value> {
    outcome.map(|()| Json(json!({ "ok": true })))
}
