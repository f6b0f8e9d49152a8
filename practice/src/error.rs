//! What can go wrong in the practice world, with the HTTP status the control API answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refused control call or a world that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("there is no {kind} {name}")]
    Unknown { kind: &'static str, name: String },
    #[error("{kind} {name} exists already")]
    Exists { kind: &'static str, name: String },
    #[error("{kind} {id} is completed already")]
    Completed { kind: &'static str, id: u64 },
    #[error("run {0} is still under way: only a completed run is run again")]
    UnderWay(u64),
    #[error("the world is full: at most {limit} {kind}")]
    Full { kind: &'static str, limit: usize },
    #[error("{0}")]
    Invalid(String),
    #[error("the system gave no randomness")]
    Random,
    #[error("test key {0} is unusable")]
    Key(&'static str),
    #[error("signing failed")]
    Signing,
    #[error("the webhook client cannot be made")]
    HookClient(#[source] reqwest::Error),
    #[error("the authorities for webhooks are no certificates in PEM")]
    Authorities,
    #[error("TLS settings of the webhook client")]
    Tls(#[from] rustls::Error),
    #[error("the webhook sender has stopped")]
    HooksStopped,
    #[error("cannot listen")]
    Listen(#[from] std::io::Error),
    #[error("a worker stopped")]
    Worker(#[from] tokio::task::JoinError),
}

impl WorldError {
    pub(crate) fn unknown(kind: &'static str, name: impl std::fmt::Display) -> Self {
        Self::Unknown {
            kind,
            name: name.to_string(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unknown { .. } => StatusCode::NOT_FOUND,
            Self::Exists { .. } | Self::Completed { .. } | Self::UnderWay(_) => {
                StatusCode::CONFLICT
            }
            Self::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Random
            | Self::Key(_)
            | Self::Signing
            | Self::HookClient(_)
            | Self::Authorities
            | Self::Tls(_)
            | Self::HooksStopped
            | Self::Listen(_)
            | Self::Worker(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for WorldError {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}
