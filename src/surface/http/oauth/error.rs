//! The one mapping from an outcome to an answer of the OAuth endpoints. The `error` is what the RFCs
//! name; `code`, `field` and `denial_id` stand beside it and are the same as everywhere.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Code, Error, Kind};
use crate::surface::http::problem;
use crate::telemetry::trace;

/// What was asked: RFC 8693 §2.2.2 and RFC 6749 §5.2 name the same refusal differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Exchange,
    Refresh,
}

/// The status and `error` of an outcome.
pub fn outcome(code: Code, asked: Asked) -> (StatusCode, &'static str) {
    let bad = StatusCode::BAD_REQUEST;
    let refused = match asked {
        Asked::Exchange => "invalid_request",
        Asked::Refresh => "invalid_grant",
    };
    match code.kind() {
        Kind::Malformed if code == Code::GrantTypeUnsupported => (bad, "unsupported_grant_type"),
        // RFC 9396 §5.
        _ if code == Code::AuthorizationDetailsInvalid => (bad, "invalid_authorization_details"),
        Kind::Malformed | Kind::Absent | Kind::Conflict | Kind::Contradicted => {
            (bad, "invalid_request")
        }
        // RFC 9449 §5: what is missing or wrong is the proof.
        _ if matches!(code, Code::ProofInvalid | Code::ProofRequired) => {
            (bad, "invalid_dpop_proof")
        }
        Kind::Unverified | Kind::Denied => (bad, refused),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Kind::Target => (bad, "invalid_target"),
        Kind::Scope => (bad, "invalid_scope"),
        Kind::Undetermined => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// RFC 6749 §5.2, with what is the same everywhere beside it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthError<'a> {
    error: &'static str,
    error_description: String,
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

/// The answer of an OAuth endpoint for an outcome.
pub fn response(error: &Error, asked: Asked) -> Response {
    problem::log(error);
    let (status, name) = outcome(error.code(), asked);
    let body = OAuthError {
        error: name,
        error_description: description(error.public()),
        code: error.code().as_str(),
        field: error.field(),
        denial_id: error.denial(),
        challenge: error.challenge(),
        trace_id: trace::id().map(|id| id.to_string()),
    };
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    problem::retry_after(error, headers);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"writ\""),
        );
    }
    response
}

/// RFC 6749 §5.2: visible ASCII and spaces, without quotes and backslashes.
fn description(text: &str) -> String {
    let plain = |c: char| {
        if matches!(c, ' '..='!' | '#'..='[' | ']'..='~') {
            c
        } else {
            '\''
        }
    };
    text.chars().map(plain).collect()
}
