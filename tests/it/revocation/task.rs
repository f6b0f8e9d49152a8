//! By an operator's word: everything under a task, and names that are not open yet.

use std::time::Duration;

use writ::broker::outstanding::CredentialState;
use writ::broker::revoke::{Ending, TaskRef};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::deploy_run;
use crate::support::held::{BILLING, Held, order, two_jobs};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_revoked_task_takes_everything_under_it() {
    let held = Held::billing(DEPLOY).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let other_key = SessionKey::generate().unwrap();
    let other = held
        .client
        .exchange(&held.run.jobs[1], Some(&other_key), BILLING)
        .await;
    let reader_key = SessionKey::generate().unwrap();
    let reader = held
        .client
        .exchange(held.job(), Some(&reader_key), &[])
        .await;
    let secret = held.client.secret("ci/prod/db", &reader, Some(&reader_key));
    assert_eq!(secret.await.text("value"), "value-canary");

    let broker = &held.broker.wired.broker;
    let which = TaskRef::Id(held.task());
    let reach = broker
        .end_task(&which, Ending::Revoke, &order())
        .await
        .unwrap();
    // The tokens are asked about at each use; the secret is out and has to be rotated.
    let of = |state| {
        reach
            .credentials
            .iter()
            .filter(|(_, s)| *s == state)
            .count()
    };
    assert_eq!(
        (of(CredentialState::Revoked), of(CredentialState::Exposed)),
        (3, 1)
    );

    assert!(!held.is_active().await);
    assert!(!held.client.is_active(&other).await);
    let secret = held.client.secret("ci/prod/db", &reader, Some(&reader_key));
    secret.await.assert_refused(403, "task_revoked");
    let renewal = held.client.renew(&other, &other_key, &[]).await;
    renewal.assert_refused(400, "task_revoked");
    held.assert_never_again("task_revoked").await;
}

#[tokio::test]
async fn a_token_that_others_verify_offline_is_said_to_be_unusable_by_when() {
    let held = Held::asking(DEPLOY, &[("audience", "https://deploy.example")]).await;
    let broker = &held.broker.wired.broker;
    let which = TaskRef::Id(held.task());
    let reach = broker
        .end_task(&which, Ending::Revoke, &order())
        .await
        .unwrap();
    let [(_, state)] = reach.credentials.as_slice() else {
        panic!("{reach:?}");
    };
    assert_eq!(*state, CredentialState::ExpiresAt);
}

#[tokio::test]
async fn a_task_whose_name_was_barred_before_it_opened_does_not_open() {
    let broker = Broker::with(DEPLOY).await;
    let run = two_jobs(&broker).await;
    let name = format!("github/{}/{}/1", broker.repo.repository_id, run.run_id);
    let which = TaskRef::Name(name.parse().unwrap());
    let verbs = &broker.wired.broker;
    let reach = verbs
        .end_task(&which, Ending::Revoke, &order())
        .await
        .unwrap();
    assert!(reach.task.is_none() && reach.credentials.is_empty());

    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    for job in &run.jobs {
        let answer = client.exchange(job, Some(&key), &[]).await;
        answer.assert_refused(400, "barred");
    }
    assert_eq!(broker.recorded().await.tasks, 0);
    let other = deploy_run(&broker).await;
    broker.pass(Duration::from_secs(2)).await;
    client
        .exchange(&other.jobs[0], Some(&key), &[])
        .await
        .assert_issued();
}

#[tokio::test]
async fn only_what_exists_can_be_closed() {
    let broker = Broker::with(DEPLOY).await;
    let which = TaskRef::Name("github/1/2/3".parse().unwrap());
    let order = order();
    let closed = broker
        .wired
        .broker
        .end_task(&which, Ending::Close, &order)
        .await;
    assert_eq!(closed.unwrap_err().code().as_str(), "not_found");
    assert!(broker.log().await.is_empty());
}
