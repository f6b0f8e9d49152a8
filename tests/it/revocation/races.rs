//! A revocation covers what is in flight when it is acknowledged, whoever wins the race.

use futures_util::future::join_all;
use writ::broker::revoke::{Ending, TaskRef};
use writ::ledger::entry::Event;
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::held::{BILLING, Held, order, two_jobs};
use crate::support::profiles::DEPLOY;

/// Exchanges that are ready to be sent: a key and a token each.
async fn ready(broker: &Broker, count: usize) -> Vec<(SessionKey, String)> {
    let run = two_jobs(broker).await;
    let client = broker.client();
    let made = (0..count).map(|n| {
        let (client, run, issuer) = (&client, &run, &broker.issuer);
        async move {
            let key = SessionKey::generate().unwrap();
            let audience = format!("{issuer}/jkt/{}", key.thumbprint());
            let token = client.id_token(&run.jobs[n % 2], &audience).await;
            (key, token)
        }
    });
    join_all(made).await
}

/// Every answer is a refusal by the revocation, or a token that is dead now.
async fn assert_all_dead(broker: &Broker, answers: &[Answer]) {
    for answer in answers {
        if answer.status == 200 {
            assert!(!broker.client().is_active(answer).await, "{answer:?}");
        } else {
            let code = answer.code();
            let ended = ["task_revoked", "barred", "overloaded"].contains(&code);
            assert!(ended, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_sixty_four_exchanges_racing_a_revocation_leave_nothing_alive() {
    let held = Held::billing(DEPLOY).await;
    let which = TaskRef::Id(held.task());
    let exchanges = (0..64).map(|n| {
        let held = &held;
        async move {
            let key = SessionKey::generate().unwrap();
            let job = &held.run.jobs[n % 2];
            held.client.exchange(job, Some(&key), BILLING).await
        }
    });
    let revoke = async {
        // As soon as some are through and the others are not.
        while held.broker.recorded().await.credentials < 8 {
            tokio::task::yield_now().await;
        }
        let verbs = &held.broker.wired.broker;
        verbs
            .end_task(&which, Ending::Revoke, &order())
            .await
            .unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(exchanges), revoke);
    assert_all_dead(&held.broker, &answers).await;
    let late = held
        .broker
        .issued_after(|event| matches!(event, Event::TaskRevoked { .. }))
        .await;
    assert!(late.is_empty(), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_a_revocation_by_name_holds_also_for_the_task_that_opens_at_that_moment() {
    for _ in 0..4 {
        let broker = Broker::with(DEPLOY).await;
        let tokens = ready(&broker, 16).await;
        let task = two_jobs_name(&broker);
        let client = broker.client();
        let exchanges = tokens
            .iter()
            .map(|(key, token)| client.exchange_token(token, Some(key), BILLING));
        let verbs = &broker.wired.broker;
        let order = order();
        let revoke = async {
            tokio::task::yield_now().await;
            verbs.end_task(&task, Ending::Revoke, &order).await.unwrap();
        };
        let (answers, ()) = tokio::join!(join_all(exchanges), revoke);
        assert_all_dead(&broker, &answers).await;
        let open = verbs.tasks(None, 10).await.unwrap();
        assert!(open.iter().all(|task| !task.is_open()), "{open:?}");
    }
}

/// The name of the only run's task.
fn two_jobs_name(broker: &Broker) -> TaskRef {
    let deliveries = broker.site().hooks().deliveries();
    let payload = broker.site().hooks().payload(&deliveries[0].guid).unwrap();
    let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let run = &event["workflow_run"]["id"];
    let name = format!("github/{}/{run}/1", broker.repo.repository_id);
    TaskRef::Name(name.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_no_lease_is_recorded_after_its_tokens_revocation() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let reads = (0..32).map(|_| {
        held.client
            .secret("ci/prod/db", &held.first, Some(&held.key))
    });
    let revoke = async {
        while held.broker.recorded().await.credentials < 4 {
            tokio::task::yield_now().await;
        }
        let revoked = held.client.revoke(held.first.text("access_token")).await;
        assert_eq!(revoked.status, 200);
    };
    let (answers, ()) = tokio::join!(join_all(reads), revoke);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.assert_refused(403, "credential_revoked");
    }
    let late = held
        .broker
        .issued_after(|event| matches!(event, Event::CredentialRevoked { .. }))
        .await;
    assert!(late.is_empty(), "{late:?}");
}
