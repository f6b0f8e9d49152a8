//! `GET /forward-auth`: a gateway asks whether the request that it holds may go on (nginx `auth_request`,
//! Traefik `forwardAuth`). The request's token and proof come as they were sent; its method and address in
//! headers that the gateway sets, which is believed because it authenticates.
//!
//! Such gateways know three answers: go on, 401, 403. Everything else is a fault to them, so what cannot be
//! known is 403 here, and a header says which.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::broker::check::Cleared;
use crate::broker::laps::verb;
use crate::error::Error;
use crate::surface::http::form::malformed;
use crate::surface::http::held::{Held, Part, Told, shows_too_little, whose, why};
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_header;
use crate::surface::http::route::{Caller, Content, Refuses, Route};
use crate::surface::http::{present, problem};

pub fn route() -> Route {
    Route::get("/forward-auth", "forward_auth", handle)
        .about("Tells a gateway whether the request that it holds may go on.")
        .by(Caller::Gateway)
        .with_proof()
        .answers(StatusCode::OK, Content::Nothing)
        .refuses(Refuses::Problem, &[401, 403])
}

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "check", decide(&public, &peer, &headers)).await {
        Ok(cleared) => let_go_on(&cleared),
        Err(error) => stop(&error),
    }
}

async fn decide(public: &Public, peer: &Peer, headers: &HeaderMap) -> Result<Cleared, Error> {
    let server = by_header(public, peer, headers, &header::PROXY_AUTHORIZATION).await?;
    let held = held(headers)?;
    held.question(headers, server)?.put(&public.broker).await
}

/// The request that the gateway holds, as its headers tell.
fn held(headers: &HeaderMap) -> Result<Held, Error> {
    let part = |name: &'static str| {
        let said = present::single(headers, name).ok().flatten();
        let unsaid = || malformed("the gateway does not say what it holds").with_field(name);
        said.map(|text| Part { name, text }).ok_or_else(unsaid)
    };
    Held::read(&Told {
        method: part("x-forwarded-method")?,
        scheme: part("x-forwarded-proto")?,
        authority: part("x-forwarded-host")?,
        target: part("x-forwarded-uri")?,
    })
}

/// Go on, and for whom: the gateway may pass it to the service behind.
fn let_go_on(cleared: &Cleared) -> Response {
    say(StatusCode::OK.into_response(), whose(cleared))
}

fn stop(error: &Error) -> Response {
    let status = if shows_too_little(error) {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::FORBIDDEN
    };
    say(problem::with_status(error, status), why(error))
}

fn say(
    mut response: Response,
    headers: impl IntoIterator<Item = (HeaderName, String)>,
) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
