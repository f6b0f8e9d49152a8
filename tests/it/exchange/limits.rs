//! Grants that may be used so many times: the uses are the task's, and none is spent twice.

use futures_util::future::join_all;
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::forge::{OPEN, bearer, bound, credentials, job, jobs};

fn with_uses(uses: u32) -> String {
    format!("{OPEN}uses = {uses}\n")
}

#[tokio::test]
async fn a_grant_is_used_at_most_as_often_as_it_may_by_many_jobs_at_once() {
    let broker = Broker::with(&with_uses(3)).await;
    let client = broker.client();
    let jobs = jobs(&broker, 64).await;
    let tokens: Vec<_> = jobs.iter().map(|job| bearer(&broker, job)).collect();
    let all = join_all(tokens.iter().map(|t| client.exchange_token(t, None, &[]))).await;
    let (issued, refused): (Vec<_>, Vec<_>) = all.iter().partition(|a| a.status == 200);
    assert_eq!(issued.len(), 3);
    for answer in refused {
        answer.assert_refused(400, "uses_exhausted");
    }
    assert_eq!(credentials(&broker).await.len(), 3);
}

#[tokio::test]
async fn a_grant_is_used_at_most_as_often_as_it_may_by_many_keys_at_once() {
    let broker = Broker::with(&with_uses(2)).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let keys: Vec<_> = (0..64).map(|_| SessionKey::generate().unwrap()).collect();
    let tokens: Vec<_> = keys.iter().map(|k| bound(&broker, &job, k)).collect();
    let pairs = tokens.iter().zip(&keys);
    let all = join_all(pairs.map(|(t, k)| client.exchange_token(t, Some(k), &[]))).await;
    let issued = all.iter().filter(|a| a.status == 200).count();
    assert_eq!(issued, 2);
    assert_eq!(credentials(&broker).await.len(), 2);
}

#[tokio::test]
async fn a_renewal_and_a_repeated_question_spend_nothing() {
    let broker = Broker::with(&with_uses(1)).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker).await;
    let token = bound(&broker, &job, &key);
    let held = client.exchange_token(&token, Some(&key), &[]).await;
    held.assert_issued();
    client
        .exchange_token(&token, Some(&key), &[])
        .await
        .assert_issued();
    client.renew(&held, &key, &[]).await.assert_issued();
    let other = SessionKey::generate().unwrap();
    let more = client
        .exchange_token(&bound(&broker, &job, &other), Some(&other), &[])
        .await;
    more.assert_refused(400, "uses_exhausted");
    assert_eq!(more.field(), "uses");
    client.renew(&held, &key, &[]).await.assert_issued();
}

/// What was refused for another reason has used nothing.
#[tokio::test]
async fn a_refusal_spends_no_use_and_no_evidence() {
    let broker = Broker::with(&with_uses(1)).await;
    let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
    for _ in 0..3 {
        let wide = client
            .exchange_token(&token, None, &[("scope", "deploy:admin")])
            .await;
        wide.assert_refused(400, "scope_refused");
    }
    client
        .exchange_token(&token, None, &[])
        .await
        .assert_issued();
}
