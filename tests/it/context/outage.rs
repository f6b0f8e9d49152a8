//! A source that cannot be asked: nobody is let in, nothing is revoked, and it works again when the
//! source is back.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Fault, Mode, Target};

use crate::support::broker::Broker;
use crate::support::client::{Answer, deploy_run};
use crate::support::held::{BILLING, Held, two_jobs};
use crate::support::profiles::DEPLOY;

/// Undetermined, as an OAuth client has to see it.
#[track_caller]
fn assert_undetermined(answer: &Answer) {
    answer.assert_refused(503, "context_unavailable");
    assert_eq!(answer.text("error"), "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

#[tokio::test]
async fn whatever_a_broken_source_answers_nobody_gets_in_and_nobody_is_thrown_out() {
    let held = Held::billing(DEPLOY).await;
    let mut token = held.first;
    for mode in [
        Mode::Down,
        Mode::Html,
        Mode::Garbage,
        Mode::Unavailable,
        Mode::RateLimited,
    ] {
        let newcomer = deploy_run(&held.broker).await;
        held.broker.pass(Duration::from_secs(61)).await;
        held.broker.fault(Target::Api, mode);
        let before = held.broker.recorded().await;
        let renewal = held.client.renew(&token, &held.key, &[]).await;
        assert_undetermined(&renewal);
        let other = held
            .client
            .exchange(&newcomer.jobs[0], Some(&held.key), &[]);
        assert_undetermined(&other.await);
        assert_eq!(held.broker.recorded().await, before, "{mode:?}");
        assert!(held.client.is_active(&token).await, "{mode:?}");

        held.broker.mend().await;
        let back = held.client.renew(&token, &held.key, &[]).await;
        back.assert_issued();
        token = back;
    }
}

#[tokio::test]
async fn a_secret_is_not_read_while_the_source_is_down() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    held.broker.pass(Duration::from_secs(61)).await;
    held.broker.fault(Target::Api, Mode::Down);
    let before = held.broker.recorded().await;
    let secret = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key));
    let secret = secret.await;
    secret.assert_refused(503, "context_unavailable");
    assert!(secret.headers.contains_key("retry-after"));
    assert_eq!(held.broker.recorded().await, before);
    held.broker.mend().await;
    let secret = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key));
    assert_eq!(secret.await.text("value"), "value-canary");
}

#[tokio::test]
async fn within_max_age_an_outage_is_not_even_noticed() {
    let held = Held::billing(DEPLOY).await;
    held.broker.fault(Target::Api, Mode::Down);
    held.broker.pass(Duration::from_secs(20)).await;
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_source_that_does_not_answer_in_time_is_one_that_cannot_be_asked() {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(61)).await;
    held.broker.site().faults().forget_requests();
    let slow = Fault {
        target: Target::Api,
        mode: Mode::Slow,
        delay_ms: 120_000,
    };
    held.broker.site().faults().set(slow).unwrap();
    let before = held.broker.recorded().await;
    let patience = async {
        while held.broker.asked(Target::Api) < 3 {
            tokio::task::yield_now().await;
        }
        held.broker.pass(Duration::from_secs(6)).await;
    };
    let (renewal, ()) = tokio::join!(held.renew(), patience);
    assert_undetermined(&renewal);
    assert_eq!(held.broker.recorded().await, before);
    assert!(held.is_active().await);
    held.broker.mend().await;
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_source_that_answers_without_the_record_refuses_and_revokes_nothing() {
    for (target, field) in [
        (Target::Runs, "pipeline"),
        (Target::CheckRuns, "job"),
        (Target::Environments, "environment"),
    ] {
        let held = Held::billing(DEPLOY).await;
        held.broker.pass(Duration::from_secs(61)).await;
        held.broker.fault(target, Mode::NotFound);
        let before = held.broker.recorded().await;
        let renewal = held.renew().await;
        renewal.assert_refused(400, "context_unknown");
        assert_eq!(renewal.text("error"), "invalid_grant");
        assert_eq!(renewal.field(), field);
        assert_eq!(held.broker.recorded().await, before);
        assert!(held.is_active().await, "{field}");
        held.broker.site().faults().clear();
        held.broker.pass(Duration::from_secs(61)).await;
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a24_keys_of_the_issuer_that_cannot_be_read_let_nobody_in() {
    let broker = Broker::with(DEPLOY).await;
    broker.fault(Target::Jwks, Mode::Down);
    let run = two_jobs(&broker).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let refused = client.exchange(&run.jobs[0], Some(&key), BILLING).await;
    refused.assert_refused(503, "issuer_unavailable");
    assert_eq!(refused.text("error"), "temporarily_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(broker.recorded().await.tasks, 0);
    broker.mend().await;
    // Whatever the wait before the issuer is asked again, it is over.
    broker.pass(Duration::from_secs(60)).await;
    let back = client.exchange(&run.jobs[0], Some(&key), BILLING).await;
    back.assert_issued();
}
