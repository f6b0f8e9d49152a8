//! `POST /oauth2/introspect` (RFC 7662), for registered resource servers about their own audiences.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::broker::introspect::Introspection;
use crate::broker::laps::verb;
use crate::domain::secret::Secret;
use crate::error::Error;
use crate::mint::access_token::Claims;
use crate::surface::http::answer::unkept;
use crate::surface::http::form::Form;
use crate::surface::http::oauth::INTROSPECT;
use crate::surface::http::oauth::error::{Asked, response};
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_form;
use crate::surface::http::route::{Caller, Content, Parameter, Refuses, Route, Takes};

pub fn route() -> Route {
    Route::post(INTROSPECT, "introspect", handle)
        .about("Tells a resource server whether a token for it is good now (RFC 7662).")
        .by(Caller::ResourceServer)
        .takes(Takes::Form(PARAMETERS))
        .answers(StatusCode::OK, Content::Object)
        .refuses(Refuses::OAuth, &[400, 401, 500, 503])
}

const PARAMETERS: &[Parameter] = &[
    Parameter::required("token", "The access token"),
    Parameter::optional(
        "client_id",
        "Name of the resource server, unless a header or its certificate says it",
    ),
    Parameter::optional("client_secret", "Its secret"),
];

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let clock = public.broker.clock.as_ref();
    let work = answer(&public, &peer, &headers, &body);
    match verb(clock, "introspect", work).await {
        Ok(response) => response,
        Err(error) => response(&error, Asked::Exchange),
    }
}

async fn answer(
    public: &Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Error> {
    let form = Form::parse(headers, body)?;
    let server = by_form(public, peer, headers, &form).await?;
    let token = Secret::from(form.required("token")?.to_owned());
    let answer = public.broker.introspect(&token, &server.audiences).await?;
    Ok(match answer {
        Introspection::Inactive => unkept(json!({ "active": false })),
        Introspection::Active(claims) => unkept(Told::of(&claims)),
    })
}

#[derive(Serialize)]
struct Told<'a> {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    claims: &'a Claims,
}

impl<'a> Told<'a> {
    const fn of(claims: &'a Claims) -> Self {
        let token_type = if claims.cnf.is_some() {
            "DPoP"
        } else {
            "Bearer"
        };
        Self {
            active: true,
            token_type,
            claims,
        }
    }
}
