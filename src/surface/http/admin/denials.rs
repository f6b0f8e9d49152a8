//! `/api/v1/denials/{id}`: why something was refused.

use axum::Json;
use axum::extract::State;

use super::denial_view::Explanation;
use super::{Answer, Shared, decode};
use crate::error::{Code, Error};
use crate::surface::http::segment::Segment;

pub(super) async fn show(State(state): Shared, Segment(id): Segment) -> Answer<Explanation> {
    let (entry, leaf) = state.broker.explain(decode::parse(&id, "id")?).await?;
    let explained = Explanation::of(&entry, &leaf);
    let absent = || Error::new(Code::NotFound, "there is no refusal with this id");
    Ok(Json(explained.ok_or_else(absent)?))
}
