//! Which token reads: one for this broker, by its own key, for as long as it lives.

use std::time::Duration;

use writ::domain::credential::CredentialKind;
use writ_practice::client::SessionKey;

use crate::support::client::Answer;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

const PATH: &str = "ci/prod/db";

async fn reader() -> Held {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret(PATH, "value-canary").await;
    held
}

impl Held {
    fn secret_url(&self, path: &str) -> String {
        format!("{}/api/v1/secret/{path}", self.broker.issuer)
    }

    /// Asks with these headers, and nothing is recorded.
    async fn assert_shown_in_vain(&self, headers: &[(&str, &str)], code: &str) {
        let before = self.broker.recorded().await;
        let mut request = self.client.http.get(self.secret_url(PATH));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, challenge) = (answer.status(), answer.headers().clone());
        let body = answer.text().await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status.as_u16(), json["code"].as_str()),
            (401, Some(code)),
            "{body}"
        );
        assert!(challenge.contains_key("www-authenticate"));
        assert!(!body.contains("value-canary"));
        assert_eq!(self.broker.recorded().await, before);
    }
}

#[tokio::test]
async fn a35_a_token_for_another_service_reads_nothing_here() {
    let held = Held::billing(DEPLOY).await;
    held.broker.put_secret(PATH, "value-canary").await;
    let before = held.broker.recorded().await;
    let answer = held.client.secret(PATH, &held.first, Some(&held.key)).await;
    answer.assert_refused(401, "token_invalid");
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn a_token_bound_to_a_key_is_no_bearer_token() {
    let held = reader().await;
    let token = held.first.text("access_token");
    let url = held.secret_url(PATH);
    let proof = || held.client.proof(&held.key, "GET", &url, Some(token));
    let (bearer, dpop) = (format!("Bearer {token}"), format!("DPoP {token}"));
    held.assert_shown_in_vain(&[("authorization", &bearer)], "proof_invalid")
        .await;
    let both = [("authorization", bearer.as_str()), ("dpop", &proof())];
    held.assert_shown_in_vain(&both, "proof_invalid").await;
    held.assert_shown_in_vain(&[("authorization", &dpop)], "proof_invalid")
        .await;
    held.assert_shown_in_vain(&[], "token_invalid").await;
    held.assert_shown_in_vain(&[("dpop", &proof())], "token_invalid")
        .await;
    let basic = format!("Basic {token}");
    held.assert_shown_in_vain(
        &[("authorization", &basic), ("dpop", &proof())],
        "token_invalid",
    )
    .await;
}

#[tokio::test]
async fn a46_a_proof_is_for_one_key_token_method_and_address_and_once() {
    let held = reader().await;
    let token = held.first.text("access_token");
    let thief = SessionKey::generate().unwrap();
    let url = held.secret_url(PATH);
    let client = &held.client;
    let dpop = format!("DPoP {token}");
    let https = url.replace("http://", "https://");
    for wrong in [
        client.proof(&thief, "GET", &url, Some(token)),
        client.proof(&held.key, "POST", &url, Some(token)),
        client.proof(&held.key, "get", &url, Some(token)),
        client.proof(
            &held.key,
            "GET",
            &held.secret_url("ci/prod/other"),
            Some(token),
        ),
        client.proof(&held.key, "GET", &https, Some(token)),
        client.proof(&held.key, "GET", &url, None),
        client.proof(&held.key, "GET", &url, Some("another")),
    ] {
        let headers = [("authorization", dpop.as_str()), ("dpop", wrong.as_str())];
        held.assert_shown_in_vain(&headers, "proof_invalid").await;
    }
    let once = client.proof(&held.key, "GET", &url, Some(token));
    let headers = [("authorization", dpop.as_str()), ("dpop", once.as_str())];
    let mut first = held.client.http.get(&url);
    for (name, value) in headers {
        first = first.header(name, value);
    }
    assert_eq!(first.send().await.unwrap().status(), 200);
    held.assert_shown_in_vain(&headers, "proof_invalid").await;
}

#[tokio::test]
async fn a15_evidence_and_proofs_are_no_access_tokens() {
    let held = reader().await;
    let url = held.secret_url(PATH);
    let id_token = held.client.id_token(held.job(), &held.broker.issuer).await;
    let a_proof = held.client.proof(&held.key, "GET", &url, None);
    for shown in [
        id_token.as_str(),
        &a_proof,
        held.first.text("refresh_token"),
    ] {
        let dpop = format!("DPoP {shown}");
        let proof = held.client.proof(&held.key, "GET", &url, Some(shown));
        let headers = [("authorization", dpop.as_str()), ("dpop", &proof)];
        held.assert_shown_in_vain(&headers, "token_invalid").await;
        let bearer = format!("Bearer {shown}");
        held.assert_shown_in_vain(&[("authorization", &bearer)], "token_invalid")
            .await;
    }
}

#[tokio::test]
async fn a_token_without_a_key_reads_as_a_bearer_token_and_only_so() {
    let held = reader().await;
    let bearer = held.client.exchange(&held.run.jobs[1], None, &[]).await;
    bearer.assert_issued();
    assert_eq!(bearer.text("token_type"), "Bearer");
    assert!(bearer.json.get("refresh_token").is_none());
    assert_eq!(
        held.client.secret(PATH, &bearer, None).await.text("value"),
        "value-canary"
    );
    let with_key = held.client.secret(PATH, &bearer, Some(&held.key)).await;
    with_key.assert_refused(401, "proof_invalid");
}

#[tokio::test]
async fn a_lease_ends_with_its_token_and_the_token_with_its_time() {
    let held = reader().await;
    held.broker.pass(Duration::from_secs(200)).await;
    let secret = held.client.secret(PATH, &held.first, Some(&held.key)).await;
    assert_eq!(secret.text("value"), "value-canary");
    let all = held.broker.credentials().await;
    let lease = all
        .iter()
        .find(|c| matches!(c.kind, CredentialKind::SecretLease(_)))
        .unwrap();
    let parent = all.iter().find(|c| Some(c.id) == lease.parent).unwrap();
    assert!(lease.expires_at <= parent.expires_at, "{lease:?}");

    held.broker.pass(Duration::from_secs(100)).await;
    let before = held.broker.recorded().await;
    let late: Answer = held.client.secret(PATH, &held.first, Some(&held.key)).await;
    late.assert_refused(401, "token_invalid");
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn reading_does_not_keep_a_session_alive() {
    let held = reader().await;
    for _ in 0..2 {
        held.broker.pass(Duration::from_secs(120)).await;
        held.client
            .secret(PATH, &held.first, Some(&held.key))
            .await
            .text("value");
    }
    held.broker.pass(Duration::from_secs(15 * 60 - 240)).await;
    held.renew().await.assert_refused(400, "session_expired");
}

#[tokio::test]
async fn a_session_narrowed_to_another_audience_does_not_widen_by_reading() {
    let held = Held::billing(DEPLOY).await;
    let own = held.broker.issuer.clone();
    let asked = held
        .client
        .renew(&held.first, &held.key, &[("audience", &own)])
        .await;
    asked.assert_issued();
    let mixed = [
        ("audience", own.as_str()),
        BILLING[0],
        ("audience", "https://elsewhere.example"),
    ];
    let before = held.broker.recorded().await;
    let refused = held.client.renew(&held.first, &held.key, &mixed).await;
    refused.assert_refused(400, "target_refused");
    assert_eq!(refused.text("error"), "invalid_target");
    assert_eq!(held.broker.recorded().await, before);
}
