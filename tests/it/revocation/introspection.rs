//! What resource servers learn: of their own audiences, by their own secret, and never a false word.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use writ::broker::revoke::Ending;
use writ_practice::client::SessionKey;

use crate::support::broker::{BILLING_SECRET, Broker};
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

fn ask(held: &Held, token: &str) -> RequestBuilder {
    let url = format!("{}/oauth2/introspect", held.broker.issuer);
    held.client.http.post(url).form(&[("token", token)])
}

#[tokio::test]
async fn an_active_token_is_told_with_its_task_and_key() {
    let held = Held::billing(DEPLOY).await;
    let token = held.first.text("access_token");
    let answer = held.client.introspect(token).await;
    assert_eq!(answer.json["active"], true);
    assert_eq!(answer.json["token_type"], "DPoP");
    assert_eq!(answer.text("task"), held.first.text("task"));
    assert_eq!(answer.json["cnf"]["jkt"], held.key.thumbprint());
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_server_learns_nothing_of_audiences_that_are_not_its_own() {
    for audience in [None, Some(("audience", "https://deploy.example"))] {
        let held = Held::asking(DEPLOY, audience.as_slice()).await;
        let answer = held
            .client
            .introspect(held.first.text("access_token"))
            .await;
        assert_eq!(answer.json, json!({ "active": false }));
    }
}

#[tokio::test]
async fn without_the_right_secret_nothing_is_told() {
    let held = Held::billing(DEPLOY).await;
    let token = held.first.text("access_token");
    let url = format!("{}/oauth2/introspect", held.broker.issuer);
    let posted = held.client.http.post(url);
    let posted = posted.form(&[
        ("token", token),
        ("client_id", "billing"),
        ("client_secret", "wrong"),
    ]);
    let both = ask(&held, token).basic_auth("billing", Some(BILLING_SECRET));
    let both = both.form(&[
        ("token", token),
        ("client_id", "billing"),
        ("client_secret", BILLING_SECRET),
    ]);
    let wrong = [
        ask(&held, token),
        ask(&held, token).basic_auth("billing", Some("wrong")),
        ask(&held, token).basic_auth("billing", Some("")),
        ask(&held, token).basic_auth("billing", Some(format!("{BILLING_SECRET} "))),
        ask(&held, token).basic_auth("Billing", Some(BILLING_SECRET)),
        ask(&held, token).basic_auth("", Some(BILLING_SECRET)),
        ask(&held, token).bearer_auth(BILLING_SECRET),
        ask(&held, token).bearer_auth(token),
        posted,
        both,
    ];
    for request in wrong {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.headers().contains_key("www-authenticate"));
        let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["error"], "invalid_client");
        assert!(body.get("active").is_none());
    }
}

#[tokio::test]
async fn a15_whatever_is_no_standing_token_of_ours_is_one_and_the_same_inactive() {
    let held = Held::billing(DEPLOY).await;
    let token = held.first.text("access_token").to_owned();
    let elsewhere = Held::billing(DEPLOY).await;
    let id_token = held
        .client
        .id_token(held.job(), "https://billing.example")
        .await;
    let url = format!("{}/oauth2/introspect", held.broker.issuer);
    let proof = held.client.proof(&held.key, "POST", &url, Some(&token));
    let (head, rest) = token.split_once('.').unwrap();
    let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
    let revoked = held.renew().await;
    held.client.revoke(revoked.text("access_token")).await;
    let mut bodies = Vec::new();
    for other in [
        "x",
        "..",
        &format!("{token}A"),
        &format!(" {token}"),
        &unsigned,
        &format!("{head}.{rest}.{rest}"),
        elsewhere.first.text("access_token"),
        revoked.text("access_token"),
        held.first.text("refresh_token"),
        &id_token,
        &proof,
    ] {
        bodies.push(introspected(&held, other).await);
    }
    held.broker.pass(Duration::from_secs(300)).await;
    bodies.push(introspected(&held, &token).await);
    bodies.dedup();
    assert_eq!(bodies, [(200, r#"{"active":false}"#.to_owned())]);
}

async fn introspected(held: &Held, token: &str) -> (u16, String) {
    let request = ask(held, token).basic_auth("billing", Some(BILLING_SECRET));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a48_a_replica_that_is_behind_the_log_answers_nothing_and_still_revokes() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let key = SessionKey::generate().unwrap();
    let billing = held.client.exchange(held.job(), Some(&key), BILLING).await;
    held.broker.clock.advance(Duration::from_secs(6));
    let before = held.broker.recorded().await;

    let asked = held.client.introspect(billing.text("access_token")).await;
    assert_stale(&asked);
    assert!(asked.json.get("active").is_none());
    assert_stale(&held.renew().await);
    assert_stale(&held.client.exchange(held.job(), Some(&held.key), &[]).await);
    let secret = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key))
        .await;
    secret.assert_refused(503, "view_stale");
    assert_eq!(held.broker.recorded().await, before);

    let revoked = held.client.revoke(billing.text("access_token")).await;
    assert_eq!(revoked.status, 200);
    held.end_task(Ending::Revoke).await;
    held.broker.hear().await;
    assert!(!held.client.is_active(&billing).await);
    held.assert_never_again("task_revoked").await;
}

#[track_caller]
fn assert_stale(answer: &crate::support::client::Answer) {
    answer.assert_refused(503, "view_stale");
    assert_eq!(answer.text("error"), "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

#[tokio::test]
async fn a_sources_outage_does_not_make_a_good_token_look_dead() {
    let held = Held::billing(DEPLOY).await;
    held.broker
        .fault(writ_practice::Target::Api, writ_practice::Mode::Down);
    held.broker.pass(Duration::from_secs(120)).await;
    assert!(held.is_active().await);
}

#[tokio::test]
async fn a42_what_another_broker_issued_can_be_neither_renewed_nor_revoked_here() {
    let held = Held::billing(DEPLOY).await;
    let elsewhere = Broker::with(DEPLOY).await;
    let there = elsewhere.client();
    let renewal = there.renew(&held.first, &held.key, &[]).await;
    renewal.assert_refused(400, "token_invalid");
    for part in ["access_token", "refresh_token"] {
        assert_eq!(there.revoke(held.first.text(part)).await.status, 200);
    }
    assert!(held.is_active().await);
    held.renew().await.assert_issued();
}
