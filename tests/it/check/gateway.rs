//! A gateway asks whether the request that it holds may go on.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use writ_practice::{Mode, Target};

use super::Held;
use crate::gitlab::outage::fault;
use crate::support::broker::BILLING_SECRET;
use crate::support::client::Answer;

const HOST: &str = "billing.example";
const PATH: &str = "/accounts/AC-9/invoices/7";

impl Held {
    /// The gateway's question about a request with these lines.
    fn gate(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/forward-auth", self.client.issuer);
        let secret = format!("billing:{BILLING_SECRET}");
        let secret = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, secret);
        let request = self.client.http.get(url);
        request
            .header("Proxy-Authorization", format!("Basic {secret}"))
            .header("X-Forwarded-Method", method)
            .header("X-Forwarded-Uri", path)
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", HOST)
    }

    /// The request as its sender made it: a token, and a proof for this very address.
    pub(super) fn signed(
        &self,
        request: RequestBuilder,
        method: &str,
        path: &str,
    ) -> RequestBuilder {
        let url = format!("https://{HOST}{path}");
        let proof = self
            .client
            .proof(&self.key, method, &url, Some(self.token()));
        request
            .header("Authorization", format!("DPoP {}", self.token()))
            .header("DPoP", proof)
    }

    pub async fn held(&self, method: &str, path: &str) -> Answer {
        let request = self.signed(self.gate(method, path), method, path);
        self.client.answer(request).await
    }
}

pub(super) fn code(answer: &Answer) -> (u16, &str) {
    let code = answer.headers.get("writ-code");
    let code = code.map_or("", |code| code.to_str().unwrap());
    (answer.status.as_u16(), code)
}

#[tokio::test]
async fn a_request_goes_on_while_its_case_is_open_and_the_service_learns_whose_it_is() {
    let held = Held::new().await;
    let answer = held.held("GET", PATH).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["writ-task"], held.first.text("task"));
    let told = held.client.introspect(held.token()).await;
    assert_eq!(answer.headers["writ-workload"], told.text("sub"));
    held.broker
        .desk()
        .set_state("4711", "solved")
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    assert_eq!(code(&held.held("GET", PATH).await), (403, "context_ended"));
    held.assert_dead().await;
}

/// What Traefik's documentation says that `forwardAuth` sends, with `authRequestHeaders` as in our page.
#[tokio::test]
async fn traefiks_question_is_understood() {
    let held = Held::new().await;
    let request = held
        .gate("GET", &format!("{PATH}?full=1"))
        .header("X-Forwarded-For", "203.0.113.7")
        .header("User-Agent", "Go-http-client/1.1")
        .header("Accept-Encoding", "gzip");
    let answer = held.client.answer(held.signed(request, "GET", PATH)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.headers.contains_key("writ-workload"));
}

#[tokio::test]
async fn another_account_stops_it_and_ends_all() {
    let held = Held::new().await;
    let answer = held.held("GET", "/accounts/AC-7/invoices/7").await;
    assert_eq!(code(&answer), (403, "resource_mismatch"));
    assert!(answer.headers.contains_key("writ-denial"));
    held.assert_dead().await;
}

#[tokio::test]
async fn a_method_or_a_place_that_is_not_granted_stops_it() {
    let held = Held::new().await;
    assert_eq!(
        code(&held.held("DELETE", PATH).await),
        (403, "action_refused")
    );
    assert_eq!(
        code(&held.held("GET", "/users").await),
        (403, "resource_refused")
    );
    assert_eq!(held.held("GET", PATH).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_proof_is_for_one_request_at_one_address_and_is_spent() {
    let held = Held::new().await;
    let proof = |path: &str| {
        let url = format!("https://{HOST}{path}");
        held.client
            .proof(&held.key, "GET", &url, Some(held.token()))
    };
    let token = format!("DPoP {}", held.token());
    let once = proof(PATH);
    for expected in [(200, ""), (401, "proof_invalid")] {
        let request = held.gate("GET", PATH).header("Authorization", &token);
        let answer = held.client.answer(request.header("DPoP", &once)).await;
        assert_eq!(code(&answer), expected);
    }
    // The query is not part of what a proof is about (RFC 9449 §4.2).
    let asked = format!("{PATH}?full=1");
    let request = held.gate("GET", &asked).header("Authorization", &token);
    let answer = held
        .client
        .answer(request.header("DPoP", proof(PATH)))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let wrong = [
        held.gate("GET", PATH)
            .header("DPoP", proof("/accounts/AC-9/other")),
        held.gate("POST", PATH).header("DPoP", proof(PATH)),
        held.gate("GET", PATH).header("DPoP", "not.a.proof"),
        held.gate("GET", PATH)
            .header("DPoP", proof(PATH))
            .header("DPoP", proof(PATH)),
    ];
    for request in wrong {
        let answer = held
            .client
            .answer(request.header("Authorization", &token))
            .await;
        assert_eq!(code(&answer), (401, "proof_invalid"));
    }
    let bare = held.gate("GET", PATH).header("Authorization", &token);
    let answer = held.client.answer(bare).await;
    assert_eq!(code(&answer), (401, "proof_required"));
    assert!(answer.headers.contains_key("www-authenticate"));
    let nobody = held.client.answer(held.gate("GET", PATH)).await;
    assert_eq!(code(&nobody), (401, "token_invalid"));
}

#[tokio::test]
async fn a_path_with_two_readings_stops_it_whatever_it_would_have_been() {
    let held = Held::new().await;
    for path in [
        "/accounts/AC-9/../AC-7/invoices",
        "/accounts/AC-9/%2e%2e/AC-7/invoices",
        "/accounts/AC-9%2f..%2fAC-7",
        "/accounts//AC-9/invoices",
        "/accounts/AC-9/..;/AC-7",
        "accounts/AC-9/invoices",
        "https://billing.example/accounts/AC-9/x",
    ] {
        let answer = held.held("GET", path).await;
        assert_eq!(code(&answer), (403, "request_malformed"), "{path}");
    }
    assert!(held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn whoever_is_no_gateway_is_told_nothing() {
    let held = Held::new().await;
    let url = format!("{}/forward-auth", held.client.issuer);
    let lines = |request: RequestBuilder| {
        let request = request.header("X-Forwarded-Method", "GET");
        let request = request.header("X-Forwarded-Uri", PATH);
        let request = request.header("X-Forwarded-Proto", "https");
        held.signed(request.header("X-Forwarded-Host", HOST), "GET", PATH)
    };
    let before = held.broker.log().await.len();
    let get = || lines(held.client.http.get(&url));
    for request in [
        get(),
        get().header("Proxy-Authorization", "Basic YmlsbGluZzp3cm9uZw=="),
        get().header("Proxy-Authorization", "Basic !"),
        get().header("Proxy-Authorization", "Bearer billing"),
    ] {
        let answer = held.client.answer(request).await;
        assert_eq!(code(&answer), (403, "client_invalid"));
        assert!(!answer.headers.contains_key("writ-task"));
    }
    // A sender that adds a gateway's line to the gateway's own is not believed for it.
    for name in [
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Host",
        "Proxy-Authorization",
    ] {
        let request = held.signed(held.gate("GET", PATH).header(name, "x"), "GET", PATH);
        let answer = held.client.answer(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
    }
    assert_eq!(held.broker.log().await.len(), before);
}

#[tokio::test]
async fn what_cannot_be_known_stops_it_and_says_which() {
    let held = Held::new().await;
    fault(
        held.broker.desk().faults(),
        Target::Cases,
        Mode::Unavailable,
    );
    held.broker.pass(Duration::from_secs(61)).await;
    let answer = held.held("GET", PATH).await;
    assert_eq!(code(&answer), (403, "context_unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(held.client.is_active(&held.first).await);
}
