//! What is permitted is in the log, with why: before the answer, or right behind it where the profile says so.

use serde_json::json;
use writ::domain::action::Effect;
use writ::ledger::entry::{Deed, Event};

use super::{ACTIONS, Held};
use crate::cases::SUPPORT;
use crate::support::process::until;

async fn deeds(held: &Held) -> Vec<Deed> {
    let log = held.broker.log().await;
    let deeds = log.into_iter().filter_map(|leaf| match leaf.event {
        Event::Acted(deed) => Some(*deed),
        _ => None,
    });
    deeds.collect()
}

#[tokio::test]
async fn each_permit_is_recorded_with_what_why_and_on_which_facts() {
    let held = Held::new().await;
    held.ask("read", "AC-9").await.assert_permitted();
    held.ask("refund", "AC-9").await.assert_permitted();
    let deeds = deeds(&held).await;
    let said: Vec<_> = deeds
        .iter()
        .map(|deed| {
            (
                deed.action.as_str(),
                deed.effect,
                deed.kind.as_str(),
                deed.id.as_str(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("read", Effect::Reads, "record", "INV-7"),
            ("refund", Effect::Writes, "record", "INV-7"),
        ]
    );
    let because = &deeds[1].because;
    assert_eq!(because.policies, ["default.action"]);
    assert_eq!(because.facts[0].fields["account"], "AC-9");
    assert_eq!(because.facts[0].fields["status"], "open");
}

#[tokio::test]
async fn a_read_whose_record_may_follow_is_recorded_too_and_a_write_always_waits() {
    let profile = SUPPORT.replace(
        "deadline = \"8h\"",
        "deadline = \"8h\"\nreads_recorded = \"after-answer\"",
    );
    let held = Held::under(&format!("{profile}{ACTIONS}")).await;
    for _ in 0..5 {
        held.ask("read", "AC-9").await.assert_permitted();
    }
    held.ask("refund", "AC-9").await.assert_permitted();
    let count = |deeds: &[Deed], action: &str| {
        let same = deeds.iter().filter(|deed| deed.action.as_str() == action);
        same.count()
    };
    assert_eq!(count(&deeds(&held).await, "refund"), 1);
    // The reads' records may be behind it, and are on their way.
    until(async || count(&deeds(&held).await, "read") == 5).await;
    assert_eq!(deeds(&held).await.len(), 6);
}

#[tokio::test]
async fn a_denial_is_recorded_once_a_minute_and_found_by_its_id() {
    let held = Held::new().await;
    let before = held.broker.log().await.len();
    let first = held.ask("delete", "AC-9").await;
    let id = first.json["context"]["denial_id"].clone();
    assert!(id.is_string(), "{first:?}");
    for _ in 0..10 {
        let again = held.ask("delete", "AC-9").await;
        assert_eq!(again.json["context"]["denial_id"], id);
    }
    let log = held.broker.log().await;
    assert_eq!(log.len(), before + 1);
    let Event::Denied(refused) = &log.last().unwrap().event else {
        panic!("{log:?}");
    };
    assert_eq!(
        (refused.verb.as_str(), refused.code.as_str()),
        ("check", "action_refused")
    );
}

#[tokio::test]
async fn a_policy_decides_within_the_grant() {
    let held = Held::new().await;
    let rules = r#"
        @id("team.refunds") @code("policy_denied") @advice("ask a lead to refund")
        forbid (principal, action == Writ::Action::"check", resource in Writ::Kind::"record")
        when { context.writes && resource.hasTag("account") && resource.getTag("account") like "AC-*" };
    "#;
    held.ask("refund", "AC-9").await.assert_permitted();
    held.broker.set_policies(rules).await;
    let denied = held.ask("refund", "AC-9").await;
    denied.assert_denied("policy_denied", "");
    assert_eq!(
        denied.json["context"]["reason"],
        json!("a policy forbids it: ask a lead to refund")
    );
    held.broker.set_policies("").await;
    held.ask("refund", "AC-9").await.assert_permitted();
}
