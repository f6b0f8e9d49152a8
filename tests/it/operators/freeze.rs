//! Stopping issue and renewal for a while.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use writ::broker::revoke::Ending;
use writ::ledger::entry::Event;
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;

use crate::support::client::Answer;
use crate::support::desk::Desk;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

impl Held {
    fn in_time(&self, time: Duration) -> String {
        self.broker.clock.now().plus(time).to_string()
    }

    async fn freeze(&self, desk: &Desk, scope: &str) -> Answer {
        let until = self.in_time(Duration::from_hours(2));
        let order = json!({ "scope": scope, "until": until, "reason": "a test" });
        desk.post("/api/v1/freezes", &order).await
    }
}

#[track_caller]
fn assert_frozen(answer: &Answer) {
    answer.assert_refused(503, "frozen");
    let after: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_nothing_is_issued_after_a_freeze_that_sixty_four_exchanges_race() {
    let held = Held::billing(DEPLOY).await;
    let desk = Desk::open(&held.broker);
    let exchanges = (0..64).map(|n| {
        let held = &held;
        // Each goes on until it is refused, so that all of them are under way when the freeze comes.
        async move {
            loop {
                let key = SessionKey::generate().unwrap();
                let job = &held.run.jobs[n % 2];
                let answer = held.client.exchange(job, Some(&key), BILLING).await;
                if answer.status != 200 {
                    return answer;
                }
            }
        }
    });
    let freeze = async {
        while held.broker.recorded().await.credentials < 8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(held.freeze(&desk, "all").await.status, 201);
        held.broker.recorded().await
    };
    let (answers, at_acknowledgement) = tokio::join!(join_all(exchanges), freeze);
    for answer in &answers {
        assert!(
            ["frozen", "overloaded"].contains(&answer.code()),
            "{answer:?}"
        );
    }
    let frozen = |answer: &Answer| answer.code() == "frozen";
    assert!(answers.iter().any(frozen), "none met the freeze");
    assert_eq!(held.broker.recorded().await, at_acknowledgement);
    let late = held
        .broker
        .issued_after(|event| matches!(event, Event::Frozen { .. }))
        .await;
    assert!(late.is_empty(), "{late:?}");
}

#[tokio::test]
async fn each_scope_stops_issue_renewal_and_reads_and_nothing_that_is_out() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let desk = Desk::open(&held.broker);
    let repository = format!("repository/github/{}", held.broker.repo.repository_id);
    for scope in ["all", "profile/deploy", "issuer/github", &repository] {
        let frozen = held.freeze(&desk, scope).await;
        assert_eq!(
            (frozen.status.as_u16(), frozen.json["scope"].as_str()),
            (201, Some(scope))
        );
        let before = held.broker.recorded().await;
        assert_frozen(&held.renew().await);
        let (first, key) = (&held.first, Some(&held.key));
        assert_frozen(&held.client.secret("ci/prod/db", first, key).await);
        assert_frozen(&held.client.svid("https://db.example", first, key).await);
        let other = SessionKey::generate().unwrap();
        assert_frozen(
            &held
                .client
                .exchange(&held.run.jobs[1], Some(&other), &[])
                .await,
        );
        assert_eq!(held.broker.recorded().await, before);
        let path = format!("/api/v1/freezes/{}/lift", scope.replace('/', "%2F"));
        assert_eq!(desk.post(&path, &json!({})).await.status, 200);
        desk.post(&path, &json!({}))
            .await
            .assert_refused(404, "not_found");
        held.renew().await.assert_issued();
    }
    for scope in ["repository/github/1", "repository/github/99999999"] {
        assert_eq!(held.freeze(&desk, scope).await.status, 201);
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_freeze_ends_by_itself_and_meanwhile_revocation_goes_on() {
    let held = Held::billing(DEPLOY).await;
    let desk = Desk::open(&held.broker);
    let minute = held.in_time(Duration::from_millis(59_990));
    let order = json!({ "scope": "profile/deploy", "until": minute });
    let least = desk.post("/api/v1/freezes", &order).await;
    assert_eq!(
        least.status, 201,
        "a minute, less the way of the order: {least:?}"
    );
    let until = held.in_time(Duration::from_mins(2));
    let order = json!({ "scope": "profile/deploy", "until": until });
    assert_eq!(desk.post("/api/v1/freezes", &order).await.status, 201);
    let refused = held.renew().await;
    assert_frozen(&refused);
    // What was given before stays good, and the operator learns who stopped it.
    assert!(held.is_active().await);
    let said = desk.run(&["explain", refused.text("denial_id")], "").await;
    assert!(
        said.out.contains("profile/deploy is frozen until"),
        "{said:?}"
    );
    let said = desk.run(&["freeze", "list"], "").await;
    assert!(said.out.contains("profile/deploy"), "{said:?}");
    held.broker.pass(Duration::from_secs(121)).await;
    held.renew().await.assert_issued();
    let said = desk.run(&["freeze", "list"], "").await;
    assert!(said.out.contains("nothing is frozen"), "{said:?}");

    assert_eq!(held.freeze(&desk, "all").await.status, 201);
    held.end_task(Ending::Revoke).await;
    assert!(!held.is_active().await);
    // A denial is still told as one: a client that waited for the thaw would wait for nothing.
    held.assert_never_again("task_revoked").await;
}

#[tokio::test]
async fn what_would_freeze_nothing_or_for_good_is_refused() {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    let hour = held.in_time(Duration::from_hours(1));
    let year = held.in_time(Duration::from_hours(24 * 365));
    let soon = held.in_time(Duration::from_secs(5));
    for (scope, until, status, code) in [
        ("profile/deplyo", &hour, 404, "not_found"),
        ("issuer/gitlab", &hour, 404, "not_found"),
        ("repository/gitlab/1", &hour, 404, "not_found"),
        ("repository/1", &hour, 400, "request_malformed"),
        ("profile/*", &hour, 400, "request_malformed"),
        ("", &hour, 400, "request_malformed"),
        ("all", &year, 400, "request_malformed"),
        ("all", &soon, 400, "request_malformed"),
        (
            "all",
            &"2020-01-01T00:00:00Z".to_owned(),
            400,
            "request_malformed",
        ),
        ("all", &"tomorrow".to_owned(), 400, "request_malformed"),
    ] {
        let order = json!({ "scope": scope, "until": until });
        desk.post("/api/v1/freezes", &order)
            .await
            .assert_refused(status, code);
    }
    let loud = json!({ "scope": "all", "until": hour, "reason": "a\nb" });
    desk.post("/api/v1/freezes", &loud)
        .await
        .assert_refused(400, "request_malformed");
    let said = desk
        .run(&["freeze", "profile", "deplyo", "--until", "1h"], "")
        .await;
    assert_eq!(said.code, Some(2), "{said:?}");
    let said = desk.run(&["freeze", "all"], "").await;
    assert_eq!(said.code, Some(1), "without an end: {said:?}");
    held.renew().await.assert_issued();
}
