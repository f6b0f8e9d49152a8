//! The one mapping from an outcome to an answer of the API: a problem document (RFC 9457) with the
//! stable `code`, the `field` that decided and the `denial_id` by which an operator finds the trace.
//! The OAuth endpoints have their own mapping, in `oauth::error`; the table of both is
//! `docs/reference/outcomes.md`.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::caller::client;
use crate::error::{Code, Error, Kind};
use crate::telemetry::trace;

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Problem types are not dereferenced here: the code is the identifier.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_id: Option<&'a str>,
    /// What `writ approve` takes, where an approval would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<&'a str>,
    /// The trace that tells how the answer came about, where the request was traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// The status of an outcome at the API.
pub const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unverified | Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Target | Kind::Scope | Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Absent => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Contradicted => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Undetermined => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer of the API for an outcome.
pub fn response(error: &Error) -> Response {
    with_status(error, status(error.kind()))
}

/// The same for callers who know other statuses.
pub fn with_status(error: &Error, status: StatusCode) -> Response {
    let Document { headers, body } = document(error, status);
    (status, headers, body).into_response()
}

/// A problem document and the headers that go with it.
pub struct Document {
    pub headers: HeaderMap,
    pub body: String,
}

/// What is said of an outcome under a status.
pub fn document(error: &Error, status: StatusCode) -> Document {
    log(error);
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.public(),
        code: error.code().as_str(),
        field: error.field(),
        denial_id: error.denial(),
        challenge: error.challenge(),
        trace_id: trace::id().map(|id| id.to_string()),
    };
    let body = serde_json::to_string(&problem).unwrap_or_else(|_| "{}".to_owned());
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    retry_after(error, &mut headers);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, challenge(error.code()));
    }
    Document { headers, body }
}

/// Tells the caller when to ask again (RFC 9110 §10.2.3), in whole seconds and never zero.
pub fn retry_after(error: &Error, headers: &mut HeaderMap) {
    if let Some(after) = error.retry_after() {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(after.as_secs().max(1)),
        );
    }
}

/// Says once, at the boundary that handles it, what only the operator may read.
pub fn log(error: &Error) {
    let (code, field, internal) = (error.code().as_str(), error.field(), error.internal());
    let text = error.public();
    let trace_id = trace::id().map(|id| id.to_string());
    let client = client().map(tracing::field::display);
    match error.kind() {
        Kind::Internal => {
            tracing::error!(code, field, internal, client, trace_id, "failed: {text}");
        }
        Kind::Undetermined => {
            tracing::warn!(
                code,
                field,
                internal,
                client,
                trace_id,
                "undetermined: {text}"
            );
        }
        Kind::Malformed
        | Kind::Unverified
        | Kind::Unauthenticated
        | Kind::Target
        | Kind::Scope
        | Kind::Denied
        | Kind::Absent
        | Kind::Conflict
        | Kind::Contradicted => {
            tracing::debug!(code, field, internal, client, trace_id, "refused: {text}");
        }
    }
}

/// RFC 9449 §7.1: both schemes are served, and which error it was.
fn challenge(code: Code) -> HeaderValue {
    if code == Code::ProofInvalid {
        return HeaderValue::from_static(
            "DPoP error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA\", Bearer",
        );
    }
    // Operators' tokens are not the broker's own, and are bound to no key (RFC 6750 §3).
    if code == Code::OperatorUnauthenticated {
        return HeaderValue::from_static("Bearer realm=\"writ operators\"");
    }
    if code == Code::OperatorExpired {
        return HeaderValue::from_static(
            "Bearer realm=\"writ operators\", error=\"invalid_token\"",
        );
    }
    HeaderValue::from_static(
        "DPoP error=\"invalid_token\", algs=\"ES256 EdDSA\", Bearer error=\"invalid_token\"",
    )
}
