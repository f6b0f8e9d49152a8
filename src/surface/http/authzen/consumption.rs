//! `POST /access/v1/consumption`: a service is about to do what a permit is for, and uses it up. The request is an
//! evaluation with the permit in its `context`, under a key of the service's own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::broker::consume::ConsumeRequest;
use crate::broker::laps::verb;
use crate::error::Error;
use crate::surface::http::authzen::wire::{Action, Decision, Subject, Thing, request};
use crate::surface::http::authzen::{CONSUMPTION, asked, told};
use crate::surface::http::idempotency;
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};

pub(super) fn route() -> Route {
    Route::post(CONSUMPTION, "consume", handle)
        .about("Uses up a permit for one action on one resource, for the holder of a token.")
        .by(Caller::ResourceServer)
        .only_once()
        .takes(Takes::Json(Shape::of::<Body>()))
        .answers(StatusCode::OK, Content::json::<Decision>())
        .refuses(Refuses::Problem, &[400, 401, 422, 503])
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Consumption)]
struct Body {
    subject: Subject,
    action: Action,
    resource: Thing,
    context: Option<Beside>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ConsumptionContext)]
struct Beside {
    /// As the service was shown it: what is none of this task's is denied.
    permit: Option<String>,
}

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    told(&headers, consume(&public, &peer, &headers, &body).await)
}

async fn consume(
    public: &Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Decision, Error> {
    let (server, body) = asked::<Body>(public, peer, headers, body).await?;
    let check = request(&body.subject, &body.action, &body.resource, server)?;
    let shown = body.context.and_then(|beside| beside.permit);
    let permit = shown.and_then(|text| text.parse().ok());
    let request = ConsumeRequest {
        check,
        permit,
        server: server.name.clone(),
        key: idempotency::required(headers)?,
    };
    let broker = &public.broker;
    let consumed = verb(broker.clock.as_ref(), "consume", broker.consume(&request)).await;
    Decision::of_consumed(consumed, permit)
}
