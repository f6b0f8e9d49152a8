//! From a job's token to its end.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{LabStatus, Target};

use super::{BILLING, DEPLOY, Held};

#[tokio::test]
async fn a_job_gets_a_token_and_a_secret_and_renews_while_it_runs() {
    let held = Held::under(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "hunter2").await;
    let key = Some(&held.key);
    let secret = held.client.secret("ci/prod/db", &held.first, key).await;
    assert_eq!(secret.text("value"), "hunter2");
    let lab = held.broker.lab();
    for _ in 0..3 {
        held.broker.pass(Duration::from_secs(61)).await;
        lab.faults().forget_requests();
        held.renew().await.assert_issued();
        // Bound by what is read: the one token that the job has proves nothing now.
        assert_eq!(lab.faults().requests().of(Target::Jobs), 1);
    }
}

#[tokio::test]
async fn a_job_that_ends_takes_its_lineage_and_no_other() {
    for how in [LabStatus::Success, LabStatus::Failed, LabStatus::Canceled] {
        let held = Held::new().await;
        let other_key = SessionKey::generate().unwrap();
        let token = &held.run.jobs[1].id_token;
        let other = held.client.exchange_token(token, Some(&other_key), BILLING);
        let other = other.await;
        other.assert_issued();
        assert_eq!(other.text("task"), held.first.text("task"));

        held.broker.lab().move_job(held.job(), how).await.unwrap();
        held.broker.reread_all().await;
        assert!(!held.is_active().await, "{how:?}");
        let renewal = held.renew().await;
        renewal.assert_refused(400, "context_ended");
        assert_eq!(renewal.field(), "job.status");
        held.assert_never_again("context_ended").await;
        assert!(held.client.is_active(&other).await);
        let renewal = held.client.renew(&other, &other_key, &[]).await;
        renewal.assert_issued();
    }
}

#[tokio::test]
async fn a_job_that_is_being_cancelled_gets_nothing_more() {
    let held = Held::new().await;
    let lab = held.broker.lab();
    lab.move_job(held.job(), LabStatus::Canceling)
        .await
        .unwrap();
    held.broker.reread_all().await;
    assert!(!held.is_active().await);
    held.assert_never_again("context_ended").await;
}

#[tokio::test]
async fn a_lost_webhook_delays_the_end_by_no_more_than_the_facts_age() {
    let held = Held::new().await;
    let lab = held.broker.lab();
    lab.set_hook(None);
    lab.cancel(held.run.pipeline_id).await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let before = held.broker.recorded().await;
    held.renew().await.assert_refused(400, "context_ended");
    assert_eq!(held.broker.recorded().await, before);
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn a_job_that_waits_is_not_let_in_and_its_token_is_not_lost() {
    let held = Held::new().await;
    let waiting = &held.run.jobs[1];
    let lab = held.broker.lab();
    let key = SessionKey::generate().unwrap();
    for early in [
        LabStatus::Created,
        LabStatus::WaitingForResource,
        LabStatus::Preparing,
        LabStatus::Pending,
        LabStatus::Manual,
        LabStatus::Scheduled,
        LabStatus::Skipped,
    ] {
        lab.move_job(waiting.job_id, early).await.unwrap();
        held.broker.reread_all().await;
        let before = held.broker.recorded().await;
        let refused = held
            .client
            .exchange_token(&waiting.id_token, Some(&key), BILLING);
        refused.await.assert_refused(400, "context_mismatch");
        assert_eq!(held.broker.recorded().await, before, "{early:?}");
    }
    lab.move_job(waiting.job_id, LabStatus::Running)
        .await
        .unwrap();
    held.broker.reread_all().await;
    let token = held
        .client
        .exchange_token(&waiting.id_token, Some(&key), BILLING);
    token.await.assert_issued();
}
