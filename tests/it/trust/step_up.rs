//! A lineage whose risk has risen: what cannot be taken back waits for somebody's approval, for a time.

use std::time::Duration;

use serde_json::{Value, json};
use writ::broker::risk::Waiting;
use writ::domain::constraint::Risk;
use writ::error::{Code, Error};
use writ::ledger::entry::Event;
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;

use super::{by, without};
use crate::cases::SUPPORT;
use crate::check::{ACTIONS, Held, asked, evaluate};
use crate::support::client::Answer;
use crate::support::desk::Desk;

impl Held {
    /// Raised by the operator at the desk; what waits is told this.
    async fn raise(&self, desk: &Desk, risk: &str) -> String {
        let body = json!({"risk": risk, "reason": "a login from elsewhere"});
        let raised = desk.post(&self.at("risk"), &body).await;
        assert_eq!(raised.status, 200, "{raised:?}");
        let challenge = &raised.json["lineage"]["step_up"]["challenge"];
        challenge.as_str().unwrap().to_owned()
    }

    async fn approve(&self, challenge: &str, who: &str, time: Duration) -> Result<Waiting, Error> {
        let until = self.broker.clock.now().plus(time);
        let broker = &self.broker.wired.broker;
        broker
            .approve(challenge.parse().unwrap(), until, &by(who))
            .await
    }

    async fn assert_waits(&self, action: &str, challenge: &str) {
        let answer = self.ask(action, "AC-9").await;
        answer.assert_denied("step_up_required", "risk");
        assert_eq!(answer.json["context"]["challenge"], challenge, "{answer:?}");
    }
}

const TEN: Duration = Duration::from_mins(10);

async fn two_have_to() -> Held {
    let profile = SUPPORT.replace(
        "deadline = \"8h\"",
        "deadline = \"8h\"\napprovals = 2\ntoken_ttl = \"15m\"",
    );
    Held::under(&format!("{profile}{ACTIONS}")).await
}

#[tokio::test]
async fn at_medium_risk_what_changes_something_waits_and_goes_on_while_approved() {
    let held = Held::new().await;
    held.broker.put_secret("crm/key", "value-canary").await;
    let own = [("audience", held.broker.issuer.as_str())];
    let token = held.client.renew(&held.first, &held.key, &own).await;
    let read = || held.client.secret("crm/key", &token, Some(&held.key));
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    let before = held.broker.recorded().await;
    held.ask("read", "AC-9").await.assert_permitted();
    held.assert_waits("refund", &challenge).await;
    let refused = read().await;
    refused.assert_refused(403, "step_up_required");
    assert_eq!(refused.json["challenge"], challenge);
    assert_eq!(held.broker.recorded().await, before);

    held.approve(&challenge, "grace", Duration::from_mins(2))
        .await
        .unwrap();
    held.ask("refund", "AC-9").await.assert_permitted();
    assert_eq!(read().await.status, 200);
    // It ends by itself, and the risk stands.
    held.broker.pass(Duration::from_secs(119)).await;
    held.ask("refund", "AC-9").await.assert_permitted();
    held.broker.pass(Duration::from_secs(1)).await;
    held.assert_waits("refund", &challenge).await;
    held.approve(&challenge, "grace", Duration::from_mins(2))
        .await
        .unwrap();
    held.ask("refund", "AC-9").await.assert_permitted();
}

#[tokio::test]
async fn at_high_risk_everything_waits_and_nothing_ends() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "high").await;
    let before = held.broker.recorded().await;
    for action in ["read", "refund"] {
        held.assert_waits(action, &challenge).await;
    }
    let renewed = held.client.renew(&held.first, &held.key, &[]).await;
    renewed.assert_refused(400, "step_up_required");
    assert_eq!(renewed.json["challenge"], challenge);
    let other = SessionKey::generate().unwrap();
    let anew = held.broker.ask("a-7", "desk/case/4711", Some(&other)).await;
    anew.assert_refused(400, "step_up_required");
    assert_eq!(held.broker.recorded().await, before);
    // What is out is judged by rows, and its lineage stands.
    assert!(held.client.is_active(&held.first).await);
    held.approve(&challenge, "grace", TEN).await.unwrap();
    held.ask("refund", "AC-9").await.assert_permitted();
    held.client
        .renew(&held.first, &held.key, &[])
        .await
        .assert_issued();
}

#[tokio::test]
async fn what_an_approval_would_not_mend_is_told_first() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.raise(&desk, "high").await;
    held.ask("delete", "AC-9")
        .await
        .assert_denied("action_refused", "action");
    held.ask("read", "AC-7")
        .await
        .assert_denied("resource_mismatch", "case.account");
}

#[tokio::test]
async fn two_have_to_approve_where_the_profile_says_so_and_one_alone_counts_once() {
    let held = two_have_to().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    for _ in 0..3 {
        let waiting = held.approve(&challenge, "grace", TEN).await.unwrap();
        assert_eq!((waiting.quorum, waiting.approved_until), (2, None));
    }
    held.assert_waits("refund", &challenge).await;
    let waiting = held
        .approve(&challenge, "linus", Duration::from_mins(5))
        .await
        .unwrap();
    assert!(waiting.approved_until.is_some());
    held.ask("refund", "AC-9").await.assert_permitted();
    // As long as both hold.
    held.broker.pass(Duration::from_mins(5)).await;
    held.assert_waits("refund", &challenge).await;
    // A word that is taken back early: the last of one approver counts.
    held.approve(&challenge, "linus", Duration::from_mins(5))
        .await
        .unwrap();
    held.ask("refund", "AC-9").await.assert_permitted();
    held.approve(&challenge, "linus", Duration::from_secs(1))
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(1)).await;
    held.assert_waits("refund", &challenge).await;
}

#[tokio::test]
async fn whoever_raised_it_opened_the_task_or_is_the_agent_does_not_approve() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    let until = held.broker.clock.now().plus(TEN).to_string();
    let path = format!("/api/v1/challenges/{challenge}/approve");
    let own = desk.post(&path, &json!({"until": until})).await;
    own.assert_refused(403, "separation_required");
    let agent = held
        .approve(&challenge, "oidc:https://id.example#a-7", TEN)
        .await;
    assert_eq!(agent.unwrap_err().code(), Code::SeparationRequired);
    held.assert_waits("refund", &challenge).await;

    held.broker.desk().open("4712", "AC-9", None).unwrap();
    let opening = json!({
        "task": "desk/case/4712", "profile": "support",
        "agent": held.subject["id"], "reason": "on call",
    });
    assert_eq!(desk.post("/api/v1/tasks", &opening).await.status, 200);
    let second = held.broker.ask("a-7", "desk/case/4712", None).await;
    let id = second.text("lineage").parse().unwrap();
    let broker = &held.broker.wired.broker;
    let raised = broker
        .raise_risk(id, Risk::Medium, &by("grace"))
        .await
        .unwrap();
    let path = format!(
        "/api/v1/challenges/{}/approve",
        raised.lineage.challenge().unwrap()
    );
    let opener = desk.post(&path, &json!({"until": until})).await;
    opener.assert_refused(403, "separation_required");
}

#[tokio::test]
async fn an_approval_of_a_challenge_that_is_over_does_nothing() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let medium = held.raise(&desk, "medium").await;
    held.approve(&medium, "grace", TEN).await.unwrap();
    held.ask("refund", "AC-9").await.assert_permitted();
    // The risk rises again: what was approved was approved at the risk of that time.
    let high = held.raise(&desk, "high").await;
    assert_ne!(medium, high);
    held.assert_waits("refund", &high).await;
    let stale = held.approve(&medium, "grace", TEN).await.unwrap_err();
    assert_eq!(stale.code(), Code::Conflict);
    held.assert_waits("refund", &high).await;
    // Nobody lowers it: the same or a lower one changes nothing.
    assert_eq!(held.raise(&desk, "medium").await, high);
    held.assert_waits("read", &high).await;
    for unknown in ["ch-018f2b3c4d5e7f60a1b2c3d4e5f60718-2", "ch-1-1"] {
        let path = format!("/api/v1/challenges/{unknown}/approve");
        let until = held.broker.clock.now().plus(TEN).to_string();
        let refused = desk.post(&path, &json!({"until": until})).await;
        assert!([400, 404].contains(&refused.status.as_u16()), "{refused:?}");
    }
    held.quarantine(&desk).await;
    let late = held.approve(&high, "grace", TEN).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    held.ask("read", "AC-9")
        .await
        .assert_denied("quarantined", "");
}

#[tokio::test]
async fn an_approval_holds_for_a_time_that_the_profile_allows_and_not_beyond() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    for bad in [Duration::ZERO, Duration::from_hours(2)] {
        let refused = held.approve(&challenge, "grace", bad).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.field()),
            (Code::RequestMalformed, Some("until"))
        );
    }
    held.assert_waits("refund", &challenge).await;
    held.approve(&challenge, "grace", Duration::from_hours(1))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_revocation_ends_what_was_approved_and_an_approval_revives_nothing() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    held.approve(&challenge, "grace", TEN).await.unwrap();
    held.revoke().await;
    held.ask("refund", "AC-9")
        .await
        .assert_denied("task_revoked", "");
    let late = held.approve(&challenge, "grace", TEN).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    held.assert_dead().await;
}

#[tokio::test]
async fn approvals_that_race_a_revocation_leave_nothing_alive() {
    let held = two_have_to().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "medium").await;
    let names: Vec<_> = (0..16).map(|n| format!("approver-{n}")).collect();
    let approvals = names.iter().map(|name| held.approve(&challenge, name, TEN));
    let (given, ()) = tokio::join!(futures_util::future::join_all(approvals), held.revoke());
    for refused in given.into_iter().filter_map(Result::err) {
        assert!(
            [Code::Conflict, Code::Overloaded].contains(&refused.code()),
            "{refused}"
        );
    }
    held.ask("refund", "AC-9")
        .await
        .assert_denied("task_revoked", "");
    held.assert_dead().await;
}

#[tokio::test]
async fn a_lineage_at_risk_may_also_go_on_with_less_for_good() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.raise(&desk, "high").await;
    held.release(&without(&["refund"])).await.unwrap();
    held.broker.pass(Duration::from_secs(1)).await;
    let renewed = held.client.renew(&held.first, &held.key, &[]).await;
    renewed.assert_issued();
    let subject = held.showing(&renewed);
    evaluate(&held.client, &asked(&subject, "read", "AC-9"))
        .await
        .assert_permitted();
    evaluate(&held.client, &asked(&subject, "refund", "AC-9"))
        .await
        .assert_denied("action_refused", "action");
}

fn waits(page: &Answer) -> Vec<Value> {
    page.json["waiting"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_waits_is_listed_until_it_is_over_and_each_word_is_in_the_log() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    assert!(waits(&desk.get("/api/v1/challenges").await).is_empty());
    let lineage = held.lineage().to_string();
    let said = desk
        .run(
            &[
                "risk",
                "raise",
                &lineage,
                "--to",
                "high",
                "--reason",
                "odd hours",
            ],
            "",
        )
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let listed = waits(&desk.get("/api/v1/challenges?limit=1").await);
    let challenge = listed[0]["lineage"]["step_up"]["challenge"]
        .as_str()
        .unwrap();
    assert!(said.out.contains(challenge), "{said:?}");
    let said = desk.run(&["risk", "list"], "").await;
    assert!(
        said.out.contains("odd hours") && said.out.contains("desk/case/4711"),
        "{said:?}"
    );
    let said = desk.run(&["approve", challenge, "--for", "10m"], "").await;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("separation_required"), "{said:?}");
    held.approve(challenge, "grace", TEN).await.unwrap();
    let said = desk.run(&["risk", "list"], "").await;
    assert!(said.out.contains("approved until"), "{said:?}");
    held.revoke().await;
    assert!(waits(&desk.get("/api/v1/challenges").await).is_empty());
    let log = held.broker.log().await;
    let words = log.iter().filter_map(|leaf| match &leaf.event {
        Event::RiskRaised { by, .. } | Event::Approved { by, .. } => Some(by.as_str()),
        _ => None,
    });
    let words: Vec<_> = words.collect();
    assert!(
        words[0].starts_with("uid:") && words[1] == "grace",
        "{words:?}"
    );
}

#[tokio::test]
async fn a_gateway_is_told_the_challenge_in_a_header() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let challenge = held.raise(&desk, "high").await;
    let answer = held.held("GET", "/accounts/AC-9/x").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.headers["writ-code"], "step_up_required");
    assert_eq!(answer.headers["writ-challenge"], challenge.as_str());
}
