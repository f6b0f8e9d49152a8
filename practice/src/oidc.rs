//! The OpenID Provider: metadata, keys, and the call by which a running job gets an ID token. The
//! issuer gives a token to a job that is under way and to nobody else; that refusal is what makes
//! a fresh token a proof of life.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Router, handler::Handler};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::claims::LIFETIME_SECS;
use crate::error::WorldError;
use crate::faults::{Target, gate};
use crate::mint;
use crate::run::Phase;
use crate::site::Site;

pub(crate) fn routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            gated(site, Target::Discovery, discovery),
        )
        .route("/.well-known/jwks", gated(site, Target::Jwks, jwks))
        .route("/token/{job_key}", gated(site, Target::Token, token))
}

fn gated<H, T>(site: &Arc<Site>, target: Target, handler: H) -> MethodRouter<Arc<Site>>
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    get(handler).layer(from_fn_with_state(
        (Arc::clone(site.faults()), target),
        gate,
    ))
}

async fn discovery(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(json!({
        "issuer": site.issuer(),
        "jwks_uri": format!("{}/.well-known/jwks", site.issuer()),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "claims_supported": CLAIMS,
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }))
}

async fn jwks(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(site.keys().jwks())
}

#[derive(Deserialize)]
struct TokenQuery {
    audience: Option<String>,
}

async fn token(
    State(site): State<Arc<Site>>,
    Path(job_key): Path<String>,
    Query(query): Query<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, WorldError> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let asked = site.read(|state, _| {
        let job = state.job_of_key(&job_key)?;
        (bearer == Some(job.request_token.as_str())).then_some((job.id, job.phase))
    });
    let Some((job, phase)) = asked else {
        return Ok(refusal(
            StatusCode::UNAUTHORIZED,
            "The request token is not this job's.",
        ));
    };
    if let Some(state) = not_running(phase) {
        let message = format!("Can't issue ID_TOKEN for job in '{state}' state.");
        return Ok(refusal(StatusCode::BAD_REQUEST, &message));
    }
    let audience = match query.audience {
        Some(audience) => audience,
        None => site.default_audience(job)?,
    };
    let claims = site.job_claims(job, audience, LIFETIME_SECS)?;
    let value = mint::honest(&*site.keys().signing()?, &claims)?;
    Ok(Json(json!({ "count": value.len(), "value": value })).into_response())
}

/// The vendor's name for a state in which a job gets no token.
fn not_running(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::InProgress => None,
        Phase::Queued => Some("Queued"),
        Phase::Completed { .. } => Some("Completed"),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let body = json!({ "$id": "1", "innerException": null, "message": message, "errorCode": 0 });
    (status, Json(body)).into_response()
}

/// What the metadata says may be in a token.
const CLAIMS: &[&str] = &[
    "sub",
    "aud",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "ref",
    "sha",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "enterprise",
    "enterprise_id",
    "run_id",
    "run_number",
    "run_attempt",
    "actor",
    "actor_id",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "head_ref",
    "base_ref",
    "event_name",
    "ref_type",
    "ref_protected",
    "environment",
    "environment_node_id",
    "job_workflow_ref",
    "job_workflow_sha",
    "runner_environment",
    "check_run_id",
];
