//! `POST /access/v1/evaluation`: one action on one resource (AuthZEN 1.0 §6).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::surface::http::authzen::wire::{Action, Decision, Subject, Thing, request};
use crate::surface::http::authzen::{EVALUATION, asked, check, told};
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};

pub(super) fn route() -> Route {
    Route::post(EVALUATION, "evaluate", handle)
        .about("Decides one action on one resource, for the holder of a token (AuthZEN).")
        .by(Caller::ResourceServer)
        .takes(Takes::Json(Shape::of::<Body>()))
        .answers(StatusCode::OK, Content::json::<Decision>())
        .refuses(Refuses::Problem, &[400, 401, 503])
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenEvaluation)]
struct Body {
    subject: Subject,
    action: Action,
    resource: Thing,
}

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    told(&headers, evaluate(&public, &peer, &headers, &body).await)
}

async fn evaluate(
    public: &Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Decision, Error> {
    let (server, body) = asked::<Body>(public, peer, headers, body).await?;
    let question = request(&body.subject, &body.action, &body.resource, server)?;
    Decision::of(check(public, &question).await)
}
