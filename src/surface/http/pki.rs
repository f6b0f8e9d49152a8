//! What those need who verify X.509-SVIDs by files: the roots, and the lists of what is revoked. Anybody
//! may read them. By SPIFFE the roots are in the trust domain's bundle (`svid::BUNDLE`).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, header};

use crate::error::{Code, Error};
use crate::mint::x509;
use crate::mint::x509::revocations::{LIFE, Lists};
use crate::surface::http::public::Public;
use crate::surface::http::{answer, problem};

/// Every trusted root.
pub const ROOTS: &str = "/pki/roots.pem";
/// The list of the authority that certifies now. Below it, each authority's by the authority's key.
pub const LISTS: &str = "/pki/crl";
/// The list of one authority: where its certificates say that it is.
pub const LIST: &str = "/pki/crl/{authority}";
/// Every list.
pub const ALL_LISTS: &str = "/pki/crl.pem";

pub async fn roots(State(public): State<Arc<Public>>) -> Response {
    let ring = public.broker.minter.keys.load();
    body(x509::bundle(&ring).into(), PEM, answer::max_age())
}

pub async fn active(State(public): State<Arc<Public>>) -> Response {
    listed(&public, DER, Lists::active)
}

pub async fn of(State(public): State<Arc<Public>>, Path(authority): Path<String>) -> Response {
    listed(&public, DER, |lists| lists.of(&authority))
}

pub async fn all(State(public): State<Arc<Public>>) -> Response {
    listed(&public, PEM_FILE, |lists| Some(lists.pem()))
}

fn listed(
    public: &Public,
    of_type: HeaderValue,
    which: impl FnOnce(&Lists) -> Option<Bytes>,
) -> Response {
    let now = public.broker.clock.now();
    let lists = public.broker.revocations.lists();
    // A list that has run out tells nobody anything.
    let Some(lists) = lists.filter(|lists| now < lists.at.plus(LIFE)) else {
        let text = "the lists cannot be vouched for now";
        let error = Error::new(Code::ViewStale, text);
        return problem::response(&error.with_retry_after(RETRY));
    };
    let Some(list) = which(&lists) else {
        let text = "there is no authority with this key, or it was withdrawn";
        return problem::response(&Error::new(Code::NotFound, text));
    };
    body(list, of_type, NOT_KEPT)
}

fn body(bytes: Bytes, of_type: HeaderValue, kept: HeaderValue) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, of_type);
    headers.insert(header::CACHE_CONTROL, kept);
    response
}

/// RFC 8555 §9.1.
const PEM: HeaderValue = HeaderValue::from_static("application/pem-certificate-chain");
const PEM_FILE: HeaderValue = HeaderValue::from_static("application/x-pem-file");
/// RFC 2585 §4.2.
const DER: HeaderValue = HeaderValue::from_static("application/pkix-crl");
/// Whoever asks wants to know what is revoked now.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache");
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);
