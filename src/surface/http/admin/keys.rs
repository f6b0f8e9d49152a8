//! `/api/v1/keys`: the broker's own keys and their lives. Private bytes are never in an answer.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use writ_keys::{KeyRow, KeyState, Purpose};

use super::decode::{Sent, SentOrNot};
use super::failed::Failed;
use super::gate::Operator;
use super::repeat::Key;
use super::when::When;
use super::{Answer, Shared, decode};
use crate::broker::administer::Haste;
use crate::broker::revoke::Order;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::surface::http::segment::Segment;

/// Every key, withdrawn ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<KeyView>,
}

/// A key, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    pub id: String,
    pub purpose: String,
    pub state: String,
    pub created_at: When,
    /// When its state last changed.
    pub changed_at: When,
}

/// What a new key is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "purpose": "access_token" }))]
pub struct NewKey {
    pub purpose: String,
}

/// How a key is to move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "at_once": false }))]
pub struct KeyStep {
    /// Activate it although verifiers may not have heard of it yet.
    pub at_once: bool,
}

pub(super) async fn list(State(state): Shared) -> Answer<KeyList> {
    let rows = state.broker.keys().await?;
    let keys = rows.iter().map(KeyView::from).collect();
    Ok(Json(KeyList { keys }))
}

pub(super) async fn prepare(
    State(state): Shared,
    Extension(operator): Extension<Operator>,
    key: Key,
    Sent(wanted): Sent<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), Failed> {
    let purpose: Purpose = decode::parse(&wanted.purpose, "purpose")?;
    let order = Order {
        repeat: key.of(&operator, "prepare_key", &wanted)?,
        ..decode::plain_order(&operator)
    };
    let row = state.broker.prepare_key(purpose, &order).await?;
    Ok((StatusCode::CREATED, Json(KeyView::from(&row))))
}

pub(super) async fn step(
    State(state): Shared,
    Segment((id, step)): Segment<(String, String)>,
    Extension(operator): Extension<Operator>,
    key: Key,
    SentOrNot(wanted): SentOrNot<KeyStep>,
) -> Answer<KeyView> {
    let next = state_after(&step)?;
    let haste = if wanted.at_once {
        Haste::AtOnce
    } else {
        Haste::Patient
    };
    let order = Order {
        repeat: key.of(&operator, "move_key", &(&id, step, &wanted))?,
        ..decode::plain_order(&operator)
    };
    let row = state.broker.move_key(&id, next, haste, &order).await?;
    Ok(Json(KeyView::from(&row)))
}

fn state_after(step: &str) -> Result<KeyState, Error> {
    match step {
        "activate" => Ok(KeyState::Active),
        "retire" => Ok(KeyState::Retired),
        "withdraw" => Ok(KeyState::Withdrawn),
        _ => Err(Error::new(
            Code::NotFound,
            "a key can be told to activate, retire or withdraw",
        )),
    }
}

impl From<&KeyRow> for KeyView {
    fn from(row: &KeyRow) -> Self {
        Self {
            id: row.id.to_string(),
            purpose: row.purpose.to_string(),
            state: row.state.to_string(),
            created_at: Timestamp::from_micros(row.created_at).into(),
            changed_at: Timestamp::from_micros(row.changed_at).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_moves_only_by_a_known_word() {
        assert_eq!(state_after("withdraw").unwrap(), KeyState::Withdrawn);
        for bad in ["prepare", "Activate", "active", "delete", ""] {
            assert_eq!(
                state_after(bad).unwrap_err().code(),
                Code::NotFound,
                "{bad}"
            );
        }
    }
}
