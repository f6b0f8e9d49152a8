//! `POST /oauth2/token`: evidence for a token (RFC 8693), or a handle for another (RFC 6749 §6).

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::attest::Evidence;
use crate::broker::Presented;
use crate::broker::issue::IssueRequest;
use crate::broker::issued::Issued;
use crate::broker::laps::verb;
use crate::broker::renew::RenewRequest;
use crate::domain::details::TaskDetail;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::mint::Product;
use crate::surface::http::answer::unkept;
use crate::surface::http::form::{Form, malformed};
use crate::surface::http::oauth::error::{Asked, response};
use crate::surface::http::oauth::{
    ACCESS_TOKEN_TYPE, DETAILS, EXCHANGE_GRANT, ID_TOKEN_TYPE, JWT_TYPE, REFRESH_GRANT, TOKEN,
    details,
};
use crate::surface::http::present;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Parameter, Refuses, Route, Takes};

pub fn route() -> Route {
    Route::post(TOKEN, "token", handle)
        .about("Exchanges evidence for an access token (RFC 8693), or renews one (RFC 6749 §6).")
        .by(Caller::Evidence)
        .takes(Takes::Form(PARAMETERS))
        .with_proof()
        .answers(StatusCode::OK, Content::json::<TokenResponse<'_>>())
        .refuses(Refuses::OAuth, &[400, 500, 503])
}

/// What is read of the form. Anything else is ignored (RFC 6749 §3.2).
pub const PARAMETERS: &[Parameter] = &[
    Parameter::required("grant_type", "Token exchange, or `refresh_token`"),
    Parameter::optional(
        "subject_token",
        "The ID token; with a handle where the profile asks for fresh evidence",
    ),
    Parameter::optional(
        "subject_token_type",
        "What the subject token is: an ID token or a JWT",
    ),
    Parameter::optional("refresh_token", "The handle of the session"),
    Parameter::optional("requested_token_type", "Only access tokens are issued here"),
    Parameter::optional("profile", "Where several profiles match"),
    Parameter::optional(DETAILS, "The case to work on (RFC 9396)"),
    Parameter::repeatable("audience", "For whom the token is"),
    Parameter::repeatable("resource", "The same, as RFC 8707 names it"),
    Parameter::optional(
        "scope",
        "Separated by spaces; all that is granted, if it is left out",
    ),
];

async fn handle(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let (asked, request) = match decode(&public, &headers, &body) {
        Ok(decoded) => decoded,
        Err((error, asked)) => return response(&error, asked),
    };
    let (broker, clock) = (&public.broker, public.broker.clock.as_ref());
    let issued = match request {
        Request::Exchange(request) => verb(clock, "issue", broker.issue(request)).await,
        Request::Refresh(request) => verb(clock, "renew", broker.renew(request)).await,
    };
    match issued {
        Ok(issued) => encode(&issued, clock.now()),
        Err(error) => response(&error, asked),
    }
}

enum Request {
    Exchange(IssueRequest),
    Refresh(RenewRequest),
}

fn decode(
    public: &Public,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Asked, Request), (Error, Asked)> {
    let read = || {
        let form = Form::parse(headers, body)?;
        let grant = form.required("grant_type")?.to_owned();
        let proof = present::proof(headers, "POST", &public.broker.issuer, TOKEN)?;
        Ok((form, grant, proof))
    };
    let (form, grant, proof) = read().map_err(|error| (error, Asked::Exchange))?;
    match grant.as_str() {
        EXCHANGE_GRANT => exchange(&form, proof)
            .map(|request| (Asked::Exchange, Request::Exchange(request)))
            .map_err(|error| (error, Asked::Exchange)),
        REFRESH_GRANT => refresh(&form, proof)
            .map(|request| (Asked::Refresh, Request::Refresh(request)))
            .map_err(|error| (error, Asked::Refresh)),
        _ => Err((
            Error::new(
                Code::GrantTypeUnsupported,
                "token exchange and refresh_token are served",
            )
            .with_field("grant_type"),
            Asked::Exchange,
        )),
    }
}

pub fn exchange(form: &Form, proof: Option<Presented>) -> Result<IssueRequest, Error> {
    let evidence = evidence(form)?
        .ok_or_else(|| malformed("a parameter is missing").with_field("subject_token"))?;
    if form
        .one("requested_token_type")?
        .is_some_and(|wanted| wanted != ACCESS_TOKEN_TYPE)
    {
        return Err(
            malformed("only access tokens are issued here").with_field("requested_token_type")
        );
    }
    for delegation in ["actor_token", "actor_token_type"] {
        if form.one(delegation)?.is_some() {
            return Err(malformed("delegation is not served").with_field(delegation));
        }
    }
    let profile = form.one("profile")?.map(str::parse).transpose();
    Ok(IssueRequest {
        evidence,
        proof,
        profile: profile
            .map_err(|_| malformed("not the name of a profile").with_field("profile"))?,
        task: details::task(form)?,
        audiences: audiences(form)?,
        scopes: words(form.one("scope")?, "scope", Code::ScopeRefused)?,
    })
}

fn refresh(form: &Form, proof: Option<Presented>) -> Result<RenewRequest, Error> {
    details::none(form)?;
    Ok(RenewRequest {
        handle: Secret::from(form.required("refresh_token")?.to_owned()),
        proof,
        evidence: evidence(form)?,
        audiences: audiences(form)?,
        scopes: words(form.one("scope")?, "scope", Code::ScopeRefused)?,
    })
}

/// The subject token. Its type has to be said, and there is no other way to be let in when it is
/// missing.
fn evidence(form: &Form) -> Result<Option<Evidence>, Error> {
    let (token, kind) = (form.one("subject_token")?, form.one("subject_token_type")?);
    match (token, kind) {
        (None, None) => Ok(None),
        (Some(token), Some(ID_TOKEN_TYPE | JWT_TYPE)) => {
            Ok(Some(Evidence::IdToken(token.to_owned())))
        }
        (Some(_), Some(_)) => {
            Err(malformed("subject tokens are ID tokens").with_field("subject_token_type"))
        }
        (Some(_), None) => {
            Err(malformed("a parameter is missing").with_field("subject_token_type"))
        }
        (None, Some(_)) => Err(malformed("a parameter is missing").with_field("subject_token")),
    }
}

/// `audience` and `resource` (RFC 8707) name the same thing here.
fn audiences<T: FromStr + Ord>(form: &Form) -> Result<BTreeSet<T>, Error> {
    let named = form.many("audience").chain(form.many("resource"));
    let parsed: Result<BTreeSet<T>, _> = named.map(str::parse).collect();
    parsed.map_err(|_| Error::new(Code::TargetRefused, "not an audience").with_field("audience"))
}

fn words<T: FromStr + Ord>(
    text: Option<&str>,
    field: &'static str,
    code: Code,
) -> Result<BTreeSet<T>, Error> {
    let words = text
        .unwrap_or("")
        .split(' ')
        .filter(|word| !word.is_empty());
    let parsed: Result<BTreeSet<T>, _> = words.map(str::parse).collect();
    parsed.map_err(|_| Error::new(code, "not a list of scopes").with_field(field))
}

#[derive(Serialize, ToSchema)]
struct TokenResponse<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The renewal handle. It is worth nothing without the session's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// Seconds after which a renewal is in time and not too early: half of what is left.
    renew_after: u64,
    task: String,
    task_name: &'a str,
    lineage: String,
    /// What the token is for, where the request named it (RFC 9396 §7).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    authorization_details: Option<[TaskDetail; 1]>,
}

fn encode(issued: &Issued, now: Timestamp) -> Response {
    let Product::AccessToken { token, handle } = issued.product() else {
        return response(
            &Error::new(Code::Internal, "not an access token"),
            Asked::Exchange,
        );
    };
    let expires_in = issued.expires_in(now);
    let bound = issued.session().key.is_some();
    let body = TokenResponse {
        access_token: token.expose_str().unwrap_or(""),
        issued_token_type: ACCESS_TOKEN_TYPE,
        token_type: if bound { "DPoP" } else { "Bearer" },
        expires_in,
        scope: issued.scope().filter(|scope| !scope.is_empty()),
        refresh_token: handle.as_ref().and_then(Secret::expose_str),
        renew_after: expires_in / 2,
        task: issued.task().id.to_string(),
        task_name: issued.task().name.as_str(),
        lineage: issued.lineage().id.to_string(),
        authorization_details: TaskDetail::of(issued.lineage()).map(|detail| [detail]),
    };
    unkept(body)
}
