//! The parts of a path that a route leaves open.

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::surface::http::form::malformed;
use crate::surface::http::problem;

/// Percent-decoded: one text, or as many as the route leaves open. What is no text then is refused as every
/// request that cannot be read.
pub(super) struct Segment<T = String>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(open)) => Ok(Self(open)),
            Err(_) => Err(problem::response(&malformed("the path is no text"))),
        }
    }
}
