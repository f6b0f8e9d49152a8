//! From the opening of a case's task to its end.

use std::time::Duration;

use writ::jobs::patrol::Patrol;
use writ_practice::Target;
use writ_practice::client::SessionKey;

use super::{Held, broker};

#[tokio::test]
async fn an_agent_renews_while_its_case_is_open_or_waits() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    for state in ["open", "waiting", "open"] {
        desk.set_state("4711", state).await.unwrap();
        held.broker.pass(Duration::from_secs(61)).await;
        held.renew().await.assert_issued();
    }
    // What does not concern the profile may change.
    desk.change("4711", |case| case.queue = "returns".to_owned())
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_case_that_closes_ends_what_stood_on_it() {
    let held = Held::new().await;
    held.broker
        .desk()
        .set_state("4711", "solved")
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.assert_never_again("context_ended", "case.status")
        .await;
}

#[tokio::test]
async fn a_case_that_is_given_to_another_or_moves_to_another_account_ends_what_stood_on_it() {
    let held = Held::new().await;
    held.broker.desk().assign("4711", None).await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.assert_never_again("context_mismatch", "case.assignee")
        .await;

    let held = Held::new().await;
    let moved = held
        .broker
        .desk()
        .change("4711", |case| case.account = "AC-1".to_owned());
    moved.await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.assert_never_again("context_mismatch", "case.account")
        .await;
}

#[tokio::test]
async fn a_secret_is_not_read_for_a_case_that_was_given_away() {
    let held = Held::new().await;
    held.broker.put_secret("crm/key", "hunter2").await;
    let own = [("audience", held.broker.issuer.as_str())];
    let token = held.client.renew(&held.first, &held.key, &own).await;
    held.broker
        .desk()
        .assign("4711", Some("a-8"))
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let before = held.broker.recorded().await;
    let refused = held.client.secret("crm/key", &token, Some(&held.key)).await;
    refused.assert_refused(403, "context_mismatch");
    assert_eq!(refused.field(), "case.assignee");
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn the_patrol_finds_what_no_webhook_told() {
    for give_away in [true, false] {
        let held = Held::new().await;
        let desk = held.broker.desk();
        if give_away {
            desk.assign("4711", Some("a-8")).await.unwrap();
        } else {
            desk.set_state("4711", "solved").await.unwrap();
        }
        held.broker.pass(Duration::from_secs(121)).await;
        assert!(held.is_active().await, "nobody has looked yet");
        let mut patrol = Patrol::new(std::sync::Arc::clone(&held.broker.wired.broker));
        patrol.run().await.unwrap();
        assert!(!held.is_active().await);
        let (code, field) = if give_away {
            ("context_mismatch", "case.assignee")
        } else {
            ("context_ended", "case.status")
        };
        held.assert_never_again(code, field).await;
    }
}

#[tokio::test]
async fn a_closed_case_that_is_opened_again_is_there_for_another_agent_in_the_same_task() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    desk.set_state("4711", "solved").await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew().await.assert_refused(400, "context_ended");
    desk.change("4711", |case| {
        case.state = "open".to_owned();
        case.assignee = Some("a-8".to_owned());
    })
    .await
    .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let key = SessionKey::generate().unwrap();
    let other = held.broker.ask("a-8", "desk/case/4711", Some(&key)).await;
    other.assert_issued();
    assert_eq!(other.text("task"), held.first.text("task"));
    held.assert_never_again("context_ended", "case.status")
        .await;
}

#[tokio::test]
async fn a_case_that_is_final_ends_its_task() {
    let held = Held::new().await;
    held.broker
        .desk()
        .set_state("4711", "merged")
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.assert_never_again("context_ended", "case.status")
        .await;
    held.broker.desk().set_state("4711", "open").await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.assert_never_again("context_ended", "case.status")
        .await;
}

#[tokio::test]
async fn a_case_that_has_not_changed_is_not_sent_again() {
    let broker = broker().await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    let key = SessionKey::generate().unwrap();
    let first = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
    first.assert_issued();
    let client = broker.client();
    for _ in 0..3 {
        broker.pass(Duration::from_secs(61)).await;
        client.renew(&first, &key, &[]).await.assert_issued();
    }
    assert_eq!(broker.desk().faults().requests().of(Target::Cases), 4);
    assert_eq!(broker.desk().unchanged(), 3, "tags were shown and held");
    broker.desk().set_state("4711", "solved").await.unwrap();
    broker.pass(Duration::from_secs(61)).await;
    client
        .renew(&first, &key, &[])
        .await
        .assert_refused(400, "context_ended");
}
