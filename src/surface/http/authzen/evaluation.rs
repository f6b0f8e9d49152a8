//! `POST /access/v1/evaluation`: one action on one resource (AuthZEN 1.0 §6).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::surface::http::authzen::wire::{Action, Decision, Subject, Thing, request, unreadable};
use crate::surface::http::authzen::{EVALUATION, check, with_request_id};
use crate::surface::http::form::json_body;
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_header;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};
use crate::surface::http::{answer, problem};

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
    let answer = match evaluate(&public, &peer, &headers, &body).await {
        Ok(decision) => answer::unkept(decision),
        Err(error) => problem::response(&error),
    };
    with_request_id(&headers, answer)
}

async fn evaluate(
    public: &Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Decision, Error> {
    let server = by_header(public, peer, headers, &header::AUTHORIZATION).await?;
    let body: Body = json_body(headers, body)?.ok_or_else(unreadable)?;
    let asked = request(
        &body.subject,
        &body.action,
        &body.resource,
        &server.audiences,
    )?;
    Decision::of(check(public, &asked).await)
}
