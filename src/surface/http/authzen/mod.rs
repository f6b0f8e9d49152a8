//! OpenID AuthZEN Authorization API 1.0: a registered resource server asks, for each action on each resource,
//! whether whoever it was shown a token by may do it now.
//!
//! A denial is an answer, 200 with `decision: false`, and says why. What cannot be known is none: 503, or the
//! `error` of its evaluation where several were asked, so that nobody takes an outage for a decision. What is
//! counted is consumed beside it, in the same shapes.

mod consumption;
mod evaluation;
mod evaluations;
mod metadata;
pub(super) mod wire;

use axum::response::Response;
use http::{HeaderMap, HeaderName, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::broker::check::{CheckRequest, Cleared};
use crate::broker::laps::verb;
use crate::error::Error;
use crate::surface::http::form::json_body;
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_header;
use crate::surface::http::route::Route;
use crate::surface::http::{answer, problem};
use crate::surface::settings::ResourceServer;

pub fn routes() -> Vec<Route> {
    vec![
        evaluation::route(),
        evaluations::route(),
        consumption::route(),
        metadata::route(),
    ]
}

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
/// Ours: AuthZEN only evaluates, and evaluating uses nothing up.
const CONSUMPTION: &str = "/access/v1/consumption";

async fn check(public: &Public, asked: &CheckRequest) -> Result<Cleared, Error> {
    let broker = &public.broker;
    verb(broker.clock.as_ref(), "check", broker.check(asked)).await
}

/// Who asks, and what.
async fn asked<'a, B: DeserializeOwned>(
    public: &'a Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(&'a ResourceServer, B), Error> {
    let server = by_header(public, peer, headers, &header::AUTHORIZATION).await?;
    let body = json_body(headers, body)?.ok_or_else(wire::unreadable)?;
    Ok((server, body))
}

/// The answer, with the id that its caller gave the request (AuthZEN 1.0 §10.1.3).
fn told(asked: &HeaderMap, outcome: Result<impl Serialize, Error>) -> Response {
    let mut response = match outcome {
        Ok(answer) => answer::unkept(answer),
        Err(error) => problem::response(&error),
    };
    let mut ids = asked.get_all(&REQUEST_ID).iter();
    if let (Some(id), None) = (ids.next(), ids.next())
        && id.len() <= LONGEST_ID
    {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST_ID: usize = 256;
