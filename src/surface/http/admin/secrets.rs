//! `/api/v1/secrets`: put and delete; there is no route that gives a value back.

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use http::{StatusCode, Uri};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::failed::Failed;
use super::gate::Operator;
use super::list::List;
use super::repeat::Key;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::broker::revoke::Order;
use crate::domain::grant::SecretPath;
use crate::domain::secret::Secret;
use crate::error::Error;
use crate::mint::cursor::Cursor;
use crate::store::SecretListing;
use crate::surface::http::segment::Segment;

/// A part of all secrets, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretPage {
    pub secrets: Vec<SecretView>,
    /// What to ask for as `cursor`, where there may be more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    #[schema(value_type = String)]
    pub path: SecretPath,
    /// The newest version.
    pub version: u32,
    pub at: When,
}

/// The version that holds the value that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stored {
    #[schema(value_type = String)]
    pub path: SecretPath,
    pub version: u32,
    /// It held the value already: nothing was written.
    pub unchanged: bool,
}

/// The largest value, in bytes.
pub const LARGEST_SECRET: usize = 64 * 1024;

pub(super) async fn list(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    uri: Uri,
) -> Answer<SecretPage> {
    let list = List::of(&state, "secrets", "", &operator);
    let page = list.page(&uri)?;
    let found = state.broker.secrets(page.from.as_ref(), page.limit).await?;
    let end = found.last().filter(|_| page.is_full(found.len()));
    Ok(Json(SecretPage {
        secrets: found.iter().map(SecretView::from).collect(),
        next: list.behind(end.map(|one| &one.path)),
    }))
}

/// The body is the value, byte for byte.
pub(super) async fn store(
    State(state): Shared,
    Segment(path): Segment,
    Extension(operator): Extension<Operator>,
    body: Body,
) -> Answer<Stored> {
    let path: SecretPath = decode::parse(&path, "path")?;
    let value = value(body).await?;
    let order = decode::plain_order(&operator);
    let stored = state.broker.put_secret(&path, &value, &order).await?;
    Ok(Json(Stored {
        path,
        version: stored.version,
        unchanged: stored.unchanged,
    }))
}

pub(super) async fn delete(
    State(state): Shared,
    Segment(path): Segment,
    Extension(operator): Extension<Operator>,
    key: Key,
) -> Result<StatusCode, Failed> {
    let path: SecretPath = decode::parse(&path, "path")?;
    let order = Order {
        repeat: key.of(&operator, "delete_secret", &path)?,
        ..decode::plain_order(&operator)
    };
    state.broker.delete_secret(&path, &order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a value into memory that is wiped. It is allocated once: growing would leave copies behind.
async fn value(mut body: Body) -> Result<Secret, Error> {
    let mut value = Zeroizing::new(Vec::with_capacity(LARGEST_SECRET));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| refused("the body was cut off".to_owned()))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        if value.len() + bytes.len() > LARGEST_SECRET {
            return Err(refused(format!(
                "a secret has at most {LARGEST_SECRET} bytes"
            )));
        }
        value.extend_from_slice(&bytes);
    }
    if value.is_empty() {
        return Err(refused("a secret is not empty".to_owned()));
    }
    Ok(Secret::from(value))
}

fn refused(what: String) -> Error {
    decode::malformed(what, "value")
}

impl From<&SecretListing> for SecretView {
    fn from(one: &SecretListing) -> Self {
        Self {
            path: one.path.clone(),
            version: one.version,
            at: one.at.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn a_value_is_kept_byte_for_byte() {
        let bytes = b"canary-5d1f\r\n\x00\xff".to_vec();
        let kept = value(Body::from(bytes.clone())).await.unwrap();
        assert_eq!(kept.expose(), bytes);
        let largest = value(Body::from(vec![7; LARGEST_SECRET])).await.unwrap();
        assert_eq!(largest.expose().len(), LARGEST_SECRET);
    }

    #[tokio::test]
    async fn an_empty_or_oversized_value_is_refused_and_not_repeated() {
        let huge = "canary".repeat(LARGEST_SECRET);
        for bad in [String::new(), huge] {
            let error = value(Body::from(bad)).await.unwrap_err();
            assert_eq!(error.code(), Code::RequestMalformed);
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
