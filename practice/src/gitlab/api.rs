//! What a GitLab instance answers: OpenID metadata and keys, and below `/api/v4` what is asked with
//! the API token. What does not exist and what belongs to another project look the same.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::control;
use super::lab::Lab;
use super::payloads;
use crate::faults::{Target, gate};

pub(crate) fn routes(lab: &Arc<Lab>) -> Router {
    let project = "/api/v4/projects/{project}";
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            gated(lab, Target::Discovery, discovery),
        )
        .route("/oauth/discovery/keys", gated(lab, Target::Jwks, keys))
        .route(
            &format!("{project}/pipelines/{{id}}"),
            gated(lab, Target::Runs, pipeline),
        )
        .route(
            &format!("{project}/jobs/{{id}}"),
            gated(lab, Target::Jobs, job),
        )
        .route(
            &format!("{project}/environments"),
            gated(lab, Target::Environments, environments),
        )
        .route(
            &format!("{project}/protected_environments/{{name}}"),
            gated(lab, Target::Environments, protected_environment),
        )
        .route(
            "/api/v4/personal_access_tokens/self",
            gated(lab, Target::Jobs, own_token),
        )
        .nest("/control", control::routes())
        .with_state(Arc::clone(lab))
}

fn gated<H, T>(lab: &Arc<Lab>, target: Target, handler: H) -> MethodRouter<Arc<Lab>>
where
    H: Handler<T, Arc<Lab>>,
    T: 'static,
{
    get(handler).layer(from_fn_with_state((Arc::clone(lab.faults()), target), gate))
}

async fn discovery(State(lab): State<Arc<Lab>>) -> Json<Value> {
    Json(json!({
        "issuer": lab.issuer(),
        "jwks_uri": format!("{}/oauth/discovery/keys", lab.issuer()),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(lab): State<Arc<Lab>>) -> Json<Value> {
    Json(lab.keys().jwks())
}

/// What the token itself is, for whoever shows it.
async fn own_token(Caller(_): Caller) -> Json<Value> {
    Json(
        json!({ "id": 7, "name": "writ", "active": true, "revoked": false, "scopes": ["read_api"] }),
    )
}

async fn pipeline(Caller(lab): Caller, Path((project, id)): Path<(u64, u64)>) -> Response {
    answer(lab.read(|state| {
        let found = state.pipeline(id).filter(|p| p.project_id == project)?;
        Some(payloads::pipeline(found))
    }))
}

async fn job(Caller(lab): Caller, Path((project, id)): Path<(u64, u64)>) -> Response {
    answer(lab.read(|state| {
        let job = state.job(id)?;
        let owner = state.pipeline(job.pipeline_id)?;
        (owner.project_id == project).then(|| payloads::job(owner, job))
    }))
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

async fn environments(
    Caller(lab): Caller,
    Path(project): Path<u64>,
    Query(wanted): Query<Named>,
) -> Response {
    answer(lab.read(|state| {
        let all = &state.project(project)?.environments;
        let fits = |name: &str| wanted.name.as_deref().is_none_or(|wanted| wanted == name);
        let shown = all.iter().filter(|(name, _)| fits(name));
        Some(
            shown
                .map(|(name, e)| payloads::environment(name, e))
                .collect(),
        )
    }))
}

async fn protected_environment(
    Caller(lab): Caller,
    Path((project, name)): Path<(u64, String)>,
) -> Response {
    answer(lab.read(|state| {
        let environment = state.project(project)?.environments.get(&name)?;
        payloads::protection(&name, environment)
    }))
}

/// Somebody who showed the API token in the vendor's own header.
struct Caller(Arc<Lab>);

impl FromRequestParts<Arc<Lab>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, lab: &Arc<Lab>) -> Result<Self, Response> {
        let token = parts.headers.get("private-token");
        let token = token.and_then(|value| value.to_str().ok());
        if token.is_some_and(|token| lab.accepts(token)) {
            Ok(Self(Arc::clone(lab)))
        } else {
            Err(message(StatusCode::UNAUTHORIZED, "401 Unauthorized"))
        }
    }
}

fn answer(found: Option<Value>) -> Response {
    found.map_or_else(
        || message(StatusCode::NOT_FOUND, "404 Not Found"),
        |document| Json(document).into_response(),
    )
}

fn message(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
