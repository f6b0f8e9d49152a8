//! What people do at a desk, as calls of its control API: open cases, move them, say where it tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;

use super::cases::Desk;
use super::hooks::{DeskHook, DeskSecret};
use crate::error::WorldError;
use crate::hooks::Delivery;

type Here = State<Arc<Desk>>;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/cases", post(open))
        .route("/cases/{id}", post(change).delete(delete))
        .route("/hook", put(set_hook))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCase {
    id: String,
    account: String,
    #[serde(default)]
    assignee: Option<String>,
    #[serde(default)]
    more: BTreeMap<String, String>,
}

async fn open(State(desk): Here, Json(new): Json<NewCase>) -> Result<Json<()>, WorldError> {
    desk.open(&new.id, &new.account, new.assignee.as_deref())?;
    if !new.more.is_empty() {
        desk.change(&new.id, |case| case.more = new.more).await?;
    }
    Ok(Json(()))
}

/// What is left out stays as it is; the assignee `""` is nobody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    state: Option<String>,
    assignee: Option<String>,
    account: Option<String>,
    #[serde(default)]
    more: BTreeMap<String, String>,
}

async fn change(
    State(desk): Here,
    Path(id): Path<String>,
    Json(to): Json<Change>,
) -> Result<Json<Option<Delivery>>, WorldError> {
    let told = desk.change(&id, |case| {
        case.state = to.state.unwrap_or_else(|| case.state.clone());
        case.more.extend(to.more);
        case.account = to.account.unwrap_or_else(|| case.account.clone());
        if let Some(assignee) = to.assignee {
            case.assignee = Some(assignee).filter(|name| !name.is_empty());
        }
    });
    told.await.map(Json)
}

async fn delete(State(desk): Here, Path(id): Path<String>) {
    desk.delete(&id);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    url: String,
    secret: String,
}

/// `null` is nowhere.
async fn set_hook(State(desk): Here, Json(hook): Json<Option<Hook>>) {
    desk.set_hook(hook.map(|hook| DeskHook {
        url: hook.url,
        secret: DeskSecret::Body(hook.secret),
    }));
}
