//! What clients discover: RFC 8414 metadata and the keys that verify access tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::details::TASK;
use crate::surface::http::answer::kept;
use crate::surface::http::oauth::{
    EXCHANGE_GRANT, INTROSPECT, JWKS, METADATA, REFRESH_GRANT, REVOKE, TOKEN,
};
use crate::surface::http::present::at;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Content, Route};
use crate::surface::settings::ResourceServer;

pub fn route() -> Route {
    Route::get(METADATA, "metadata", handle)
        .about("Where the OAuth endpoints are, and what they serve (RFC 8414).")
        .well_known()
        .answers(StatusCode::OK, Content::json::<Metadata>())
}

pub fn keys() -> Route {
    Route::get(JWKS, "jwks", jwks)
        .about("The keys that verify access tokens (RFC 7517).")
        .answers(StatusCode::OK, Content::Object)
}

#[derive(Serialize, ToSchema)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    /// None: there is no authorization endpoint.
    #[schema(value_type = Vec<String>)]
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: [&'static str; 2],
    authorization_details_types_supported: [&'static str; 1],
}

async fn handle(State(public): State<Arc<Public>>) -> Response {
    let broker = &public.broker;
    let url = |path| at(&broker.issuer, path).to_string();
    let metadata = Metadata {
        issuer: broker.minter.issuer.clone(),
        token_endpoint: url(TOKEN),
        introspection_endpoint: url(INTROSPECT),
        revocation_endpoint: url(REVOKE),
        jwks_uri: url(JWKS),
        response_types_supported: [],
        grant_types_supported: [EXCHANGE_GRANT, REFRESH_GRANT],
        token_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: introspection_by(&public.servers),
        revocation_endpoint_auth_methods_supported: ["none"],
        dpop_signing_alg_values_supported: ["ES256", "EdDSA"],
        authorization_details_types_supported: [TASK],
    };
    Json(metadata).into_response()
}

/// RFC 8705 §2.1.1 names the third.
fn introspection_by(servers: &[ResourceServer]) -> Vec<&'static str> {
    let certified = servers.iter().any(|server| server.workload.is_some());
    let secrets = ["client_secret_basic", "client_secret_post"];
    let certificates = certified.then_some("tls_client_auth");
    secrets.into_iter().chain(certificates).collect()
}

/// The keys that verify access tokens.
async fn jwks(State(public): State<Arc<Public>>) -> Response {
    kept(public.broker.minter.keys.load().jwks())
}
