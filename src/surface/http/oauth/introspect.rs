//! `POST /oauth2/introspect` (RFC 7662), for registered resource servers about their own audiences.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::broker::introspect::Introspection;
use crate::broker::laps::ended;
use crate::domain::secret::Secret;
use crate::error::{Code, Error};
use crate::mint::access_token::Claims;
use crate::surface::http::answer::unkept;
use crate::surface::http::form::Form;
use crate::surface::http::oauth::INTROSPECT;
use crate::surface::http::oauth::error::{Asked, response};
use crate::surface::http::present;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Parameter, Refuses, Route, Takes};
use crate::surface::settings::ResourceServer;

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
        "Name of the resource server, unless it is in a header",
    ),
    Parameter::optional("client_secret", "Its secret"),
];

async fn handle(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let clock = public.broker.clock.as_ref();
    let began = clock.elapsed();
    let outcome = answer(&public, &headers, &body).await;
    ended(clock, "introspect", began, &outcome);
    match outcome {
        Ok(response) => response,
        Err(error) => response(&error, Asked::Exchange),
    }
}

async fn answer(public: &Public, headers: &HeaderMap, body: &[u8]) -> Result<Response, Error> {
    let form = Form::parse(headers, body)?;
    let server = authenticate(&public.servers, headers, &form)?;
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

/// The resource server that asks, by its generated secret: `client_secret_basic` or
/// `client_secret_post`. Never by address.
fn authenticate<'a>(
    servers: &'a [ResourceServer],
    headers: &HeaderMap,
    form: &Form,
) -> Result<&'a ResourceServer, Error> {
    let posted = match (form.one("client_id")?, form.one("client_secret")?) {
        (Some(id), Some(secret)) => Some((id.to_owned(), Secret::from(secret.to_owned()))),
        _ => None,
    };
    let basic = present::basic(headers);
    if basic.is_some() && posted.is_some() {
        return Err(refused());
    }
    let shown = basic.into_iter().flatten().chain(posted);
    let mut known = shown.filter_map(|(id, secret)| {
        let server = servers.iter().find(|server| server.name.as_str() == id)?;
        server.secret.matches(secret.expose()).then_some(server)
    });
    known.next().ok_or_else(refused)
}

fn refused() -> Error {
    Error::new(
        Code::ClientInvalid,
        "introspection is for registered resource servers: authenticate with id and secret",
    )
}
