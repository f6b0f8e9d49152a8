//! A real OpenID Provider that somebody else wrote, and that changes its keys: `oidc-provider` of npm.

use std::time::Duration;

use writ_practice::client::SessionKey;

use super::config;
use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::foreign::Foreign;

const AUDIENCE: &str = "https://writ.example/builds";

async fn exchange(broker: &Broker, token: &str) -> Answer {
    let key = SessionKey::generate().unwrap();
    let client = broker.client();
    client.exchange_token(token, Some(&key), &[]).await
}

#[tokio::test]
async fn new_keys_are_found_old_ones_count_while_published_and_dropped_ones_do_not() {
    let mut provider = Foreign::node("provider.mjs", &[AUDIENCE]).await;
    let audience = format!("preset = \"oidc\"\naudience = \"{AUDIENCE}\"");
    let source = config(&provider.told).replace("preset = \"oidc\"", &audience);
    let broker = Broker::with(&source).await;
    // The provider's clock is the machine's: the broker's is to be ahead of it, not behind.
    broker.pass(Duration::from_secs(30)).await;

    let first = provider.order("token").await;
    let second = provider.order("token").await;
    let third = provider.order("token").await;
    let answer = exchange(&broker, &first).await;
    answer.assert_issued();
    assert_eq!(answer.text("task_name"), "builds/p-812/1");

    provider.order("rotate").await;
    let rotated = provider.order("token").await;
    let early = exchange(&broker, &rotated).await;
    early.assert_refused(503, "issuer_unavailable");
    broker.pass(Duration::from_secs(31)).await;
    exchange(&broker, &rotated).await.assert_issued();
    exchange(&broker, &second).await.assert_issued();

    provider.order("drop").await;
    broker.pass(Duration::from_mins(5)).await;
    let before = broker.recorded().await;
    let dropped = exchange(&broker, &third).await;
    dropped.assert_refused(400, "evidence_invalid");
    assert_eq!(broker.recorded().await, before);
    let current = provider.order("token").await;
    exchange(&broker, &current).await.assert_issued();
}
