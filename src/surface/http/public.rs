//! The public listener: every route of it in one list, and what its handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::broker::Broker;
use crate::broker::observe::Rereads;
use crate::context::hook::Hook;
use crate::domain::name::SourceName;
use crate::surface::http::{hooks, oauth, pki, preview, secret, svid};
use crate::surface::settings::ResourceServer;

/// What the handlers of the public listener share.
pub struct Public {
    pub broker: Arc<Broker>,
    pub servers: Vec<ResourceServer>,
    pub hooks: BTreeMap<SourceName, Box<dyn Hook>>,
    pub rereads: Arc<Rereads>,
}

/// Every public route. None of them is for operators: those have a socket of their own.
pub fn router(public: Arc<Public>) -> Router {
    let path = public.broker.issuer.path().trim_end_matches('/').to_owned();
    let routes = Router::new()
        .route(oauth::TOKEN, post(oauth::token::handle))
        .route(oauth::INTROSPECT, post(oauth::introspect::handle))
        .route(oauth::REVOKE, post(oauth::revoke::handle))
        .route(oauth::JWKS, get(oauth::metadata::jwks))
        .route("/api/v1/secret/{*path}", get(secret::handle))
        .route(svid::JWT, post(svid::jwt))
        .route(svid::X509, post(svid::x509))
        .route(svid::DISCOVERY, get(svid::discovery))
        .route(svid::JWKS, get(svid::jwks))
        .route(svid::BUNDLE, get(svid::bundle))
        .route(preview::PREVIEW, post(preview::handle))
        .route(pki::ROOTS, get(pki::roots))
        .route(pki::LISTS, get(pki::active))
        .route(pki::LIST, get(pki::of))
        .route(pki::ALL_LISTS, get(pki::all))
        .route("/hooks/{source}", post(hooks::handle));
    // RFC 8414 §3.1 puts the well-known part before the issuer's own path.
    let well_known = format!("/.well-known/oauth-authorization-server{path}");
    let metadata = Router::new().route(&well_known, get(oauth::metadata::handle));
    let routes = if path.is_empty() {
        routes
    } else {
        Router::new().nest(&path, routes)
    };
    routes.merge(metadata).with_state(public)
}
