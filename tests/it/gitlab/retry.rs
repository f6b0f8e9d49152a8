//! A retry: another job of the same pipeline, which was over and is not.

use std::time::Duration;

use writ_practice::LabStatus;
use writ_practice::client::SessionKey;

use super::{BILLING, Held};

/// Bound to the pipeline alone.
const PIPELINE: &str = r#"
[[profile]]
name = "deploy"
source = "gitlab"
match = { project_id = "{lab.project}", ref = "main" }
task = "{project_id}/{pipeline_id}"
instance = "{job_id}"

[[profile.binding]]
record = "pipeline"
pin = ["head_sha"]
max_age = "60s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["https://billing.example"]
"#;

async fn end_both(held: &Held) {
    for job in &held.run.jobs {
        let lab = held.broker.lab();
        lab.move_job(job.job_id, LabStatus::Failed).await.unwrap();
    }
    held.broker.reread_all().await;
}

#[tokio::test]
async fn the_retry_of_a_job_stands_by_itself_and_the_job_before_it_stays_over() {
    let held = Held::new().await;
    end_both(&held).await;
    assert!(!held.is_active().await);

    let again = held.broker.lab().retry(held.job()).await.unwrap();
    held.broker.reread_all().await;
    held.broker.pass(Duration::from_secs(2)).await;
    let key = SessionKey::generate().unwrap();
    let retried = held
        .client
        .exchange_token(&again.id_token, Some(&key), BILLING);
    let retried = retried.await;
    retried.assert_issued();
    assert_eq!(retried.text("task"), held.first.text("task"));
    assert_ne!(retried.text("lineage"), held.first.text("lineage"));
    held.assert_never_again("context_ended").await;
    held.client.renew(&retried, &key, &[]).await.assert_issued();
}

#[tokio::test]
async fn a_pipeline_that_ended_takes_what_stood_on_it_and_lets_its_retry_in() {
    let held = Held::under(PIPELINE, BILLING).await;
    end_both(&held).await;
    assert!(!held.is_active().await);
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_ended");
    assert_eq!(renewal.field(), "pipeline.status");
    let tasks = held.broker.wired.broker.tasks(None, 10).await.unwrap();
    assert!(tasks[0].is_open(), "it is there for the jobs to come");

    // Nobody gets in while nothing runs, not even with a token of a job that never asked before.
    let before = held.broker.recorded().await;
    let late = &held.run.jobs[1].id_token;
    let key = SessionKey::generate().unwrap();
    let late = held.client.exchange_token(late, Some(&key), BILLING).await;
    late.assert_refused(400, "context_ended");
    assert_eq!(held.broker.recorded().await, before);

    let again = held.broker.lab().retry(held.job()).await.unwrap();
    held.broker.reread_all().await;
    held.broker.pass(Duration::from_secs(2)).await;
    let retried = held
        .client
        .exchange_token(&again.id_token, Some(&key), BILLING);
    retried.await.assert_issued();
    held.assert_never_again("context_ended").await;
}

#[tokio::test]
async fn a44_finished_replayed_after_the_retry_does_not_touch_it() {
    let held = Held::new().await;
    end_both(&held).await;
    let old = held.broker.lab().deliveries();
    let again = held.broker.lab().retry(held.job()).await.unwrap();
    held.broker.reread_all().await;
    held.broker.pass(Duration::from_secs(2)).await;
    let key = SessionKey::generate().unwrap();
    let retried = held
        .client
        .exchange_token(&again.id_token, Some(&key), BILLING);
    let retried = retried.await;
    for delivery in old {
        let answer = held.broker.lab().replay(&delivery.guid).await.unwrap();
        assert_eq!(answer.status, Some(202), "{answer:?}");
    }
    held.broker.reread_all().await;
    assert!(held.client.is_active(&retried).await);
    held.client.renew(&retried, &key, &[]).await.assert_issued();
    assert!(!held.is_active().await);
}
