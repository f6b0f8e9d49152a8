//! Many at once: one task, one session per key, and single use that is single.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::forge::{OPEN, bearer, bound, credentials, job, jobs, tasks};

const MANY: usize = 64;

fn distinct(answers: &[Answer], name: &str) -> usize {
    answers
        .iter()
        .map(|a| a.text(name))
        .collect::<BTreeSet<_>>()
        .len()
}

#[tokio::test]
async fn all_jobs_of_a_run_at_once_open_one_task() {
    let broker = Broker::with(OPEN).await;
    let client = broker.client();
    let jobs = jobs(&broker, MANY).await;
    let tokens: Vec<_> = jobs.iter().map(|job| bearer(&broker, job)).collect();
    let all = join_all(tokens.iter().map(|t| client.exchange_token(t, None, &[]))).await;
    for answer in &all {
        answer.assert_issued();
    }
    assert_eq!(
        (distinct(&all, "task"), distinct(&all, "lineage")),
        (1, MANY)
    );
    assert_eq!(tasks(&broker).await.len(), 1);
    assert_eq!(credentials(&broker).await.len(), MANY);
}

#[tokio::test]
async fn the_same_evidence_by_its_key_many_times_at_once_is_one_session() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    let all = join_all((0..MANY).map(|_| client.exchange_token(&token, Some(&key), &[]))).await;
    for answer in &all {
        answer.assert_issued();
    }
    for name in ["task", "lineage", "refresh_token"] {
        assert_eq!(distinct(&all, name), 1, "{name}");
    }
    let ends: BTreeSet<_> = all.iter().map(super::replay::end).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[tokio::test]
async fn the_same_evidence_without_a_key_many_times_at_once_counts_once() {
    let broker = Broker::with(OPEN).await;
    let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
    let all = join_all((0..MANY).map(|_| client.exchange_token(&token, None, &[]))).await;
    let (issued, refused): (Vec<_>, Vec<_>) = all.iter().partition(|a| a.status == 200);
    assert_eq!(issued.len(), 1);
    for answer in refused {
        answer.assert_refused(400, "evidence_replayed");
    }
    assert_eq!(credentials(&broker).await.len(), 1);
}

/// One leaked token and as many keys as somebody likes to make.
#[tokio::test]
async fn the_same_evidence_by_many_keys_at_once_is_one_keys_alone() {
    let broker = Broker::with(OPEN).await;
    let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
    let keys: Vec<_> = (0..MANY).map(|_| SessionKey::generate().unwrap()).collect();
    let all = join_all(
        keys.iter()
            .map(|k| client.exchange_token(&token, Some(k), &[])),
    )
    .await;
    let (issued, refused): (Vec<_>, Vec<_>) = all.iter().partition(|a| a.status == 200);
    assert_eq!(issued.len(), 1);
    for answer in refused {
        answer.assert_refused(400, "evidence_replayed");
    }
    assert_eq!(credentials(&broker).await.len(), 1);
}
