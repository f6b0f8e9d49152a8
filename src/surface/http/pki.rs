//! What those need who verify X.509-SVIDs by files: the roots in PEM. By SPIFFE it is the trust domain's
//! bundle (`svid::BUNDLE`).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use crate::mint::x509::pem;
use crate::surface::http::answer;
use crate::surface::http::public::Public;

/// Every trusted root.
pub const ROOTS: &str = "/pki/roots.pem";
/// Below it, each authority's revocation list by the authority's key.
pub const LISTS: &str = "/pki/crl";

pub async fn roots(State(public): State<Arc<Public>>) -> Response {
    let ring = public.broker.minter.keys.load();
    let text: String = ring.roots().map(|(_, der)| pem::certificate(der)).collect();
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PEM);
    headers.insert(header::CACHE_CONTROL, answer::max_age());
    response
}

/// RFC 8555 §9.1.
const PEM: HeaderValue = HeaderValue::from_static("application/pem-certificate-chain");
