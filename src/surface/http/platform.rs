//! The listener for the platform: is the process alive, can it serve, what does it count. It has its
//! own address, so that neither answer nor count is reachable where callers are.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::broker::Broker;

/// What the handlers share.
pub struct Platform {
    pub broker: Arc<Broker>,
    pub metrics: PrometheusHandle,
}

pub fn router(platform: Arc<Platform>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(counts))
        .with_state(platform)
}

/// Ready means: the ledger can be read, and this replica is not behind it.
async fn ready(State(platform): State<Arc<Platform>>) -> Response {
    match platform.broker.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", error.code()),
        )
            .into_response(),
    }
}

async fn counts(State(platform): State<Arc<Platform>>) -> Response {
    let mut response = platform.metrics.render().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
