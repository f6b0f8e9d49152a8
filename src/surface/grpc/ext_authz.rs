//! `envoy.service.auth.v3.Authorization/Check`: Envoy asks whether the request that it holds may go on. It
//! authenticates as any resource server: by certificate, or by a secret in its metadata.
//!
//! Whatever comes of the question is an answer of the protocol, never an error of gRPC: an error is the case in
//! which Envoy falls back to what it is configured with, and `failure_mode_allow` is one of the choices. A
//! denial stops the request however Envoy is configured, and so does what cannot be known, as a denial that
//! says 503.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::timeout;
use tonic::{Code as GrpcCode, Request, Response, Status};
use writ_proto::ext_authz::authorization_server::{Authorization, AuthorizationServer};
use writ_proto::ext_authz::check_response::HttpResponse;
use writ_proto::ext_authz::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValueOption,
    HttpRequest, HttpStatus, OkHttpResponse, Status as Outcome,
};

use crate::broker::check::Cleared;
use crate::broker::laps::verb;
use crate::error::{Error, Kind};
use crate::surface::grpc::deadline;
use crate::surface::http::form::malformed;
use crate::surface::http::held::{Held, PERMIT, Part, Told, shows_too_little, whose, why};
use crate::surface::http::peer::Peer;
use crate::surface::http::problem;
use crate::surface::http::public::Public;
use crate::surface::http::resource_server::by_header;

/// Where a gRPC client looks for it, whatever the issuer's path is.
pub const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The service, for the router.
pub fn service(public: Arc<Public>) -> AuthorizationServer<ExtAuthz> {
    AuthorizationServer::new(ExtAuthz(public)).max_decoding_message_size(MOST_BYTES)
}

/// What answers Envoy.
pub struct ExtAuthz(Arc<Public>);

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let (metadata, extensions, asked) = request.into_parts();
        let metadata = metadata.into_headers();
        let peer = extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| Status::internal("a request without a peer"))?;
        let decided = decide(&self.0, peer, &metadata, &asked);
        let decided = verb(self.0.broker.clock.as_ref(), "check", decided);
        let decided = match deadline::given(&metadata) {
            // Whoever asked has given up by then.
            Some(time) => timeout(time, decided)
                .await
                .map_err(|_| Status::deadline_exceeded("not decided in the time that was given"))?,
            None => decided.await,
        };
        Ok(Response::new(match decided {
            Ok(cleared) => let_go_on(&cleared),
            Err(error) => stop(&error),
        }))
    }
}

async fn decide(
    public: &Public,
    peer: &Peer,
    metadata: &HeaderMap,
    asked: &CheckRequest,
) -> Result<Cleared, Error> {
    let server = by_header(public, peer, metadata, &header::AUTHORIZATION).await?;
    let request = asked.attributes.as_ref().and_then(|a| a.request.as_ref());
    let request = request.and_then(|request| request.http.as_ref());
    let request = request.ok_or_else(|| malformed("it is about no request of HTTP"))?;
    let question = held(request)?.question(&sent(request)?, server)?;
    question.put(&public.broker).await
}

fn held(request: &HttpRequest) -> Result<Held, Error> {
    let part = |name, text| Part { name, text };
    Held::read(&Told {
        method: part("method", &request.method),
        scheme: part("scheme", &request.scheme),
        authority: part("host", &request.host),
        target: part("path", &request.path),
    })
}

/// The headers that are looked at, in whichever of its two forms Envoy tells them. A header that comes twice is
/// two values in one form and has a comma in the other, and is neither a token nor a proof in both.
fn sent(request: &HttpRequest) -> Result<HeaderMap, Error> {
    let joined = request.headers.iter();
    let joined = joined.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let lines = request.header_map.iter().flat_map(|map| &map.headers);
    let lines = lines.map(|line| match line.raw_value.as_slice() {
        [] => (line.key.as_str(), line.value.as_bytes()),
        raw => (line.key.as_str(), raw),
    });
    let mut sent = HeaderMap::new();
    for (name, value) in joined.chain(lines) {
        let looked_at = SHOWN
            .into_iter()
            .find(|shown| name.eq_ignore_ascii_case(shown.as_str()));
        if let Some(shown) = looked_at {
            let unfit = |_| malformed("a header that is none").with_field(shown.as_str());
            sent.append(&shown, HeaderValue::from_bytes(value).map_err(unfit)?);
        }
    }
    Ok(sent)
}

/// The only answer that has the status 0, which is also what an answer without a status has.
fn let_go_on(cleared: &Cleared) -> CheckResponse {
    CheckResponse {
        status: Some(Outcome {
            code: GrpcCode::Ok.into(),
            message: String::new(),
        }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: whose(cleared)
                .map(|(name, value)| in_place_of(&name, value))
                .into(),
        })),
    }
}

fn stop(error: &Error) -> CheckResponse {
    let status = status(error);
    let document = problem::document(error, status);
    let own = document.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some(in_place_of(name, value.to_owned()))
    });
    let why = why(error).map(|(name, value)| in_place_of(&name, value));
    CheckResponse {
        status: Some(Outcome {
            code: code(error.kind()).into(),
            message: error.code().to_string(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: status.as_u16().into(),
            }),
            headers: own.chain(why).collect(),
            body: document.body,
        })),
    }
}

/// What the sender is answered. That the gateway has not authenticated is nothing that the sender could mend by
/// another token.
fn status(error: &Error) -> StatusCode {
    if shows_too_little(error) {
        StatusCode::UNAUTHORIZED
    } else if error.kind() == Kind::Unauthenticated {
        StatusCode::FORBIDDEN
    } else {
        problem::status(error.kind())
    }
}

/// The same for Envoy's statistics and logs. None of them is `Ok`.
const fn code(kind: Kind) -> GrpcCode {
    match kind {
        Kind::Malformed | Kind::Contradicted => GrpcCode::InvalidArgument,
        Kind::Unverified | Kind::Unauthenticated => GrpcCode::Unauthenticated,
        Kind::Target | Kind::Scope | Kind::Denied => GrpcCode::PermissionDenied,
        Kind::Absent => GrpcCode::NotFound,
        Kind::Conflict => GrpcCode::Aborted,
        Kind::Undetermined => GrpcCode::Unavailable,
        Kind::Internal => GrpcCode::Internal,
    }
}

/// A header that is set whether or not there is one of its name, and then is the only one.
fn in_place_of(name: &HeaderName, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(writ_proto::ext_authz::HeaderValue {
            key: name.as_str().to_owned(),
            value,
            raw_value: Vec::new(),
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    }
}

/// What a request shows.
const SHOWN: [HeaderName; 3] = [
    header::AUTHORIZATION,
    HeaderName::from_static("dpop"),
    PERMIT,
];

/// Envoy takes 60 KiB of headers by default, and tells them once, the path twice.
const MOST_BYTES: usize = 256 * 1024;

#[cfg(test)]
#[path = "ext_authz_tests.rs"]
mod tests;
