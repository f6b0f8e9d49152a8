//! The part of a path that a route leaves open.

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;

use crate::surface::http::form::malformed;
use crate::surface::http::problem;

/// Percent-decoded. What is no text then is refused as every request that cannot be read.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(problem::response(&malformed("the path is no text"))),
        }
    }
}
