//! What every request must satisfy before, while and after a handler sees it: no header that could be taken
//! for another, no encoded body, a body within its cap and in one piece, an answer within its time, and no
//! panic that reaches the connection.
//!
//! The refusals here come before anything is known about the caller; they say the status and nothing else.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{DefaultBodyLimit, Request},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::Limited;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::time;
use tower::ServiceExt as _;
use utoipa::ToSchema;

use super::serve::Limits;

/// Passes one request to the router and stands between it and whatever goes wrong.
pub(super) async fn answer(router: Router, request: Request, limits: &Limits) -> Response {
    let ambiguous = is_ambiguous(&request);
    // The parser drops a `Content-Length` that stands beside `Transfer-Encoding`. Whoever forwarded by that
    // length would put bytes of its own choice behind this request: they are not read (RFC 9112 §6.1).
    let last = ambiguous || request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = if ambiguous {
        refusal(StatusCode::BAD_REQUEST)
    } else {
        explained(judge(router, request, limits).await)
    };
    if last {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn judge(router: Router, request: Request, limits: &Limits) -> Response {
    if is_encoded(request.headers()) {
        let mut response = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        // RFC 9110 §12.5.3: tells the client what to send instead.
        let identity = HeaderValue::from_static("identity");
        response
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, identity);
        return response;
    }
    if request.body().size_hint().lower() > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reading = Arc::new(Reading::default());
    let request = request.map(|body| Body::new(Watched::new(body, limits, &reading)));
    let handler = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    match time::timeout(limits.request, handler).await {
        Ok(_) if reading.is(OVERRUN) => refusal(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(_) if reading.is(BROKEN) => refusal(StatusCode::BAD_REQUEST),
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_)) => {
            // The panic's text went to the panic hook; it may quote the request and is not repeated.
            tracing::error!("a handler panicked");
            refusal(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Err(_) if reading.is(UNDER_WAY) => refusal(StatusCode::REQUEST_TIMEOUT),
        Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The router, with its own body limit out of the way: there is one limit, and it is enforced here.
pub(super) fn without_own_limit(router: Router) -> Router {
    router.layer(DefaultBodyLimit::disable())
}

/// Whether two readers could take this request for two different ones: by the first or the last of two headers
/// of which there is one, or without the `Host` that HTTP/1.1 demands (RFC 9112 §3.2, RFC 9110 §5.3).
fn is_ambiguous(request: &Request) -> bool {
    let headers = request.headers();
    let hostless = request.version() == Version::HTTP_11 && !headers.contains_key(header::HOST);
    let twice = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    hostless || ONE_OF_EACH.iter().any(twice)
}

/// What says for whom a request is, how it is read and who asks. Where it ends, the parser has judged: it
/// refuses two lengths, unless they are equal (RFC 9110 §8.6).
const ONE_OF_EACH: [HeaderName; 3] = [header::HOST, header::CONTENT_TYPE, header::AUTHORIZATION];

/// The router's own refusals, of a path or a method that is not there, have no body: they get this one.
fn explained(response: Response) -> Response {
    let bare = matches!(
        response.status(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    ) && !response.headers().contains_key(header::CONTENT_TYPE);
    if !bare {
        return response;
    }
    let mut problem = refusal(response.status());
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// Nothing is ever decompressed, so an encoded body cannot be understood (RFC 9110 §15.5.16).
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A problem document (RFC 9457) that tells no more than its status.
#[derive(Serialize, ToSchema)]
pub(super) struct Refusal {
    r#type: &'static str,
    title: &'static str,
    status: u16,
}

pub(super) fn refusal(status: StatusCode) -> Response {
    let refusal = Refusal {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
    };
    let kind = HeaderValue::from_static("application/problem+json");
    (
        status,
        [(header::CONTENT_TYPE, kind)],
        axum::Json(refusal).into_response().into_body(),
    )
        .into_response()
}

/// How far the body has been read; shared between the body and the guard.
#[derive(Default)]
struct Reading(AtomicU8);

// 0: nothing of it was read.
const UNDER_WAY: u8 = 1;
const COMPLETE: u8 = 2;
const OVERRUN: u8 = 3;
/// Its framing is wrong, or the client is gone.
const BROKEN: u8 = 4;

impl Reading {
    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }

    fn becomes(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

/// A request body that is cut at the cap and tells how far it got, so that the refusal is the same whichever
/// way a handler takes the error.
struct Watched {
    body: Limited<Body>,
    reading: Arc<Reading>,
}

impl Watched {
    fn new(body: Body, limits: &Limits, reading: &Arc<Reading>) -> Self {
        Self {
            body: Limited::new(body, limits.body_bytes),
            reading: Arc::clone(reading),
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        match &poll {
            Poll::Ready(None) => self.reading.becomes(COMPLETE),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.reading.becomes(COMPLETE),
            Poll::Pending | Poll::Ready(Some(Ok(_))) => self.reading.becomes(UNDER_WAY),
            Poll::Ready(Some(Err(error))) if error.is::<http_body_util::LengthLimitError>() => {
                self.reading.becomes(OVERRUN);
            }
            Poll::Ready(Some(Err(_))) => self.reading.becomes(BROKEN),
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
