//! What is over takes with it exactly what stood on it.

use std::sync::Arc;
use std::time::Duration;

use writ::broker::revoke::Order;
use writ::jobs::patrol::Patrol;
use writ_practice::client::SessionKey;
use writ_practice::{Conclusion, HookSettings, Mode, Target};

use crate::support::held::{BILLING, Held, two_jobs};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_completed_job_ends_its_lineage_and_no_other() {
    let held = Held::billing(DEPLOY).await;
    let other_key = SessionKey::generate().unwrap();
    let other = held
        .client
        .exchange(&held.run.jobs[1], Some(&other_key), BILLING)
        .await;
    other.assert_issued();
    assert_eq!(other.text("task"), held.first.text("task"));

    let site = held.broker.site();
    let done = site.complete_job(held.job().job_id, Conclusion::Success);
    done.await.unwrap();
    held.broker.settle_hooks().await;

    assert!(!held.is_active().await);
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_ended");
    assert_eq!(renewal.field(), "job.status");
    assert!(held.client.is_active(&other).await);
    held.client
        .renew(&other, &other_key, &[])
        .await
        .assert_issued();
}

#[tokio::test]
async fn a_completed_run_ends_the_task_and_every_lineage_of_it() {
    for how in [
        Conclusion::Success,
        Conclusion::Failure,
        Conclusion::Cancelled,
    ] {
        let held = Held::billing(DEPLOY).await;
        let other_key = SessionKey::generate().unwrap();
        let other = held
            .client
            .exchange(&held.run.jobs[1], Some(&other_key), BILLING)
            .await;
        other.assert_issued();
        let site = held.broker.site();
        site.complete_run(held.run.run_id, how).await.unwrap();
        held.broker.settle_hooks().await;
        assert!(!held.is_active().await);
        assert!(!held.client.is_active(&other).await);
        let renewal = held.client.renew(&other, &other_key, &[]).await;
        renewal.assert_refused(400, "context_ended");
        held.assert_never_again("context_ended").await;
    }
}

#[tokio::test]
async fn a_lost_webhook_delays_the_end_by_no_more_than_the_facts_age() {
    let held = Held::billing(DEPLOY).await;
    let silent = HookSettings {
        enabled: false,
        targets: Vec::new(),
    };
    let site = held.broker.site();
    site.hooks().set(silent).unwrap();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let before = held.broker.recorded().await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_ended");
    assert_eq!(renewal.field(), "pipeline.status");
    assert_eq!(held.broker.recorded().await, before);
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn the_end_that_no_webhook_told_of_is_found_although_nobody_renews() {
    let held = Held::billing(DEPLOY).await;
    let key = SessionKey::generate().unwrap();
    let run = two_jobs(&held.broker).await;
    let other = held
        .client
        .exchange(&run.jobs[0], Some(&key), BILLING)
        .await;
    other.assert_issued();
    held.broker.silence_hooks();
    let round = async || {
        let mut patrol = Patrol::new(Arc::clone(&held.broker.wired.broker));
        patrol.run().await.unwrap().asked
    };
    assert_eq!(
        round().await,
        0,
        "asked about what was heard of a moment ago"
    );

    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.pass(Duration::from_mins(3)).await;
    held.broker.fault(Target::Api, Mode::Down);
    assert!(round().await > 0);
    assert!(held.is_active().await, "an outage ended a task");
    held.broker.mend().await;
    assert!(round().await > 0);
    assert!(!held.is_active().await);
    assert!(held.client.is_active(&other).await, "another run ended");
}

#[tokio::test]
async fn an_end_that_is_known_and_was_not_acted_on_is_acted_on_without_asking_again() {
    let held = Held::billing(DEPLOY).await;
    held.broker.silence_hooks();
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    let broker = &held.broker.wired.broker;
    let records = broker.store.records(broker.realm, None, 9).await.unwrap();
    for record in &records {
        let tied = broker.store.bound(broker.realm, record).await.unwrap();
        let mut bindings = tied[0].lineage.bindings.iter();
        let binding = bindings.find(|b| b.record == *record).unwrap();
        let none = Duration::ZERO;
        held.broker.pass(Duration::from_secs(1)).await;
        broker.observer.reread(record, &binding.locate, none).await;
    }
    assert!(held.is_active().await, "it was only looked at");
    held.broker.fault(Target::Api, Mode::Down);
    let mut patrol = Patrol::new(Arc::clone(broker));
    patrol.run().await.unwrap();
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn an_end_by_context_and_an_end_by_an_operator_do_not_hide_each_other() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    let which = writ::broker::revoke::TaskRef::Id(held.task());
    let order = Order {
        by: "uid:0".to_owned(),
        reason: None,
        repeat: None,
    };
    let revoke = writ::broker::revoke::Ending::Revoke;
    let reach = held
        .broker
        .wired
        .broker
        .end_task(&which, revoke, &order)
        .await
        .unwrap();
    assert!(reach.already);
    held.renew().await.assert_refused(400, "context_ended");
}

#[tokio::test]
async fn a_run_that_ends_after_its_last_job_still_ends_its_task() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    let done = site.complete_job(held.job().job_id, Conclusion::Success);
    done.await.unwrap();
    held.broker.settle_hooks().await;
    held.renew().await.assert_refused(400, "context_ended");
    let tasks = || held.broker.wired.broker.tasks(None, 10);
    assert!(tasks().await.unwrap()[0].is_open());

    let end = site.complete_run(held.run.run_id, Conclusion::Success);
    end.await.unwrap();
    held.broker.settle_hooks().await;
    assert!(!tasks().await.unwrap()[0].is_open());
}
