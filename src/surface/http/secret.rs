//! `GET /api/v1/secret/{path}`: a secret for whoever holds a token of a task that is granted it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::issued::Issued;
use crate::broker::laps::verb;
use crate::broker::read::{ReadRequest, Wanted};
use crate::domain::credential::CredentialKind;
use crate::error::{Code, Error};
use crate::mint::Product;
use crate::surface::http::form::malformed;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route};
use crate::surface::http::segment::Segment;
use crate::surface::http::{answer, present, problem};

pub fn route() -> Route {
    Route::get("/api/v1/secret/{*path}", "secret", handle)
        .about("Reads a secret under a lease. The path has its slashes as they are.")
        .by(Caller::AccessToken)
        .with_proof()
        .answers(StatusCode::OK, Content::json::<SecretResponse<'_>>())
        .refuses(Refuses::Problem, &[400, 401, 403, 404, 503])
}

async fn handle(
    State(public): State<Arc<Public>>,
    Segment(path): Segment,
    headers: HeaderMap,
) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "read", take(&public, &path, &headers)).await {
        Ok(response) => response,
        Err(error) => problem::response(&error),
    }
}

async fn take(public: &Public, path: &str, headers: &HeaderMap) -> Result<Response, Error> {
    let (scheme, token) = present::token(headers)?;
    let proof = present::proof(
        headers,
        "GET",
        &public.broker.issuer,
        &format!("/api/v1/secret/{path}"),
    )?;
    let path = path
        .parse()
        .map_err(|_| malformed("not a secret's path").with_field("path"))?;
    let issued = public
        .broker
        .read(ReadRequest {
            token,
            scheme,
            proof,
            wanted: Wanted::Secret(path),
        })
        .await?;
    encode(&issued)
}

#[derive(Serialize, ToSchema)]
struct SecretResponse<'a> {
    path: &'a str,
    version: u32,
    value: &'a str,
    /// `utf-8`, or `base64` where the value is not text.
    encoding: &'static str,
    lease: Lease,
}

#[derive(Serialize, ToSchema)]
struct Lease {
    id: String,
    expires_at: String,
}

fn encode(issued: &Issued) -> Result<Response, Error> {
    let (Product::Secret(value), CredentialKind::SecretLease(lease)) =
        (issued.product(), &issued.credential().kind)
    else {
        return Err(Error::new(Code::Internal, "not a secret"));
    };
    let encoded;
    let (text, encoding) = if let Some(text) = value.expose_str() {
        (text, "utf-8")
    } else {
        encoded = zeroize::Zeroizing::new(STANDARD.encode(value.expose()));
        (encoded.as_str(), "base64")
    };
    let body = SecretResponse {
        path: lease.path.as_str(),
        version: lease.version,
        value: text,
        encoding,
        lease: Lease {
            id: issued.credential().id.to_string(),
            expires_at: issued.credential().expires_at.to_string(),
        },
    };
    Ok(answer::unkept(body))
}
