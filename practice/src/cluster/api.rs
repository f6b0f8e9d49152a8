//! What a cluster answers: OpenID metadata and keys to everybody, `TokenReview` and pods to who shows
//! the API token.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::control;
use super::pods::{Cluster, Held, Issued};
use crate::faults::{Target, gate};

pub(crate) fn routes(cluster: &Arc<Cluster>) -> Router {
    let gated = |target: Target, route: MethodRouter<Arc<Cluster>>| {
        route.layer(from_fn_with_state(
            (Arc::clone(cluster.faults()), target),
            gate,
        ))
    };
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            gated(Target::Discovery, get(discovery)),
        )
        .route("/openid/v1/jwks", gated(Target::Jwks, get(keys)))
        .route(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            gated(Target::Reviews, post(review)),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}",
            gated(Target::Jobs, get(pod)),
        )
        .route("/version", gated(Target::Jobs, get(version)))
        .nest("/control", control::routes())
        .with_state(Arc::clone(cluster))
}

async fn discovery(State(cluster): State<Arc<Cluster>>) -> Json<Value> {
    Json(json!({
        "issuer": cluster.issuer(),
        "jwks_uri": format!("{}/openid/v1/jwks", cluster.issuer()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(cluster): State<Arc<Cluster>>) -> Json<Value> {
    Json(cluster.keys().jwks())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    token: String,
    #[serde(default)]
    audiences: Vec<String>,
}

async fn review(Caller(cluster): Caller, Json(asked): Json<Review>) -> Response {
    if asked.api_version != "authentication.k8s.io/v1" || asked.kind != "TokenReview" {
        return status(StatusCode::BAD_REQUEST, "BadRequest");
    }
    let now = cluster.now();
    let answer = cluster.read(|state| {
        let issued = state.review(&asked.spec.token, now);
        let issued = issued.filter(|issued| asked.spec.audiences.contains(&issued.audience));
        issued.map_or_else(unknown, known)
    });
    let body = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "spec": { "token": asked.spec.token, "audiences": asked.spec.audiences },
        "status": answer,
    });
    (StatusCode::CREATED, Json(body)).into_response()
}

fn unknown() -> Value {
    json!({ "user": {}, "error": "[invalid bearer token, service account token has been invalidated]" })
}

fn known(issued: &Issued) -> Value {
    let pod = &issued.pod;
    json!({
        "authenticated": true,
        "user": {
            "username": format!("system:serviceaccount:{}:{}", pod.namespace, pod.account),
            "uid": pod.account_uid,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/pod-name": [pod.name],
                "authentication.kubernetes.io/pod-uid": [pod.uid],
                "authentication.kubernetes.io/node-name": ["node-1"],
            },
        },
        "audiences": [issued.audience],
    })
}

async fn version(Caller(_): Caller) -> Json<Value> {
    Json(json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.1" }))
}

async fn pod(Caller(cluster): Caller, Path((namespace, name)): Path<(String, String)>) -> Response {
    let found = cluster.read(|state| state.pod(&namespace, &name).map(document));
    found.map_or_else(
        || status(StatusCode::NOT_FOUND, "NotFound"),
        |document| Json(document).into_response(),
    )
}

fn document(held: &Held) -> Value {
    let deleted = held.terminating.then_some("2026-11-22T05:00:00Z");
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": held.pod.name,
            "namespace": held.pod.namespace,
            "uid": held.pod.uid,
            "resourceVersion": "1",
            "deletionTimestamp": deleted,
        },
        "spec": { "serviceAccountName": held.pod.account, "nodeName": "node-1" },
        "status": { "phase": held.phase.as_str(), "conditions": [] },
    })
}

struct Caller(Arc<Cluster>);

impl FromRequestParts<Arc<Cluster>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        cluster: &Arc<Cluster>,
    ) -> Result<Self, Response> {
        let shown = parts.headers.get(header::AUTHORIZATION);
        let token = shown
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| cluster.accepts(token)) {
            Ok(Self(Arc::clone(cluster)))
        } else {
            Err(status(StatusCode::UNAUTHORIZED, "Unauthorized"))
        }
    }
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code.as_u16(),
    });
    (code, Json(body)).into_response()
}
