//! Evidence shown again: to its own key the same session, to nobody else anything, and without a
//! key only as often as the profile allows.

use std::time::Duration;

use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::forge::{OPEN, bearer, bound, credentials, honest, job, mint, tasks};

/// When the token of an answer ends, in the seconds since 1970 that it carries.
pub(super) fn end(answer: &Answer) -> i64 {
    let part = answer.text("access_token").split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&crate::dpop::bytes(part)).unwrap();
    claims["exp"].as_i64().unwrap()
}

fn with_uses(uses: u32) -> String {
    OPEN.replace(
        "[[profile.binding]]",
        &format!("evidence_uses = {uses}\n[[profile.binding]]"),
    )
}

#[tokio::test]
async fn shown_again_by_its_key_evidence_gives_the_same_session_and_no_more_time() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    let first = client.exchange_token(&token, Some(&key), &[]).await;
    first.assert_issued();
    for _ in 0..3 {
        broker.pass(Duration::from_secs(15)).await;
        let again = client.exchange_token(&token, Some(&key), &[]).await;
        again.assert_issued();
        for name in ["task", "lineage", "refresh_token"] {
            assert_eq!(again.text(name), first.text(name));
        }
        assert!(
            end(&again) <= end(&first),
            "{} > {}",
            end(&again),
            end(&first)
        );
    }
    // A renewal gives the session more time, and the old evidence still none.
    let renewed = client.renew(&first, &key, &[]).await;
    assert!(end(&renewed) > end(&first));
    let again = client.exchange_token(&token, Some(&key), &[]).await;
    assert!(end(&again) <= end(&first));
    assert_eq!(tasks(&broker).await.len(), 1);
}

#[tokio::test]
async fn evidence_is_no_good_once_what_it_gave_has_ended() {
    let short = OPEN.replace(
        "[[profile.binding]]",
        "token_ttl = \"20s\"\n[[profile.binding]]",
    );
    let broker = Broker::with(&short).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    client
        .exchange_token(&token, Some(&key), &[])
        .await
        .assert_issued();
    broker.pass(Duration::from_secs(21)).await;
    let again = client.exchange_token(&token, Some(&key), &[]).await;
    again.assert_refused(400, "evidence_replayed");
    assert!(credentials(&broker).await.is_empty());
}

#[tokio::test]
async fn a_later_token_of_the_job_renews_the_session_and_an_earlier_one_does_not() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    for key in [None, Some(&SessionKey::generate().unwrap())] {
        let fresh = || match key {
            Some(key) => bound(&broker, &job, key),
            None => bearer(&broker, &job),
        };
        let (unused, first) = (fresh(), fresh());
        client
            .exchange_token(&first, key, &[])
            .await
            .assert_issued();
        broker.pass(Duration::from_secs(10)).await;
        let later = fresh();
        client
            .exchange_token(&later, key, &[])
            .await
            .assert_issued();
        let stale = client.exchange_token(&unused, key, &[]).await;
        stale.assert_refused(400, "evidence_stale");
    }
    assert_eq!(credentials(&broker).await.len(), 4);
}

#[tokio::test]
async fn shown_with_another_key_or_none_evidence_is_spent() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let other = SessionKey::generate().unwrap();
    let job = job(&broker).await;
    // The other key is at work in the same job, rightly.
    let own = bound(&broker, &job, &other);
    client
        .exchange_token(&own, Some(&other), &[])
        .await
        .assert_issued();
    let token = bearer(&broker, &job);
    client
        .exchange_token(&token, Some(&key), &[])
        .await
        .assert_issued();
    for shown in [Some(&other), None] {
        let answer = client.exchange_token(&token, shown, &[]).await;
        answer.assert_refused(400, "evidence_replayed");
        assert_eq!(answer.text("error"), "invalid_request");
    }
    assert_eq!(credentials(&broker).await.len(), 2);
}

#[tokio::test]
async fn without_a_key_evidence_counts_as_often_as_the_profile_says() {
    for uses in [1, 2, 9] {
        let broker = Broker::with(&with_uses(uses)).await;
        let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
        let first = client.exchange_token(&token, None, &[]).await;
        first.assert_issued();
        for _ in 1..uses {
            broker.pass(Duration::from_secs(1)).await;
            let child = client.exchange_token(&token, None, &[]).await;
            child.assert_issued();
            assert!(child.json.get("refresh_token").is_none());
            assert_eq!(child.text("lineage"), first.text("lineage"));
            assert!(end(&child) <= end(&first));
        }
        let beyond = client.exchange_token(&token, None, &[]).await;
        beyond.assert_refused(400, "evidence_replayed");
        assert_eq!(credentials(&broker).await.len(), uses as usize);
        let key = SessionKey::generate().unwrap();
        let keyed = client.exchange_token(&token, Some(&key), &[]).await;
        keyed.assert_refused(400, "evidence_replayed");
    }
}

#[tokio::test]
async fn fresh_evidence_beside_a_handle_counts_once_and_is_of_the_same_job() {
    let strict = OPEN.replace(
        "[[profile.binding]]",
        "renewal = \"fresh-evidence\"\n[[profile.binding]]",
    );
    let broker = Broker::with(&strict).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let jobs = crate::support::forge::jobs(&broker, 2).await;
    let opened = bound(&broker, &jobs[0], &key);
    let held = client.exchange_token(&opened, Some(&key), &[]).await;
    held.assert_issued();
    let beside = |token: &str| {
        [
            ("subject_token".to_owned(), token.to_owned()),
            (
                "subject_token_type".to_owned(),
                crate::support::client::ID_TOKEN.to_owned(),
            ),
        ]
    };
    let renew = async |token: &str| {
        let pairs = beside(token);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        client.renew(&held, &key, &pairs).await
    };
    let bare = client.renew(&held, &key, &[]).await;
    bare.assert_refused(400, "evidence_required");
    renew(&opened)
        .await
        .assert_refused(400, "evidence_replayed");
    let foreign = bound(&broker, &jobs[1], &key);
    renew(&foreign)
        .await
        .assert_refused(400, "profile_unmatched");
    let untied = mint(&broker, honest(&broker, &jobs[0], "https://other.example"));
    renew(&untied).await.assert_refused(400, "evidence_invalid");
    assert_eq!(credentials(&broker).await.len(), 1);
    let fresh = bound(&broker, &jobs[0], &key);
    renew(&fresh).await.assert_issued();
    renew(&fresh).await.assert_refused(400, "evidence_replayed");
    // What renewed by handle cannot be shown at the door either, but by its own key.
    let thief = SessionKey::generate().unwrap();
    let stolen = client.exchange_token(&fresh, Some(&thief), &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    assert_eq!(credentials(&broker).await.len(), 2);
}
