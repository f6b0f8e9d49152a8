//! `POST /api/v1/permit`: one use of an action that is counted, reserved for whoever holds a token of the task.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::check::Holder;
use crate::broker::laps::verb;
use crate::broker::read::Scheme;
use crate::broker::reserve::ReserveRequest;
use crate::domain::reservation::Reservation;
use crate::error::{Code, Error};
use crate::surface::http::authzen::wire::{Action, Thing, act};
use crate::surface::http::form::{json_body, malformed};
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};
use crate::surface::http::{answer, idempotency, present, problem};

pub fn route() -> Route {
    Route::post(PERMIT, "reserve", handle)
        .about("Reserves one use of an action that is counted: a permit for it.")
        .by(Caller::AccessToken)
        .only_once()
        .takes(Takes::Json(Shape::of::<PermitRequest>()))
        .with_proof()
        .answers(StatusCode::OK, Content::json::<PermitResponse<'_>>())
        .refuses(Refuses::Problem, &[400, 401, 403, 422, 503])
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PermitRequest {
    /// The service that is to do it.
    audience: String,
    action: Action,
    resource: Thing,
}

#[derive(Serialize, ToSchema)]
struct PermitResponse<'a> {
    /// No secret: it is worth nothing without a token of the same lineage.
    permit: String,
    audience: &'a str,
    action: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    /// When it lapses. The use is spent all the same.
    expires_at: String,
}

async fn handle(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "reserve", reserve(&public, &headers, &body)).await {
        Ok(reserved) => encode(&reserved),
        Err(error) => problem::response(&error),
    }
}

async fn reserve(public: &Public, headers: &HeaderMap, body: &[u8]) -> Result<Reservation, Error> {
    let (scheme, token) = present::token(headers)?;
    let proof = present::proof(headers, "POST", &public.broker.issuer, PERMIT)?;
    let holder = match (scheme, proof) {
        (Scheme::Dpop, Some(proof)) => Holder::Proof(Box::new(proof)),
        (Scheme::Bearer, None) => Holder::Nobody,
        (Scheme::Dpop, None) | (Scheme::Bearer, Some(_)) => {
            let text =
                "a token that is bound to a key comes as `DPoP`, with a proof; another as `Bearer`";
            return Err(Error::new(Code::ProofInvalid, text));
        }
    };
    let body = json_body::<PermitRequest>(headers, body)?.ok_or_else(|| {
        malformed("the body is an object with an audience, an action and a resource")
    })?;
    let audience = body.audience.parse();
    let request = ReserveRequest {
        token,
        holder,
        audience: audience.map_err(|_| malformed("not an audience").with_field("audience"))?,
        act: act(&body.action, &body.resource)?,
        key: idempotency::required(headers)?,
    };
    public.broker.reserve(request).await
}

fn encode(one: &Reservation) -> Response {
    answer::unkept(PermitResponse {
        permit: one.id.to_string(),
        audience: one.audience.as_str(),
        action: one.action.as_str(),
        kind: one.kind.as_str(),
        id: one.resource.as_str(),
        expires_at: one.expires_at.to_string(),
    })
}

const PERMIT: &str = "/api/v1/permit";
