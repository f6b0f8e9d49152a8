//! `POST /hooks/{source}`: webhooks in. A delivery that verifies is answered 202 at once; what it
//! hints at is read again in the background.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::context::hook::BadDelivery;
use crate::domain::name::SourceName;
use crate::error::{Code, Error};
use crate::surface::http::problem;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Takes};
use crate::surface::http::segment::Segment;

pub fn route() -> Route {
    Route::post("/hooks/{source}", "hook", handle)
        .about("Takes a webhook of a source, signed as the source signs.")
        .by(Caller::Source)
        .takes(Takes::Delivery)
        .answers(StatusCode::ACCEPTED, Content::Nothing)
        .refuses(Refuses::Problem, &[400, 401, 404])
}

async fn handle(
    State(public): State<Arc<Public>>,
    Segment(source): Segment,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let hook = source
        .parse::<SourceName>()
        .ok()
        .and_then(|source| public.hooks.get(&source));
    let Some(hook) = hook else {
        return problem::response(&Error::new(
            Code::NotFound,
            "no source of this name takes webhooks",
        ));
    };
    let now = public.broker.clock.now();
    let outcome = hook.verify(&headers, &body, now);
    let label = match &outcome {
        Ok(_) => "taken",
        Err(BadDelivery::Signature) => "unsigned",
        Err(BadDelivery::Body) => "malformed",
    };
    metrics::counter!("writ_hook_deliveries_total", "source" => source.clone(), "outcome" => label)
        .increment(1);
    match outcome {
        Ok(delivery) => {
            let last = f64::from(u32::try_from(now.seconds()).unwrap_or(u32::MAX));
            metrics::gauge!("writ_hook_last_taken_timestamp_seconds", "source" => source).set(last);
            tracing::debug!(
                delivery = delivery.id,
                hints = delivery.hints.len(),
                "webhook taken"
            );
            public.broker.hint(delivery.hints, &public.rereads);
            StatusCode::ACCEPTED.into_response()
        }
        Err(BadDelivery::Signature) => problem::response(&Error::new(
            Code::EvidenceInvalid,
            "the delivery shows no configured secret",
        )),
        Err(BadDelivery::Body) => problem::response(&Error::new(
            Code::RequestMalformed,
            "the body is not what its event should carry",
        )),
    }
}
