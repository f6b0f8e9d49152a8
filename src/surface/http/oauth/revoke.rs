//! `POST /oauth2/revoke` (RFC 7009): whoever holds a token or handle may end it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::broker::laps::verb;
use crate::domain::secret::Secret;
use crate::error::Error;
use crate::surface::http::form::Form;
use crate::surface::http::oauth::REVOKE;
use crate::surface::http::oauth::error::{Asked, response};
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Parameter, Refuses, Route, Takes};

pub fn route() -> Route {
    Route::post(REVOKE, "revoke", handle)
        .about("Ends the token or session that is shown (RFC 7009).")
        .by(Caller::Holder)
        .takes(Takes::Form(PARAMETERS))
        .answers(StatusCode::OK, Content::Nothing)
        .refuses(Refuses::OAuth, &[400, 500, 503])
}

const PARAMETERS: &[Parameter] = &[
    Parameter::required("token", "An access token, or the handle of a session"),
    Parameter::optional("token_type_hint", "Not needed: the token says what it is"),
];

async fn handle(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "revoke", answer(&public, &headers, &body)).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => response(&error, Asked::Exchange),
    }
}

async fn answer(public: &Public, headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let form = Form::parse(headers, body)?;
    // `token_type_hint` is only a hint (§2.1): the token says itself what it is.
    let held = Secret::from(form.required("token")?.to_owned());
    public.broker.revoke_held(&held).await
}
