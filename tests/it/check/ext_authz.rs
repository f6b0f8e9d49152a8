//! The question as any gRPC client can put it: what Envoy itself never sends is refused as well.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use reqwest::RequestBuilder;
use writ::surface::grpc::ext_authz::PATH;
use writ_proto::ext_authz::check_response::HttpResponse;
use writ_proto::ext_authz::{AttributeContext, CheckRequest, CheckResponse, HttpRequest, Request};

use super::{Held, counted};
use crate::support::broker::BILLING_SECRET;

const INVOICE: &str = "/accounts/AC-9/invoices/7";

/// What came of one call.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The request may go on.
    On,
    /// It is stopped, with this status and code.
    Stopped(i32, String),
    /// The call itself failed, with this status of gRPC.
    Failed(String),
    /// There is nothing that speaks gRPC, with this status of HTTP.
    Nothing(u16),
}

fn stopped(status: i32, code: &str) -> Came {
    Came::Stopped(status, code.to_owned())
}

/// A caller that speaks HTTP/2 from the first byte on.
struct Caller {
    http: reqwest::Client,
    url: String,
}

impl Caller {
    fn of(held: &Held) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a client of the broker")]
        let builder = reqwest::Client::builder();
        Self {
            http: builder.http2_prior_knowledge().build().unwrap(),
            url: format!("{}{PATH}", held.client.issuer),
        }
    }

    fn bare(&self) -> RequestBuilder {
        let request = self.http.post(&self.url);
        request
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    /// As the resource server `billing`.
    fn known(&self) -> RequestBuilder {
        let secret = STANDARD.encode(format!("billing:{BILLING_SECRET}"));
        self.bare()
            .header("authorization", format!("Basic {secret}"))
    }
}

fn message(http: HttpRequest) -> Vec<u8> {
    let request = CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(Request { http: Some(http) }),
        }),
    };
    request.encode_to_vec()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

async fn call(request: RequestBuilder, body: Vec<u8>) -> Came {
    let response = request.body(body).send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    if kind.is_none_or(|kind| kind != "application/grpc") {
        return Came::Nothing(status);
    }
    if let Some(failed) = response.headers().get("grpc-status") {
        return Came::Failed(failed.to_str().unwrap().to_owned());
    }
    let mut body: Bytes = response.bytes().await.unwrap();
    let answer = CheckResponse::decode(body.split_off(5)).unwrap();
    match answer.http_response.unwrap() {
        HttpResponse::OkResponse(_) => {
            assert_eq!(answer.status.unwrap().code, 0);
            Came::On
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(answer.status.unwrap().code, 0);
            let told: serde_json::Value = serde_json::from_str(&denied.body).unwrap();
            let code = told["code"].as_str().unwrap().to_owned();
            Came::Stopped(denied.status.unwrap().code, code)
        }
    }
}

/// What makes another request of one.
type Change = fn(&mut HttpRequest);

impl Held {
    /// What a gateway holds of a request that is signed for its address.
    fn shown(&self) -> HttpRequest {
        self.shown_for("GET", INVOICE)
    }

    fn shown_for(&self, method: &str, path: &str) -> HttpRequest {
        let url = format!("https://billing.example{path}");
        let proof = self
            .client
            .proof(&self.key, method, &url, Some(self.token()));
        HttpRequest {
            method: method.to_owned(),
            headers: HashMap::from([
                ("authorization".to_owned(), format!("DPoP {}", self.token())),
                ("dpop".to_owned(), proof),
            ]),
            header_map: None,
            path: path.to_owned(),
            host: "billing.example".to_owned(),
            scheme: "https".to_owned(),
        }
    }
}

#[tokio::test]
async fn a_permit_is_used_up_when_the_request_goes_on() {
    let held = Held::under(&counted::profile()).await;
    let caller = Caller::of(&held);
    let permit = held.permit("a").await;
    let asked = |permit: Option<&String>| {
        let mut request = held.shown_for("POST", counted::PLACE);
        let shown = permit.map(|permit| ("writ-permit".to_owned(), permit.clone()));
        request.headers.extend(shown);
        call(caller.known(), framed(&message(request)))
    };
    assert_eq!(asked(None).await, stopped(403, "permit_required"));
    assert_eq!(asked(Some(&permit)).await, Came::On);
    assert_eq!(asked(Some(&permit)).await, stopped(403, "permit_spent"));
}

#[tokio::test]
async fn a_gateway_is_answered_and_a_proof_is_spent() {
    let held = Held::new().await;
    let caller = Caller::of(&held);
    let body = framed(&message(held.shown()));
    assert_eq!(call(caller.known(), body.clone()).await, Came::On);
    let again = call(caller.known(), body).await;
    assert_eq!(again, stopped(401, "proof_invalid"));
}

#[tokio::test]
async fn whoever_is_no_resource_server_is_told_nothing_whatever_it_asks() {
    let held = Held::new().await;
    let caller = Caller::of(&held);
    let before = held.broker.log().await.len();
    for request in [
        caller.bare(),
        caller
            .bare()
            .header("authorization", "Basic YmlsbGluZzp3cm9uZw=="),
        caller.bare().header("authorization", "Basic !"),
        caller
            .bare()
            .header("authorization", format!("Bearer {}", held.token())),
        // The secret of another protocol's header is none here.
        caller
            .bare()
            .header("proxy-authorization", "Basic YmlsbGluZzp3cm9uZw=="),
    ] {
        let came = call(request, framed(&message(held.shown()))).await;
        assert_eq!(came, stopped(403, "client_invalid"));
    }
    // Two secrets are two callers.
    let twice = caller
        .known()
        .header("authorization", "Basic YmlsbGluZzp3cm9uZw==");
    let came = call(twice, framed(&message(held.shown()))).await;
    assert_eq!(came, Came::Nothing(400));
    assert_eq!(held.broker.log().await.len(), before);
    assert!(held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn a_question_about_no_request_is_refused() {
    let held = Held::new().await;
    let caller = Caller::of(&held);
    let nothing = CheckRequest { attributes: None }.encode_to_vec();
    assert!(nothing.is_empty());
    let came = call(caller.known(), framed(&nothing)).await;
    assert_eq!(came, stopped(400, "request_malformed"));
    let changes: [(Change, i32, &str); 8] = [
        (
            |http| http.method = "CONNECT".to_owned(),
            400,
            "request_malformed",
        ),
        (|http| http.scheme.clear(), 400, "request_malformed"),
        (
            |http| http.host = "billing.example#".to_owned(),
            400,
            "request_malformed",
        ),
        (
            |http| http.path = "/accounts/AC-9/../AC-7".to_owned(),
            400,
            "request_malformed",
        ),
        (|http| http.headers.clear(), 401, "token_invalid"),
        (
            |http| http.host = "other.example".to_owned(),
            401,
            "proof_invalid",
        ),
        (|http| http.scheme = "http".to_owned(), 401, "proof_invalid"),
        (|http| http.method = "POST".to_owned(), 401, "proof_invalid"),
    ];
    for (change, status, code) in changes {
        let mut http = held.shown();
        change(&mut http);
        let came = call(caller.known(), framed(&message(http))).await;
        assert_eq!(came, stopped(status, code));
    }
    assert!(held.client.is_active(&held.first).await);
}

/// Whatever is no question is an error of gRPC or of HTTP, and no answer: to Envoy that is a failure.
#[tokio::test]
async fn what_is_no_message_is_not_answered_with_a_permission() {
    let held = Held::new().await;
    let caller = Caller::of(&held);
    let whole = message(held.shown());
    let mut cut = framed(&whole);
    cut.truncate(cut.len() - 1);
    let mut packed = framed(&whole);
    packed[0] = 1;
    let mut http = held.shown();
    http.headers
        .insert("x-note".to_owned(), "n".repeat(300 * 1024));
    for (body, expected) in [
        (Vec::new(), "13"),
        (vec![0, 0], "13"),
        (framed(&[0xff; 16]), "13"),
        (cut, "13"),
        (packed, "13"),
        (framed(&message(http)), "11"),
        (vec![0, 0xff, 0xff, 0xff, 0xff], "11"),
    ] {
        let came = call(caller.known(), body).await;
        assert_eq!(came, Came::Failed(expected.to_owned()));
    }
    let encoded = caller.known().header("content-encoding", "gzip");
    let came = call(encoded, framed(&whole)).await;
    assert_eq!(came, Came::Nothing(415));
    let large = vec![0; 2 * 1024 * 1024];
    assert_eq!(call(caller.known(), large).await, Came::Nothing(413));
    let got = caller.http.get(&caller.url).send().await.unwrap();
    assert_eq!(got.status(), 405);
}

#[tokio::test]
async fn a_question_is_given_up_when_its_time_is_over() {
    let held = Held::new().await;
    let caller = Caller::of(&held);
    let late = caller.known().header("grpc-timeout", "0n");
    let came = call(late, framed(&message(held.shown()))).await;
    assert_eq!(came, Came::Failed("4".to_owned()));
    let timely = caller.known().header("grpc-timeout", "10S");
    let came = call(timely, framed(&message(held.shown()))).await;
    assert_eq!(came, Came::On);
}
