//! The public listener: every route of it in one list, and what its handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use axum::routing::post_service;
use axum::{Extension, Router};
use http::StatusCode;

use crate::broker::Broker;
use crate::broker::observe::Rereads;
use crate::context::hook::Hook;
use crate::domain::name::SourceName;
use crate::surface::grpc::ext_authz;
use crate::surface::http::openapi::Document;
use crate::surface::http::route::Route;
use crate::surface::http::{
    authzen, forward_auth, guard, hooks, oauth, openapi, permit, pki, preview, secret, svid,
};
use crate::surface::settings::ResourceServer;

/// What the handlers of the public listener share.
pub struct Public {
    pub broker: Arc<Broker>,
    pub servers: Vec<ResourceServer>,
    pub hooks: BTreeMap<SourceName, Box<dyn Hook>>,
    pub rereads: Arc<Rereads>,
}

/// Every public route. None of them is for operators: those have a socket of their own.
pub fn table() -> Vec<Route> {
    let mut table = Vec::new();
    table.extend(oauth::routes());
    table.extend([secret::route(), permit::route(), preview::route()]);
    table.extend(svid::routes());
    table.extend(pki::routes());
    table.extend(authzen::routes());
    table.extend([forward_auth::route(), hooks::route(), openapi::route()]);
    table
}

pub fn router(public: Arc<Public>) -> Router {
    let issuer = &public.broker.issuer;
    let path = issuer.path().trim_end_matches('/').to_owned();
    let document = Document(Arc::new(openapi::document(&table(), issuer)));
    let (mut below, mut well_known) = (Router::new(), Router::new());
    for route in table() {
        if route.well_known {
            let at = format!("{}{path}", route.path);
            well_known = well_known.route(&at, route.handler);
        } else {
            below = below.route(route.path, route.handler);
        }
    }
    let below = below.method_not_allowed_fallback(not_so);
    let below = if path.is_empty() {
        below
    } else {
        Router::new().nest(&path, below)
    };
    // A gRPC client knows no path but this.
    let asked = post_service(ext_authz::service(Arc::clone(&public)));
    let grpc = Router::new().route(ext_authz::PATH, asked);
    below
        .merge(well_known.method_not_allowed_fallback(not_so))
        .merge(grpc.method_not_allowed_fallback(not_so))
        .fallback(nowhere)
        .layer(Extension(document))
        .with_state(public)
}

async fn not_so() -> Response {
    guard::refusal(StatusCode::METHOD_NOT_ALLOWED)
}

async fn nowhere() -> Response {
    guard::refusal(StatusCode::NOT_FOUND)
}
