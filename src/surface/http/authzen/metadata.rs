//! `GET /.well-known/authzen-configuration` (AuthZEN 1.0 §9).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::surface::http::authzen::{EVALUATION, EVALUATIONS};
use crate::surface::http::public::Public;
use crate::surface::http::route::{Content, Route};
use crate::surface::http::{answer, present};

pub(super) fn route() -> Route {
    Route::get(
        "/.well-known/authzen-configuration",
        "authzen_metadata",
        handle,
    )
    .well_known()
    .about("Where actions are asked about (AuthZEN).")
    .answers(StatusCode::OK, Content::json::<Metadata>())
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenMetadata)]
struct Metadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

async fn handle(State(public): State<Arc<Public>>) -> Response {
    let issuer = &public.broker.issuer;
    answer::kept(Metadata {
        policy_decision_point: issuer.as_str().trim_end_matches('/').to_owned(),
        access_evaluation_endpoint: present::at(issuer, EVALUATION).into(),
        access_evaluations_endpoint: present::at(issuer, EVALUATIONS).into(),
    })
}
