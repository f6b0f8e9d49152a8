//! `GET /forward-auth`: a gateway asks whether the request that it holds may go on (nginx `auth_request`,
//! Traefik `forwardAuth`). The request's token and proof come as they were sent; its method and address in
//! headers that the gateway sets, which is believed because it authenticates.
//!
//! Such gateways know three answers: go on, 401, 403. Everything else is a fault to them, so what cannot be
//! known is 403 here, and a header says which.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::broker::Presented;
use crate::broker::check::{CheckRequest, Cleared, Holder};
use crate::broker::laps::verb;
use crate::domain::action::{Act, Resource};
use crate::error::{Code, Error, Kind};
use crate::surface::http::form::malformed;
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_header;
use crate::surface::http::route::{Caller, Content, Refuses, Route};
use crate::surface::http::{present, problem};

pub fn route() -> Route {
    Route::get("/forward-auth", "forward_auth", handle)
        .about("Tells a gateway whether the request that it holds may go on.")
        .by(Caller::Gateway)
        .with_proof()
        .answers(StatusCode::OK, Content::Nothing)
        .refuses(Refuses::Problem, &[401, 403])
}

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "check", decide(&public, &peer, &headers)).await {
        Ok(cleared) => let_go_on(&cleared),
        Err(error) => stop(&error),
    }
}

async fn decide(public: &Public, peer: &Peer, headers: &HeaderMap) -> Result<Cleared, Error> {
    let server = by_header(public, peer, headers, &header::PROXY_AUTHORIZATION).await?;
    let held = Held::read(headers)?;
    let (_, token) = present::token(headers)?;
    let proof = present::single(headers, "dpop")
        .map_err(|_| Error::new(Code::ProofInvalid, "more than one DPoP header, or no text"))?;
    let holder = proof.map_or(Holder::Nobody, |proof| {
        Holder::Proof(Box::new(Presented {
            proof: proof.to_owned(),
            method: held.method,
            url: held.url.clone(),
        }))
    });
    let request = CheckRequest {
        subject: None,
        token,
        holder,
        act: held.act()?,
        audiences: server.audiences.clone(),
    };
    public.broker.check(&request).await
}

/// The request that the gateway holds.
struct Held {
    method: &'static str,
    /// Where it was sent to, with no query: what a proof is about (RFC 9449 §4.2).
    url: Url,
    path: String,
}

impl Held {
    fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let said = |name: &'static str| {
            let unsaid = || malformed("the gateway does not say what it holds").with_field(name);
            present::single(headers, name)
                .ok()
                .flatten()
                .ok_or_else(unsaid)
        };
        let method = said("x-forwarded-method")?;
        let method = METHODS.iter().find(|known| known.as_str() == method);
        let method = method.ok_or_else(|| {
            malformed("not a method that is decided on").with_field("x-forwarded-method")
        })?;
        let target = said("x-forwarded-uri")?;
        let path = target.split('?').next().unwrap_or_default();
        if !is_plain(path) {
            let text = "the path has more than one reading";
            return Err(malformed(text).with_field("x-forwarded-uri"));
        }
        let (scheme, host) = (said("x-forwarded-proto")?, said("x-forwarded-host")?);
        let url = Url::parse(&format!("{scheme}://{host}{path}"));
        Ok(Self {
            method: method.as_str(),
            url: url
                .map_err(|_| malformed("not a scheme and a host").with_field("x-forwarded-host"))?,
            path: path.to_owned(),
        })
    }

    /// The method, in small letters, on a resource of the type `http` whose id is the path.
    fn act(&self) -> Result<Act, Error> {
        let unfit = || malformed("not an action on a resource").with_field("x-forwarded-uri");
        let host = self.url.host_str().unwrap_or_default();
        Ok(Act {
            action: self
                .method
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| unfit())?,
            resource: Resource {
                kind: "http".parse().map_err(|_| unfit())?,
                id: self.path.parse().map_err(|_| unfit())?,
                properties: [("host".to_owned(), host.to_owned())].into(),
            },
        })
    }
}

/// Whether everybody who reads the path reads the same: no way up, nothing doubled, no parameters of segments,
/// and nothing encoded that could stand for a part of its structure or for itself.
fn is_plain(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let plain = |segment: &str| {
        !matches!(segment, "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@%".contains(&b))
            && segment.split('%').skip(1).all(encodes_text)
    };
    // A path may end in a slash; inside, a segment has a name.
    let (inner, last) = below.rsplit_once('/').unwrap_or(("", below));
    let mut inner = inner.split('/').filter(|_| below.contains('/'));
    plain(last) && inner.all(|segment| !segment.is_empty() && plain(segment))
}

/// Whether what follows a percent sign encodes a byte that has no other meaning in a path.
fn encodes_text(after: &str) -> bool {
    let digits = after.get(..2).filter(|digits| {
        let mut bytes = digits.bytes();
        bytes.all(|b| b.is_ascii_hexdigit())
    });
    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_some_and(|byte| {
        let itself = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !itself && !byte.is_ascii_control() && !b"/\\%;?#".contains(&byte)
    })
}

/// Go on, and for whom: the gateway may pass it to the service behind.
fn let_go_on(cleared: &Cleared) -> Response {
    let mut response = StatusCode::OK.into_response();
    let claims = cleared.claims();
    say(&mut response, WORKLOAD, claims.sub.as_str());
    say(&mut response, TASK, &claims.task.to_string());
    response
}

fn stop(error: &Error) -> Response {
    let shown = matches!(error.kind(), Kind::Unverified) || error.code() == Code::ProofRequired;
    let status = if shown {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::FORBIDDEN
    };
    let mut response = problem::with_status(error, status);
    say(&mut response, CODE, error.code().as_str());
    if let Some(id) = error.denial() {
        say(&mut response, DENIAL, id);
    }
    response
}

fn say(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

const CODE: HeaderName = HeaderName::from_static("writ-code");
const DENIAL: HeaderName = HeaderName::from_static("writ-denial");
const TASK: HeaderName = HeaderName::from_static("writ-task");
const WORKLOAD: HeaderName = HeaderName::from_static("writ-workload");

/// The methods that are decided on. `CONNECT` and `TRACE` have no resource.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_path_with_one_reading_is_taken() {
        for path in [
            "/",
            "/accounts/AC-9/invoices/7",
            "/a/",
            "/a%20b/%C3%A9",
            "/a.b/..c/~x",
            "/q=1,2:3@4",
        ] {
            assert!(is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_not() {
        for path in [
            "",
            "a",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/..",
            "/a%2fb",
            "/a%2Fb",
            "/%2e%2e/b",
            "/a%5cb",
            "/a\\b",
            "/a;x=1/b",
            "/a/..;/b",
            "/a%3bx",
            "/a%00",
            "/a%0d",
            "/a%25b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%41",
            "/a b",
            "/a#b",
            "/\u{e9}",
            "/a%3fb",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
