//! The operators' API, served on the admin Unix socket only. Who may call is decided by the kernel's
//! word about the peer, before any route is looked at; what happens is decided by the broker.
//!
//! A task is named in the path by its id, or by its external name with every `/` written `%2F`:
//! `/api/v1/tasks/github%2F812345%2F99001%2F1/revoke`. A secret's path is always last, and may be
//! written with either. Lists are newest first (tasks) or by name (secrets) and go on from `next`,
//! an authenticated cursor.

use std::sync::Arc;

use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
use http::Uri;

use crate::broker::Broker;
use crate::error::{Code, Error};

pub mod advice;
pub mod audit;
pub mod credential_view;
pub mod decode;
pub mod denial_view;
mod denials;
pub mod entry_view;
mod failed;
pub mod find_view;
pub mod freezes;
pub mod gate;
pub mod keys;
mod list;
pub mod night;
pub mod revocations;
pub mod secrets;
pub mod task_view;
mod tasks;
pub mod when;

use failed::Failed;
use gate::Operators;

/// What the handlers work with.
pub struct AdminState {
    pub broker: Arc<Broker>,
    pub operators: Operators,
}

type Shared = axum::extract::State<Arc<AdminState>>;
type Answer<T> = Result<Json<T>, Failed>;

/// Every route of the admin socket. Whoever is no operator gets the same refusal from all of them,
/// and from what is no route.
pub fn router(state: Arc<AdminState>) -> Router {
    let gate = middleware::from_fn_with_state(Arc::new(state.operators.clone()), gate::require);
    Router::new()
        .route("/api/v1/tasks", get(tasks::list).post(tasks::open))
        .route("/api/v1/tasks/{task}", get(tasks::show))
        .route("/api/v1/tasks/{task}/revoke", post(tasks::revoke))
        .route("/api/v1/tasks/{task}/close", post(tasks::close))
        .route("/api/v1/tasks/{task}/exposure", get(night::exposure))
        .route("/api/v1/denials/{id}", get(denials::show))
        .route("/api/v1/find", post(night::find))
        .route("/api/v1/freezes", get(freezes::list).post(freezes::freeze))
        .route("/api/v1/freezes/{scope}/lift", post(freezes::lift))
        .route("/api/v1/why/{about}", get(night::why))
        .route("/api/v1/revocations", post(revocations::revoke))
        .route("/api/v1/revocations/preview", post(revocations::preview))
        .route("/api/v1/secrets", get(secrets::list))
        .route(
            "/api/v1/secrets/{*path}",
            put(secrets::store).delete(secrets::delete),
        )
        .route("/api/v1/keys", get(keys::list).post(keys::prepare))
        .route("/api/v1/keys/{id}/{step}", post(keys::step))
        .route("/api/v1/audit/checkpoint", get(audit::checkpoint))
        .route("/api/v1/audit/export", get(audit::export))
        .fallback(absent)
        .layer(gate)
        .with_state(state)
}

async fn absent(uri: Uri) -> Failed {
    let what = format!("there is nothing at {}", uri.path());
    Error::new(Code::NotFound, what).into()
}
