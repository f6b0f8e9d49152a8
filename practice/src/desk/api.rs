//! What a desk answers to who shows its API token: one case, with a tag, or that it has not changed.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::cases::Desk;
use super::control;
use crate::faults::{Target, gate};

pub(crate) fn routes(desk: &Arc<Desk>) -> Router {
    let gated = get(case).layer(from_fn_with_state(
        (Arc::clone(desk.faults()), Target::Cases),
        gate,
    ));
    Router::new()
        .route("/api/cases/{id}", gated)
        .nest("/control", control::routes())
        .with_state(Arc::clone(desk))
}

async fn case(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let token = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if !token.is_some_and(|token| desk.accepts(token)) {
        return refused(StatusCode::UNAUTHORIZED);
    }
    let Some((document, tag)) = desk.document(&id) else {
        return refused(StatusCode::NOT_FOUND);
    };
    let known = text(header::IF_NONE_MATCH);
    if known == Some(tag.as_str()) {
        desk.note_unchanged();
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag)], Json(document)).into_response()
}

fn refused(status: StatusCode) -> Response {
    (status, Json(json!({ "error": status.as_u16() }))).into_response()
}
