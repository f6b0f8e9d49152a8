//! A permit from its reservation to its end, as the script, the service and the operator see it.

use std::time::Duration;

use serde_json::{Value, json};
use writ::domain::reservation::ReservationState;
use writ::ledger::entry::Event;

use super::{Script, at_work};
use crate::support::desk::Desk;

#[tokio::test]
async fn a_script_restarts_one_host_once_and_the_next_step_needs_a_new_request() {
    let (held, script) = at_work().await;
    // To be asked about, such an action is no use: it takes a permit.
    let asked = script.evaluate("restart", "db-7").await;
    asked.assert_denied("permit_required", "permit");
    script.evaluate("status", "db-7").await.assert_permitted();

    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    assert_eq!(reserved.text("action"), "restart");
    assert_eq!(held.spent().await, 1);
    script
        .consume("db-7", permit, "a")
        .await
        .assert_consumed(false);
    let again = script.consume("db-7", permit, "b").await;
    again.assert_denied("permit_spent", "permit");

    let next = script.reserve("db-7", "step-2").await;
    assert_ne!(next.permit(), permit);
    script
        .consume("db-7", next.permit(), "c")
        .await
        .assert_consumed(false);
    assert_eq!(held.spent().await, 2);
}

#[tokio::test]
async fn the_log_says_who_reserved_what_who_did_it_and_on_which_facts() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    script
        .consume("db-7", permit, "a")
        .await
        .assert_consumed(false);
    let log = held.broker.log().await;
    let said: Vec<_> = log
        .iter()
        .filter_map(|leaf| match &leaf.event {
            Event::PermitReserved(said) | Event::PermitConsumed(said) => {
                Some((leaf.event.name(), said))
            }
            _ => None,
        })
        .collect();
    let names: Vec<_> = said.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["permit_reserved", "permit_consumed"]);
    for (_, said) in &said {
        assert_eq!(said.permit.to_string(), permit);
        assert_eq!(said.deed.action.as_str(), "restart");
        assert_eq!(said.deed.id.as_str(), "db-7");
        assert_eq!(said.deed.because.policies, ["default.action"]);
        assert_eq!(said.deed.because.facts.len(), 3);
    }
    assert_eq!(said[0].1.by, None);
    assert_eq!(said[1].1.by.as_ref().unwrap().as_str(), "billing");
}

#[tokio::test]
async fn a_permit_that_is_not_used_lapses_and_does_not_go_back() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    held.broker.pass(Duration::from_secs(59)).await;
    let other = script.reserve("db-7", "step-2").await;
    held.broker.pass(Duration::from_secs(1)).await;
    let late = script.consume("db-7", reserved.permit(), "a").await;
    late.assert_denied("permit_expired", "permit");
    script
        .consume("db-7", other.permit(), "b")
        .await
        .assert_consumed(false);
    assert_eq!(held.spent().await, 2);
    script.reserve("db-7", "step-3").await.permit();
    let none = script.reserve("db-7", "step-4").await;
    none.assert_refused(403, "uses_exhausted");
    assert_eq!(held.reservations().await.len(), 3);
}

#[tokio::test]
async fn another_instance_of_the_task_draws_from_the_same_pool() {
    let (held, script) = at_work().await;
    script.reserve("db-7", "step-1").await.permit();
    script.reserve("db-7", "step-2").await.permit();
    let key = writ_practice::client::SessionKey::generate().unwrap();
    let own = held
        .client
        .exchange(&held.run.jobs[1], Some(&key), &[])
        .await;
    let other = Script::new(held.client.clone(), key, own).await;
    // The same key of another instance is another's key.
    let theirs = other.reserve("db-7", "step-1").await;
    theirs.permit();
    for script in [&script, &other] {
        let none = script.reserve("db-7", "step-9").await;
        none.assert_refused(403, "uses_exhausted");
        assert_eq!(none.field(), "uses");
    }
    // What the one has reserved is of no use to the other.
    let taken = script.consume("db-7", theirs.permit(), "a").await;
    taken.assert_denied("permit_mismatch", "lineage");
    other
        .consume("db-7", theirs.permit(), "a")
        .await
        .assert_consumed(false);
    assert_eq!(held.spent().await, 3);
}

#[tokio::test]
async fn a_permit_ends_with_the_token_that_it_was_taken_with() {
    let (held, script) = at_work().await;
    held.broker.pass(Duration::from_secs(270)).await;
    // The run lives on: its token has thirty seconds left.
    script.reserve("db-7", "step-1").await.permit();
    let all = held.reservations().await;
    let ends = script.own.json["expires_in"].as_i64().unwrap();
    let left = all[0].expires_at.since(all[0].reserved_at);
    assert_eq!(ends, 300);
    assert!(left <= Duration::from_secs(30), "{left:?}");
}

#[tokio::test]
async fn operators_see_how_many_uses_are_left_and_what_became_of_each() {
    let (held, script) = at_work().await;
    let consumed = script.reserve("db-7", "1").await;
    script
        .consume("db-7", consumed.permit(), "a")
        .await
        .assert_consumed(false);
    held.broker.pass(Duration::from_secs(1)).await;
    script.reserve("db-8", "2").await.permit();
    held.broker.pass(Duration::from_secs(61)).await;
    script.reserve("db-9", "3").await.permit();
    let desk = Desk::open(&held.broker);
    let shown = desk.get(&format!("/api/v1/tasks/{}", held.task())).await;
    let uses = &shown.json["uses"][0];
    assert_eq!((&uses["limit"], &uses["left"]), (&json!(3), &json!(0)));
    let states: Vec<_> = uses["permits"].as_array().unwrap().iter().collect();
    let said: Vec<_> = states
        .iter()
        .map(|one| (&one["id"], &one["state"]))
        .collect();
    let expected: [(Value, Value); 3] = [
        ("db-9".into(), "reserved".into()),
        ("db-8".into(), "lapsed".into()),
        ("db-7".into(), "consumed".into()),
    ];
    let expected: Vec<_> = expected.iter().map(|(id, state)| (id, state)).collect();
    assert_eq!(said, expected);
    assert_eq!(states[2]["by"], "billing");

    let task = held.task().to_string();
    let told = desk.run(&["task", "show", &task], "").await;
    assert_eq!(told.code, Some(0), "{told:?}");
    for wanted in [
        "fix: 0 of 3 left; 1 reserved, 1 consumed, 1 lapsed",
        "lapsed, spent all the same",
        "permit_consumed",
    ] {
        assert!(
            told.out.contains(wanted),
            "{wanted} is missing in {}",
            told.out
        );
    }
    let all = held.reservations().await;
    assert!(matches!(all[2].state, ReservationState::Consumed { .. }));
}
