//! `/api/v1/audit`: the log's signed head, and the whole log as a file that anybody can check.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::failed::Failed;
use super::when::When;
use super::{Answer, Shared};
use crate::surface::http::problem;

/// The newest checkpoint. Kept away from the broker's host it finds deletion and rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    pub size: u64,
    pub at: When,
    /// The signed note, byte for byte.
    pub note: String,
    /// The verifier key of who signed it.
    pub key: String,
}

pub(super) async fn checkpoint(State(state): Shared) -> Answer<CheckpointView> {
    let signed = state.broker.checkpoint().await?;
    Ok(Json(CheckpointView {
        size: signed.size,
        at: signed.at.into(),
        note: signed.note,
        key: signed.key.to_string(),
    }))
}

/// Streams the log up to the newest checkpoint, page by page. When it cannot be read to the end the
/// connection breaks, so that half a log is never taken for a whole one.
pub(super) async fn export(State(state): Shared) -> Result<Response, Failed> {
    let export = state.broker.export().await?;
    let pages = stream::try_unfold(export, async |mut export| {
        let page = export.next().await.inspect_err(problem::log)?;
        Ok::<_, crate::error::Error>(page.map(|page| (Bytes::from(page), export)))
    });
    let kind = [(header::CONTENT_TYPE, LINES)];
    Ok((kind, Body::from_stream(pages)).into_response())
}

/// JSON, one entry on each line.
pub(super) const LINES: &str = "application/jsonl";
