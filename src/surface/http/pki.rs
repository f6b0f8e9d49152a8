//! What those need who verify X.509-SVIDs by files: the roots, and the lists of what is revoked. Anybody
//! may read them. By SPIFFE the roots are in the trust domain's bundle (`svid::BUNDLE`).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::error::{Code, Error};
use crate::mint::x509;
use crate::mint::x509::revocations::{LIFE, Lists};
use crate::surface::http::public::Public;
use crate::surface::http::route::{Content, Refuses, Route};
use crate::surface::http::segment::Segment;
use crate::surface::http::{answer, problem};

/// Every trusted root.
pub const ROOTS: &str = "/pki/roots.pem";
/// The list of the authority that certifies now. Below it, each authority's by the authority's key.
pub const LISTS: &str = "/pki/crl";
/// The list of one authority: where its certificates say that it is.
pub const LIST: &str = "/pki/crl/{authority}";
/// Every list.
pub const ALL_LISTS: &str = "/pki/crl.pem";

pub fn routes() -> [Route; 4] {
    let refused = &[404, 503];
    [
        Route::get(ROOTS, "roots", roots)
            .about("Every trusted root of X.509-SVIDs.")
            .answers(StatusCode::OK, Content::File(PEM)),
        Route::get(LISTS, "active_list", active)
            .about("What is revoked, by the authority that certifies now.")
            .answers(StatusCode::OK, Content::File(DER))
            .refuses(Refuses::Problem, refused),
        Route::get(LIST, "list", of)
            .about("What is revoked, by one authority.")
            .answers(StatusCode::OK, Content::File(DER))
            .refuses(Refuses::Problem, &[400, 404, 503]),
        Route::get(ALL_LISTS, "all_lists", all)
            .about("What is revoked, by every authority and root.")
            .answers(StatusCode::OK, Content::File(PEM_FILE))
            .refuses(Refuses::Problem, refused),
    ]
}

async fn roots(State(public): State<Arc<Public>>) -> Response {
    let ring = public.broker.minter.keys.load();
    body(x509::bundle(&ring).into(), PEM, answer::max_age())
}

async fn active(State(public): State<Arc<Public>>) -> Response {
    listed(&public, DER, Lists::active)
}

async fn of(State(public): State<Arc<Public>>, Segment(authority): Segment) -> Response {
    listed(&public, DER, |lists| lists.of(&authority))
}

async fn all(State(public): State<Arc<Public>>) -> Response {
    listed(&public, PEM_FILE, |lists| Some(lists.pem()))
}

fn listed(
    public: &Public,
    of_type: &'static str,
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

fn body(bytes: Bytes, of_type: &'static str, kept: HeaderValue) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(of_type));
    headers.insert(header::CACHE_CONTROL, kept);
    response
}

/// RFC 8555 §9.1.
const PEM: &str = "application/pem-certificate-chain";
const PEM_FILE: &str = "application/x-pem-file";
/// RFC 2585 §4.2.
const DER: &str = "application/pkix-crl";
/// Whoever asks wants to know what is revoked now.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache");
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);
