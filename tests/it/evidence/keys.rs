//! The issuer's keys: read where it was configured, no more often than needed, good for a bound.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::json;
use writ::attest::Evidence;
use writ::seams::Clock as _;
use writ_practice::{Fault, KeyTurn, Mint, Mode, Target};

use super::forged::{object, payload, stamp};
use crate::support::broker::Broker;
use crate::support::forge::{OPEN, assert_none, bearer, credentials, honest, job, mint, tasks};
use crate::support::issuer::{OwnIssuer, Page};
use crate::support::trap::Trap;

/// From this age on a key set is read again.
const REFRESH: Duration = Duration::from_mins(5);
/// From a second after that to a second before the last good one is too old to count, which it is
/// at half an hour.
const UNTIL_EXPIRY: Duration = Duration::from_secs(1_498);
/// Unknown key ids are asked for at most this often.
const COOLDOWN: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn fail(broker: &Broker, mode: Mode) {
    for target in [Target::Discovery, Target::Jwks] {
        let fault = Fault {
            target,
            mode,
            delay_ms: 0,
        };
        broker.site().faults().set(fault).unwrap();
    }
}

fn fetched(broker: &Broker) -> u64 {
    broker.site().faults().requests().of(Target::Jwks)
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_unknown_until_the_issuer_is_asked_and_then_good() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let old = bearer(&broker, &job);
    client.exchange_token(&old, None, &[]).await.assert_issued();
    broker.site().keys().rotate(true);
    let (new, before) = (bearer(&broker, &job), credentials(&broker).await.len());
    let early = client.exchange_token(&new, None, &[]).await;
    early.assert_refused(503, "issuer_unavailable");
    assert_eq!(credentials(&broker).await.len(), before);
    broker.pass(COOLDOWN + SECOND).await;
    client.exchange_token(&new, None, &[]).await.assert_issued();
    assert_eq!(fetched(&broker), 2);
}

#[tokio::test]
async fn a23_a_removed_key_is_refused_within_the_bound() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let removed = broker.site().keys().turn().signing;
    let by_removed = || {
        let order = honest(&broker, &job, &broker.issuer);
        let key = Some(removed.clone());
        mint(&broker, Mint { key, ..order })
    };
    client
        .exchange_token(&by_removed(), None, &[])
        .await
        .assert_issued();
    broker.site().keys().rotate(false);
    broker.pass(REFRESH).await;
    let refused = client.exchange_token(&by_removed(), None, &[]).await;
    refused.assert_refused(400, "evidence_invalid");
    client
        .exchange_token(&bearer(&broker, &job), None, &[])
        .await
        .assert_issued();
    // Nor does it come back when the issuer goes down.
    fail(&broker, Mode::Down);
    broker.pass(REFRESH).await;
    let refused = client.exchange_token(&by_removed(), None, &[]).await;
    assert_ne!(refused.status, 200, "{refused:?}");
}

#[tokio::test]
async fn a23_an_issuer_that_publishes_nothing_any_more_is_believed() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    client
        .exchange_token(&bearer(&broker, &job), None, &[])
        .await
        .assert_issued();
    let signing = broker.site().keys().turn().signing;
    let none = KeyTurn {
        published: Vec::new(),
        signing,
    };
    broker.site().keys().set(none).unwrap();
    broker.pass(REFRESH).await;
    let answer = client
        .exchange_token(&bearer(&broker, &job), None, &[])
        .await;
    answer.assert_refused(400, "evidence_invalid");
}

#[tokio::test]
async fn a21_any_number_of_unknown_key_ids_costs_one_fetch_per_cooldown() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let claims = bearer(&broker, &job);
    client
        .exchange_token(&claims, None, &[])
        .await
        .assert_issued();
    let claims = claims.split('.').nth(1).unwrap().to_owned();
    let shown = |n: usize| {
        let header = json!({ "alg": "RS256", "kid": format!("random-{n}") }).to_string();
        Evidence::IdToken(format!("{}.{claims}.c2ln", URL_SAFE_NO_PAD.encode(header)))
    };
    let attestors = &broker.wired.broker.attestors;
    for round in 1..=2 {
        broker.pass(COOLDOWN + SECOND).await;
        for batch in 0..10 {
            let tokens: Vec<_> = (0..1_000).map(|n| shown(batch * 1_000 + n)).collect();
            let now = broker.clock.now();
            let outcomes = join_all(tokens.iter().map(|t| attestors.attest(t, None, now))).await;
            assert!(outcomes.iter().all(Result::is_err));
        }
        assert_eq!(fetched(&broker), 1 + round);
        // Known keys go on verifying meanwhile.
        client
            .exchange_token(&bearer(&broker, &job), None, &[])
            .await
            .assert_issued();
    }
    assert_eq!(fetched(&broker), 3);
}

#[tokio::test]
async fn a24_while_the_issuer_is_down_its_last_keys_are_good_until_their_hard_expiry() {
    for mode in [
        Mode::Down,
        Mode::Html,
        Mode::Garbage,
        Mode::Unavailable,
        Mode::NotFound,
    ] {
        let broker = Broker::with(OPEN).await;
        let (client, job) = (broker.client(), job(&broker).await);
        let show = || async {
            let token = bearer(&broker, &job);
            client.exchange_token(&token, None, &[]).await
        };
        show().await.assert_issued();
        fail(&broker, mode);
        broker.pass(REFRESH + SECOND).await;
        show().await.assert_issued();
        broker.pass(UNTIL_EXPIRY).await;
        show().await.assert_issued();
        let before = credentials(&broker).await.len();
        broker.pass(SECOND).await;
        let refused = show().await;
        refused.assert_refused(503, "issuer_unavailable");
        assert_eq!(refused.text("error"), "temporarily_unavailable");
        assert!(refused.headers.contains_key("retry-after"));
        assert!(credentials(&broker).await.len() <= before);
        broker.site().faults().clear();
        broker.pass(Duration::from_mins(1)).await;
        show().await.assert_issued();
    }
}

#[tokio::test]
async fn a24_an_issuer_that_was_never_read_lets_nobody_in() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    fail(&broker, Mode::Down);
    let token = bearer(&broker, &job);
    let answer = broker.client().exchange_token(&token, None, &[]).await;
    answer.assert_refused(503, "issuer_unavailable");
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

/// Every way of pointing the broker elsewhere ends in the same: the issuer cannot be read.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a19_a20_discovery_leads_nowhere_but_to_the_configured_origin() {
    let (issuer, trap) = (OwnIssuer::start().await, Trap::set().await);
    let broker = Broker::configured(&format!("{OPEN}{}", issuer.config()), "").await;
    let (client, job) = (broker.client(), job(&broker).await);
    let mut claims = object(payload(&bearer(&broker, &job)));
    claims.insert("iss".to_owned(), issuer.url.clone().into());
    let (url, honest) = (issuer.url.clone(), issuer.honest());
    let keys = format!("{url}/keys");
    let host = url.trim_start_matches("http://");
    let document = |issuer: &str, jwks_uri: &str| {
        Page::json(&json!({ "issuer": issuer, "jwks_uri": jwks_uri }))
    };
    let there = format!("{}/keys", trap.url);
    let mut pages = vec![
        (
            document("https://elsewhere.example", &keys),
            honest.jwks.clone(),
        ),
        (document(&format!("{url}/"), &keys), honest.jwks.clone()),
        (document(&url, &there), honest.jwks.clone()),
        (
            document(&url, &format!("https://{host}/keys")),
            honest.jwks.clone(),
        ),
        (
            document(&url, "http://169.254.169.254/keys"),
            honest.jwks.clone(),
        ),
        (document(&url, "file:///etc/passwd"), honest.jwks.clone()),
        (document(&url, "/keys"), honest.jwks.clone()),
        (
            document(&url, "//elsewhere.example/keys"),
            honest.jwks.clone(),
        ),
        (
            document(&url, &format!("http://user@{host}/keys")),
            honest.jwks.clone(),
        ),
        (
            document(&url, &format!("http://{host}@{}/keys", &trap.url[7..])),
            honest.jwks.clone(),
        ),
        (document(&url, ""), honest.jwks.clone()),
        (Page::json(&json!({ "issuer": url })), honest.jwks.clone()),
        (Page::json(&json!([])), honest.jwks.clone()),
        (honest.discovery.clone(), Page::json(&json!({}))),
        (honest.discovery.clone(), Page::json(&json!({ "keys": {} }))),
        (honest.discovery.clone(), Page::redirect(500, &there)),
    ];
    for status in [301, 302, 303, 307, 308] {
        pages.push((Page::redirect(status, &there), honest.jwks.clone()));
        pages.push((honest.discovery.clone(), Page::redirect(status, &there)));
        pages.push((
            Page::redirect(status, "http://169.254.169.254/"),
            honest.jwks.clone(),
        ));
        pages.push((honest.discovery.clone(), Page::redirect(status, &keys)));
    }
    for (discovery, jwks) in pages {
        let shown = format!("{} | {}", discovery.body, jwks.body);
        issuer.answer(discovery, jwks);
        // Longer than any pause after a failure.
        broker.pass(Duration::from_mins(2)).await;
        stamp(&mut claims, &broker);
        let answer = client
            .exchange_token(&issuer.sign(&claims), None, &[])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (503, "issuer_unavailable"),
            "{shown}: {answer:?}"
        );
    }
    trap.assert_untouched().await;
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let asked = issuer.asked();
    assert!(asked > 20, "{asked}");

    issuer.answer(honest.discovery, honest.jwks);
    broker.pass(Duration::from_mins(2)).await;
    stamp(&mut claims, &broker);
    client
        .exchange_token(&issuer.sign(&claims), None, &[])
        .await
        .assert_issued();
}
