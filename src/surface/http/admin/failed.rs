//! A refusal on its way out of a handler.

use axum::response::{IntoResponse, Response};

use crate::error::Error;
use crate::surface::http::problem;

/// Answers as every API of the broker does.
pub(super) struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        problem::response(&self.0)
    }
}
