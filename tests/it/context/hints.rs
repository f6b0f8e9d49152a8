//! Webhooks hint. A hint expires what is known, and only a read at the source says what is so.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Delivery, Mint, Mode, Target};

use crate::support::broker::Broker;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_hint_expires_the_fact_at_once_and_the_next_decision_reads() {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(3)).await;
    held.renew().await.assert_issued();
    held.broker.fault(Target::Api, Mode::Down);
    held.renew().await.assert_issued();

    let taken = held.broker.run_hook(&held.run, "in_progress").await;
    assert_eq!(taken.status, Some(202));
    let before = held.broker.recorded().await;
    let renewal = held.renew().await;
    renewal.assert_refused(503, "context_unavailable");
    assert_eq!(renewal.field(), "pipeline");
    assert_eq!(held.broker.recorded().await, before);
    assert!(held.is_active().await);

    held.broker.mend().await;
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_signed_completed_for_a_run_that_the_source_calls_running_revokes_nothing() {
    let held = Held::billing(DEPLOY).await;
    let taken = held.broker.run_hook(&held.run, "completed").await;
    assert_eq!(taken.status, Some(202));
    held.broker.settle_hooks().await;
    assert!(held.is_active().await);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_webhook_secret_in_the_wrong_hands_delays_and_never_revokes() {
    let held = Held::billing(DEPLOY).await;
    held.broker.fault(Target::Api, Mode::Down);
    for _ in 0..10 {
        held.broker.run_hook(&held.run, "completed").await;
        held.broker.settle_hooks().await;
        held.renew()
            .await
            .assert_refused(503, "context_unavailable");
        assert!(held.is_active().await);
    }
    held.broker.mend().await;
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_hint_whose_read_failed_is_read_again_and_the_end_is_found() {
    let held = Held::billing(DEPLOY).await;
    held.broker.fault(Target::Api, Mode::Down);
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    assert!(held.is_active().await);
    held.broker.mend().await;
    held.broker.wired.rereads.ask_again();
    held.broker.reread_all().await;
    assert!(!held.is_active().await);
    held.assert_never_again("context_ended").await;
}

#[tokio::test]
async fn hints_about_what_nobody_stands_on_cost_no_read() {
    let held = Held::billing(DEPLOY).await;
    held.broker.site().faults().forget_requests();
    for n in 0..50 {
        let mut forgery = held.broker.run_forgery(&held.run, "completed");
        forgery.body["workflow_run"]["id"] = (1_000_000 + n).into();
        held.broker.forge(forgery).await;
    }
    held.broker.settle_hooks().await;
    assert_eq!(held.broker.asked(Target::Api), 0);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a44_finished_replayed_after_a_new_attempt_began_does_not_touch_it() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    assert!(!held.is_active().await);

    let again = site.rerun(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    held.broker.pass(Duration::from_secs(2)).await;
    let key = SessionKey::generate().unwrap();
    let attempt = held
        .client
        .exchange(&again.jobs[0], Some(&key), BILLING)
        .await;
    attempt.assert_issued();
    assert_ne!(attempt.text("task"), held.first.text("task"));

    replay(&held.broker, |delivery| {
        delivery.action.as_deref() == Some("completed")
    })
    .await;
    assert!(held.client.is_active(&attempt).await);
    held.client.renew(&attempt, &key, &[]).await.assert_issued();
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn a44_started_replayed_after_the_end_reopens_nothing() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    replay(&held.broker, |delivery| {
        delivery.action.as_deref() != Some("completed")
    })
    .await;
    held.broker.pass(Duration::from_secs(120)).await;

    let before = held.broker.recorded().await;
    assert!(!held.is_active().await);
    held.renew().await.assert_refused(400, "context_ended");
    // Not even by a token that an issuer should never have given out.
    let audience = format!("{}/jkt/{}", held.broker.issuer, held.key.thumbprint());
    let token = held.broker.mint(held.job(), &audience, Mint::default());
    let answer = held
        .client
        .exchange_token(&token, Some(&held.key), &[])
        .await;
    answer.assert_refused(400, "context_ended");
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn webhooks_in_any_order_leave_the_same_end() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    site.hooks().settle().await.unwrap();
    let mut deliveries = site.hooks().deliveries();
    deliveries.reverse();
    for delivery in deliveries {
        let answer = site.hooks().replay(&delivery.guid).await.unwrap();
        assert_eq!(answer.status, Some(202), "{answer:?}");
    }
    held.broker.settle_hooks().await;
    assert!(!held.is_active().await);
    held.assert_never_again("context_ended").await;
}

/// Sends again what was sent before, as it was, and lets the broker read what it hints at.
async fn replay(broker: &Broker, which: impl Fn(&Delivery) -> bool) {
    let hooks = broker.site().hooks();
    let old: Vec<_> = hooks.deliveries().into_iter().filter(which).collect();
    assert!(!old.is_empty());
    for delivery in old {
        let answer = hooks.replay(&delivery.guid).await.unwrap();
        assert_eq!(answer.status, Some(202), "{answer:?}");
    }
    broker.settle_hooks().await;
}
