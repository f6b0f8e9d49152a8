//! When evidence counts: `exp`, `nbf` and `iat` of every shape, and at the limits to the second.

use serde_json::{Value, json};
use writ_practice::Conclusion;

use crate::support::broker::Broker;
use crate::support::forge::{OPEN, assert_none, credentials, job, jobs, now, tasks, with_claims};

#[tokio::test]
async fn a07_a_time_that_is_not_whole_seconds_is_no_time() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let at = now(&broker);
    let shapes = [
        json!(at.to_string()),
        json!(1e308),
        json!(0.5),
        json!(-1),
        json!([at]),
        json!({ "at": at }),
        json!(true),
        json!(u64::MAX),
        json!(i64::MAX),
    ];
    for name in ["exp", "nbf", "iat"] {
        for shape in &shapes {
            let token = with_claims(&broker, &job, json!({ name: shape }));
            let answer = broker.client().exchange_token(&token, None, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, "evidence_invalid"),
                "{name} = {shape}: {answer:?}"
            );
        }
    }
    for missing in ["exp", "iat"] {
        let token = with_claims(&broker, &job, json!({ missing: Value::Null }));
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        answer.assert_refused(400, "evidence_invalid");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn a10_a_token_for_years_from_the_future_or_from_long_ago_is_refused() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let at = now(&broker);
    for (what, claims, field) in [
        ("ten years", json!({ "exp": at + 315_360_000 }), "exp"),
        ("an hour", json!({ "exp": at + 3_600 }), "exp"),
        ("a second too long", json!({ "exp": at + 601 }), "exp"),
        ("old", json!({ "iat": at - 601, "exp": at - 1 }), "exp"),
        ("ahead", json!({ "iat": at + 60, "exp": at + 300 }), "iat"),
        ("not yet", json!({ "nbf": at + 60 }), "nbf"),
        ("1970", json!({ "iat": 0, "nbf": 0, "exp": 0 }), "exp"),
    ] {
        let token = with_claims(&broker, &job, claims);
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        assert_eq!(
            (answer.code(), answer.field()),
            ("evidence_expired", field),
            "{what}: {answer:?}"
        );
        answer.assert_refused(400, "evidence_expired");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

/// The skew of five seconds, to the second: the broker's clock stands within the second `at`.
#[tokio::test]
async fn a11_the_limits_hold_exactly() {
    let broker = Broker::with(OPEN).await;
    let jobs = jobs(&broker, 7).await;
    // Evidence from before the webhooks of the run's start would prove nothing.
    broker.pass(std::time::Duration::from_secs(40)).await;
    let at = now(&broker);
    let limits = [
        (json!({ "iat": at - 30, "exp": at - 5 }), Some("exp")),
        (json!({ "iat": at - 30, "exp": at - 4 }), None),
        (json!({ "exp": at + 600 }), None),
        (json!({ "nbf": at + 6 }), Some("nbf")),
        (json!({ "nbf": at + 5 }), None),
        (json!({ "iat": at + 6 }), Some("iat")),
        (json!({ "iat": at + 5 }), None),
    ];
    for ((claims, refused), job) in limits.into_iter().zip(&jobs) {
        let token = with_claims(&broker, job, claims.clone());
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        match refused {
            Some(field) => {
                assert_eq!(answer.field(), field, "{claims}: {answer:?}");
                answer.assert_refused(400, "evidence_expired");
            }
            None => assert_eq!(answer.status, 200, "{claims}: {answer:?}"),
        }
    }
}

/// An issuer whose clock is ahead of the broker's: its token says nothing about a time that has not
/// come, so that the end of the job counts at once.
#[tokio::test]
async fn a_token_from_a_clock_that_is_ahead_does_not_outlive_its_job() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let ahead = with_claims(&broker, &job, json!({ "iat": now(&broker) + 5 }));
    let held = client.exchange_token(&ahead, None, &[]).await;
    held.assert_issued();
    assert!(client.is_active(&held).await);
    let site = broker.site();
    site.complete_job(job.job_id, Conclusion::Cancelled)
        .await
        .unwrap();
    broker.settle_hooks().await;
    assert!(!client.is_active(&held).await);
    let again = with_claims(&broker, &job, json!({ "iat": now(&broker) + 5 }));
    let again = client.exchange_token(&again, None, &[]).await;
    again.assert_refused(400, "context_ended");
}
