//! A48: a signing key that was withdrawn takes its tokens with it, at once.

use std::sync::Arc;
use std::time::Duration;

use writ::broker::administer::Haste;
use writ::jobs::rotation::Rotation;
use writ::seams::Clock as _;
use writ_keys::{KeyState, Purpose};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::held::{BILLING, Held, order, two_jobs};
use crate::support::profiles::DEPLOY;

/// Replaces the active token key, and says which it was.
async fn rotate(broker: &Broker) -> String {
    let verbs = &broker.wired.broker;
    let old = verbs.keys().await.unwrap().into_iter();
    let mut old =
        old.filter(|key| key.purpose == Purpose::AccessToken && key.state == KeyState::Active);
    let old = old.next().unwrap().id.to_string();
    let new = verbs
        .prepare_key(Purpose::AccessToken, &order())
        .await
        .unwrap();
    let new = new.id.to_string();
    verbs
        .move_key(&new, KeyState::Active, Haste::AtOnce, &order())
        .await
        .unwrap();
    old
}

/// The age at which keys are replaced here.
const AGE: Duration = Duration::from_hours(2);

async fn published(held: &Held) -> Vec<String> {
    let url = format!("{}/oauth2/jwks", held.broker.issuer);
    let body = held
        .client
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let set: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(!body.contains("\"d\""), "{body}");
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_retired_key_still_verifies_what_it_signed() {
    let held = Held::billing(DEPLOY).await;
    let old = rotate(&held.broker).await;
    assert!(held.is_active().await);
    assert!(published(&held).await.contains(&old));
    let second = held.renew().await;
    assert!(held.client.is_active(&second).await);
}

#[tokio::test]
async fn a_key_signs_only_when_whoever_keeps_the_key_set_has_heard_of_it() {
    let held = Held::billing(DEPLOY).await;
    let verbs = &held.broker.wired.broker;
    let new = verbs
        .prepare_key(Purpose::AccessToken, &order())
        .await
        .unwrap();
    let id = new.id.to_string();
    assert!(published(&held).await.contains(&id));
    let before = held.broker.log().await.len();
    let early = verbs
        .move_key(&id, KeyState::Active, Haste::Patient, &order())
        .await
        .unwrap_err();
    assert_eq!(early.code().as_str(), "conflict");
    let wait = early.retry_after().unwrap();
    assert!(wait > Duration::from_mins(1), "{wait:?}");
    assert_eq!(held.broker.log().await.len(), before);
    held.broker.pass(wait).await;
    verbs
        .move_key(&id, KeyState::Active, Haste::Patient, &order())
        .await
        .unwrap();
    assert!(held.client.is_active(&held.renew().await).await);
}

#[tokio::test]
async fn an_old_key_is_replaced_and_no_verifier_ever_meets_an_unknown_one() {
    let held = Held::billing(DEPLOY).await;
    let rotation = Rotation::new(Arc::clone(&held.broker.wired.broker), AGE);
    let turn = async || rotation.run(held.broker.clock.now()).await.unwrap();
    assert_eq!(turn().await, 0);
    let first = published(&held).await;
    held.broker.pass(AGE).await;
    assert_eq!(turn().await, 3, "tokens, both kinds of SVIDs");
    let both = published(&held).await;
    assert_eq!(
        (both.len(), &both[0]),
        (2, &first[0]),
        "published, not active"
    );
    assert_eq!(turn().await, 0, "verifiers may not have heard of it yet");

    held.broker.pass(Duration::from_secs(66)).await;
    let (run, key) = (
        two_jobs(&held.broker).await,
        SessionKey::generate().unwrap(),
    );
    let signed_before = held
        .client
        .exchange(&run.jobs[0], Some(&key), BILLING)
        .await;
    signed_before.assert_issued();
    assert_eq!(turn().await, 3);
    let swapped = published(&held).await;
    assert_eq!(swapped, [both[1].clone(), both[0].clone()]);
    assert!(
        held.client.is_active(&signed_before).await,
        "it died with its key's rotation"
    );
    assert_eq!(turn().await, 0);

    held.broker.pass(Duration::from_mins(61)).await;
    assert_eq!(turn().await, 3);
    assert_eq!(published(&held).await, [both[1].clone()]);
    assert_eq!(turn().await, 0);
}

#[tokio::test]
async fn a48_a_withdrawn_key_takes_its_tokens_with_it_although_they_were_seen_before() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let billing = held
        .client
        .renew(&held.first, &held.key, crate::support::held::BILLING)
        .await;
    assert!(held.client.is_active(&billing).await);
    let old = rotate(&held.broker).await;
    let verbs = &held.broker.wired.broker;
    verbs
        .move_key(&old, KeyState::Withdrawn, Haste::Patient, &order())
        .await
        .unwrap();

    assert!(!held.client.is_active(&billing).await);
    assert!(!published(&held).await.contains(&old));
    let before = held.broker.recorded().await;
    let secret = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key))
        .await;
    secret.assert_refused(401, "token_invalid");
    assert_eq!(held.broker.recorded().await, before);
    // The session is not the key's: it renews, and the new token is good.
    let renewed = held
        .client
        .renew(&held.first, &held.key, crate::support::held::BILLING)
        .await;
    assert!(held.client.is_active(&renewed).await);
}

#[tokio::test]
async fn the_only_key_cannot_be_withdrawn_by_mistake() {
    let held = Held::billing(DEPLOY).await;
    let verbs = &held.broker.wired.broker;
    let keys = verbs.keys().await.unwrap();
    let before = held.broker.log().await.len();
    for key in keys {
        let id = key.id.to_string();
        let moved = verbs
            .move_key(&id, KeyState::Withdrawn, Haste::Patient, &order())
            .await;
        assert!(moved.is_err(), "{}", key.purpose);
    }
    assert_eq!(held.broker.log().await.len(), before);
    assert!(held.is_active().await);
}
