//! JSON answers with how long they may be kept.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde::Serialize;

use crate::mint::KEY_SET_MAX_AGE;

/// What is for whoever asked, and stays in no cache.
pub fn unkept(body: impl Serialize) -> Response {
    with(body, HeaderValue::from_static("no-store"))
}

/// What verifiers may keep: a key is published for longer than that before it signs, and withdrawn
/// ones are gone from the next answer.
pub fn kept(body: impl Serialize) -> Response {
    with(body, max_age())
}

/// How long a published key set may be kept.
pub fn max_age() -> HeaderValue {
    let text = format!("public, max-age={}", KEY_SET_MAX_AGE.as_secs());
    let value = HeaderValue::try_from(text);
    value.unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

fn with(body: impl Serialize, kept: HeaderValue) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}
