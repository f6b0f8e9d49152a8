//! schemathesis, unmodified, as an operator who has every role: requests out of the operators' document, honest
//! ones and others, over TLS and with a token. No fault of the broker, nothing that is not described, and every
//! refusal is a problem document.

use serde_json::json;

use super::{Place, address};
use crate::api::fuzz::schemathesis;

#[tokio::test]
async fn schemathesis_as_an_operator_finds_no_answer_that_is_not_described() {
    let place = Place::new().await;
    place
        .ground
        .put_secret("ci/prod/fuzz", "fuzz-canary-31c7")
        .await;
    let token = place.token(&json!({ "sub": "ada", "groups": [] }));
    let server = address(&place.ground);
    let shown = format!("Authorization: Bearer {token}");
    let trusted = place.ground.dir().join("ca.pem");
    let more = [
        "--header",
        &shown,
        "--tls-verify",
        trusted.to_str().unwrap(),
    ];
    let before = place.state().await;
    schemathesis(&place.ground, &server, &more).await;
    // It came as far as to orders that were carried out, and the broker still takes them.
    assert_ne!(place.state().await, before);
    let document = place.ask("GET", "/api/v1/openapi.json", Some(&token)).await;
    assert_eq!(document.status, 200, "{document:?}");
    let log = place.server.stop().await;
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("fuzz-canary"), "{log}");
}
