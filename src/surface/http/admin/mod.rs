//! The operators' API, served on the admin Unix socket and, where it is configured, on a listener of its own
//! behind OpenID Connect; never on the public one. Who may call is decided by `gate`, before any route is
//! looked at, and which route takes which role by [`table()`]; what happens is decided by the broker.
//!
//! A task is named in the path by its id, or by its external name with every `/` written `%2F`:
//! `/api/v1/tasks/github%2F812345%2F99001%2F1/revoke`. A secret's path is always last, and may be
//! written with either. Lists are newest first (tasks) or by name (secrets) and go on from `next`,
//! an authenticated cursor.

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use http::Uri;

use crate::broker::Broker;
use crate::broker::apply::Configuration;
use crate::error::{Code, Error};
use crate::surface::http::openapi::{self, Document};

pub mod advice;
pub mod audit;
pub mod challenges;
pub mod configuration;
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
pub mod lineages;
mod list;
pub mod login;
pub mod night;
mod repeat;
pub mod revocations;
mod routes;
pub mod secrets;
pub mod table;
pub mod task_view;
mod tasks;
pub mod users;
pub mod when;

use failed::Failed;
use gate::{Gate, Operators};
pub use routes::table;

/// What the handlers work with.
pub struct AdminState {
    pub broker: Arc<Broker>,
    pub operators: Operators,
    pub configuration: Arc<dyn Configuration>,
}

type Shared = axum::extract::State<Arc<AdminState>>;
type Answer<T> = Result<Json<T>, Failed>;

/// The routes of operators at one listener. Whoever is no operator gets the same refusal from all of them,
/// and from what is no route; where tokens are shown, everybody may learn whose.
pub fn router(state: Arc<AdminState>) -> Router {
    let gate = Gate {
        operators: state.operators.clone(),
        clock: Arc::clone(&state.broker.clock),
    };
    let gate = middleware::from_fn_with_state(gate, gate::require);
    let table = table();
    let document = Document(Arc::new(openapi::operators(table.routes())));
    let routes = table.router().layer(Extension(document));
    let routes = routes.fallback(absent).layer(gate);
    let routes = match &state.operators {
        Operators::Local(_) => routes,
        Operators::Remote(_) => routes.route(login::PATH, get(login::client)),
    };
    routes.with_state(state)
}

async fn absent(uri: Uri) -> Failed {
    let what = format!("there is nothing at {}", uri.path());
    Error::new(Code::NotFound, what).into()
}
