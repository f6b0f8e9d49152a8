//! An agent that was told something by what it read: it is stopped at once, and comes back with less.

use std::time::Duration;

use http::Method;
use reqwest::StatusCode;
use serde_json::json;
use writ::broker::revoke::Ending;
use writ::domain::constraint::Narrowing;
use writ::domain::context::{RecordKey, RecordKind};
use writ::error::Code;
use writ::ledger::entry::Event;
use writ_practice::client::SessionKey;
use writ_practice::{Fault, Mode, Target};

use super::{by, without};
use crate::cases::{AGENTS, DESK, SUPPORT};
use crate::check::{ACTIONS, Held, asked, evaluate};
use crate::support::desk::{Desk, JSON};
use crate::support::process::until;

impl Held {
    /// Nothing is given for anything that the agent can show, and nothing it was given counts.
    async fn assert_stopped(&self) {
        let before = self.broker.recorded().await;
        for action in ["read", "refund"] {
            self.ask(action, "AC-9")
                .await
                .assert_denied("quarantined", "");
        }
        let renewed = self.client.renew(&self.first, &self.key, &[]).await;
        renewed.assert_refused(400, "quarantined");
        let other = SessionKey::generate().unwrap();
        for key in [Some(&self.key), Some(&other), None] {
            let anew = self.broker.ask("a-7", "desk/case/4711", key).await;
            anew.assert_refused(400, "quarantined");
        }
        assert!(!self.client.is_active(&self.first).await);
        assert_eq!(self.broker.recorded().await, before);
    }

    /// What it gets by its handle, a moment later.
    async fn renewed(&self) -> crate::support::client::Answer {
        self.broker.pass(Duration::from_secs(1)).await;
        let renewed = self.client.renew(&self.first, &self.key, &[]).await;
        renewed.assert_issued();
        renewed
    }
}

#[tokio::test]
async fn a_quarantine_stops_the_very_next_action_and_whatever_is_shown_for_another_token() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.ask("refund", "AC-9").await.assert_permitted();
    let stopped = held.quarantine(&desk).await;
    assert_eq!(
        (stopped.status.as_u16(), &stopped.json["already"]),
        (200, &json!(false))
    );
    held.assert_stopped().await;
    // It does not end: nobody's evidence, and no time, lets it go on either.
    held.broker.pass(Duration::from_mins(2)).await;
    held.assert_stopped().await;
    let again = held.quarantine(&desk).await;
    assert_eq!(
        (again.status.as_u16(), &again.json["already"]),
        (200, &json!(true))
    );
    let log = held.broker.log().await;
    let times = log
        .iter()
        .filter(|leaf| matches!(leaf.event, Event::Quarantined { .. }));
    assert_eq!(times.count(), 1);
}

#[tokio::test]
async fn what_is_let_go_on_has_less_and_cannot_widen_it() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    let released = held.release(&without(&["refund"])).await.unwrap();
    assert!(released.is_live());
    // The token of before is dead, though it has time left.
    held.ask("read", "AC-9")
        .await
        .assert_denied("credential_revoked", "");
    assert!(!held.client.is_active(&held.first).await);
    let renewed = held.renewed().await;
    let anew = held
        .broker
        .ask("a-7", "desk/case/4711", Some(&held.key))
        .await;
    let other = SessionKey::generate().unwrap();
    let second = held.broker.ask("a-7", "desk/case/4711", Some(&other)).await;
    second.assert_issued();
    for token in [&renewed, &anew] {
        let subject = held.showing(token);
        evaluate(&held.client, &asked(&subject, "read", "AC-9"))
            .await
            .assert_permitted();
        evaluate(&held.client, &asked(&subject, "refund", "AC-9"))
            .await
            .assert_denied("action_refused", "action");
        assert!(held.client.is_active(token).await);
    }
    let mut subject = held.showing(&second);
    subject["properties"]["key"] = json!(other.thumbprint());
    evaluate(&held.client, &asked(&subject, "refund", "AC-9"))
        .await
        .assert_denied("action_refused", "action");
    // What was dead stays dead.
    assert!(!held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn a_scope_that_was_taken_away_is_asked_for_in_vain_by_every_way() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    let less = Narrowing {
        scopes: ["case:reply".parse().unwrap()].into(),
        ..Narrowing::default()
    };
    held.release(&less).await.unwrap();
    held.broker.pass(Duration::from_secs(1)).await;
    let before = held.broker.recorded().await;
    let wide = [("scope", "case:read case:reply")];
    // A renewal that names nothing asks for what the session had, and is not cut down to what is left.
    for asked in [&wide[..], &[]] {
        let refused = held.client.renew(&held.first, &held.key, asked).await;
        refused.assert_refused(400, "scope_refused");
    }
    let details = crate::cases::details("desk/case/4711");
    let mut more = vec![
        ("authorization_details", details.as_str()),
        ("audience", "https://billing.example"),
        wide[0],
    ];
    let token = held
        .broker
        .agents()
        .token("a-7", &held.broker.issuer)
        .unwrap();
    let refused = held
        .client
        .exchange_token(&token, Some(&held.key), &more)
        .await;
    refused.assert_refused(400, "scope_refused");
    assert_eq!(held.broker.recorded().await, before);
    more[2] = ("scope", "case:read");
    let token = held
        .broker
        .agents()
        .token("a-7", &held.broker.issuer)
        .unwrap();
    held.client
        .exchange_token(&token, Some(&held.key), &more)
        .await
        .assert_issued();
    let narrow = [("scope", "case:read")];
    held.client
        .renew(&held.first, &held.key, &narrow)
        .await
        .assert_issued();
}

#[tokio::test]
async fn a_secret_is_not_read_in_quarantine_nor_with_a_token_of_before() {
    let held = Held::new().await;
    held.broker.put_secret("crm/key", "value-canary").await;
    let own = [("audience", held.broker.issuer.as_str())];
    let token = held.client.renew(&held.first, &held.key, &own).await;
    token.assert_issued();
    let read = || held.client.secret("crm/key", &token, Some(&held.key));
    assert_eq!(read().await.status, StatusCode::OK);
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    let before = held.broker.recorded().await;
    read().await.assert_refused(403, "quarantined");
    held.release(&without(&["refund"])).await.unwrap();
    held.broker.pass(Duration::from_secs(1)).await;
    read().await.assert_refused(403, "credential_revoked");
    assert_eq!(held.broker.recorded().await, before);
    let token = held.client.renew(&held.first, &held.key, &own).await;
    token.assert_issued();
    let read = held.client.secret("crm/key", &token, Some(&held.key)).await;
    assert_eq!(read.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_stopped_it_or_opened_its_task_does_not_let_it_go_on() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    let less = json!({"without_writes": true});
    let own = desk.post(&held.at("release"), &less).await;
    own.assert_refused(403, "separation_required");
    held.assert_stopped().await;
    // Another lineage, whose task the same operator opened and which somebody else stopped.
    let broker = &held.broker.wired.broker;
    let opening = json!({
        "task": "desk/case/4712", "profile": "support",
        "agent": held.subject["id"], "reason": "on call",
    });
    held.broker.desk().open("4712", "AC-9", None).unwrap();
    assert_eq!(desk.post("/api/v1/tasks", &opening).await.status, 200);
    let second = held.broker.ask("a-7", "desk/case/4712", None).await;
    second.assert_issued();
    let lineage = second.text("lineage");
    let id = lineage.parse().unwrap();
    broker.quarantine(id, &by("grace")).await.unwrap();
    let path = format!("/api/v1/lineages/{lineage}/release");
    desk.post(&path, &less)
        .await
        .assert_refused(403, "separation_required");
    broker
        .release(id, &without(&["refund"]), &by("linus"))
        .await
        .unwrap();
}

#[tokio::test]
async fn it_is_let_go_on_only_with_less_only_from_quarantine_and_only_while_its_task_goes_on() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let refused = held.release(&without(&["refund"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    held.quarantine(&desk).await;
    let nothing = held.release(&Narrowing::default()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::Conflict);
    let misspelt = held.release(&without(&["refnud"])).await.unwrap_err();
    assert_eq!(
        (misspelt.code(), misspelt.field()),
        (Code::NotFound, Some("without"))
    );
    held.assert_stopped().await;
    held.release(&without(&["refund"])).await.unwrap();
    // What is gone cannot be taken away a second time.
    held.quarantine(&desk).await;
    let gone = held.release(&without(&["refund"])).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    held.revoke().await;
    let late = held.release(&without(&["read"])).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    held.quarantine(&desk).await.assert_refused(409, "conflict");
    held.assert_dead().await;
}

#[tokio::test]
async fn a_case_that_closes_ends_a_lineage_in_quarantine() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    held.broker
        .desk()
        .set_state("4711", "solved")
        .await
        .unwrap();
    let record = RecordKey {
        source: "desk".parse().unwrap(),
        kind: RecordKind::Case,
        id: "4711".to_owned(),
    };
    let broker = &held.broker.wired.broker;
    broker.hint(vec![record], &held.broker.wired.rereads);
    held.broker.reread_all().await;
    let late = held.release(&without(&["refund"])).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    held.ask("read", "AC-9")
        .await
        .assert_denied("context_ended", "case.status");
}

#[tokio::test]
async fn a_quarantine_stops_the_action_that_waits_for_a_slow_desk() {
    for recorded in ["before-answer", "after-answer"] {
        let deadline = format!("deadline = \"8h\"\nreads_recorded = \"{recorded}\"");
        let profile = SUPPORT.replace("deadline = \"8h\"", &deadline);
        let held = Held::under(&format!("{profile}{ACTIONS}")).await;
        let desk = Desk::open(&held.broker);
        held.ask("read", "AC-9").await.assert_permitted();
        held.broker.pass(Duration::from_secs(61)).await;
        let faults = held.broker.desk().faults();
        let slow = Fault {
            target: Target::Cases,
            mode: Mode::Slow,
            delay_ms: 300,
        };
        faults.set(slow).unwrap();
        let asked = faults.requests().of(Target::Cases);
        let stop = async {
            until(async || faults.requests().of(Target::Cases) > asked).await;
            held.quarantine(&desk).await;
        };
        let (answer, ()) = tokio::join!(held.ask("read", "AC-9"), stop);
        answer.assert_denied("quarantined", "");
    }
}

#[tokio::test]
async fn a_release_and_a_revocation_that_meet_leave_it_revoked() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    held.quarantine(&desk).await;
    let task = held.first.text("task").parse().unwrap();
    let which = writ::broker::revoke::TaskRef::Id(task);
    let broker = &held.broker.wired.broker;
    let order = by("ada");
    let less = without(&["refund"]);
    let (_released, revoked) = tokio::join!(
        held.release(&less),
        broker.end_task(&which, Ending::Revoke, &order),
    );
    revoked.unwrap();
    held.assert_dead().await;
    held.ask("read", "AC-9")
        .await
        .assert_denied("task_revoked", "");
}

#[tokio::test]
async fn the_command_line_stops_and_shows_it() {
    let held = Held::new().await;
    let desk = Desk::open(&held.broker);
    let lineage = held.lineage().to_string();
    let said = desk
        .run(
            &["quarantine", &lineage, "--reason", "told by its ticket"],
            "",
        )
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("is in quarantine"), "{said:?}");
    held.assert_stopped().await;
    let said = desk
        .run(&["task", "show", held.first.text("task")], "")
        .await;
    assert!(said.out.contains("told by its ticket"), "{said:?}");
    // The same operator does not let it go on.
    let said = desk
        .run(&["release", &lineage, "--without-writes"], "")
        .await;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("separation_required"), "{said:?}");
    held.release(&without(&["refund"])).await.unwrap();
    let said = desk
        .run(&["task", "show", held.first.text("task")], "")
        .await;
    assert!(said.out.contains("with less than the task has"), "{said:?}");
}

#[tokio::test]
async fn a_bearer_agent_is_stopped_too_and_other_cases_go_on() {
    let broker =
        crate::support::broker::Broker::with(&format!("{AGENTS}{DESK}{SUPPORT}{ACTIONS}")).await;
    for case in ["4711", "4712"] {
        broker.desk().open(case, "AC-9", Some("a-7")).unwrap();
    }
    let first = broker.ask("a-7", "desk/case/4711", None).await;
    let other = broker.ask("a-7", "desk/case/4712", None).await;
    let id = first.text("lineage").parse().unwrap();
    broker
        .wired
        .broker
        .quarantine(id, &by("ada"))
        .await
        .unwrap();
    let client = broker.client();
    assert!(!client.is_active(&first).await);
    assert!(client.is_active(&other).await);
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_given_again_under_its_key() {
    let held = Held::new().await;
    let broker = &held.broker.wired.broker;
    broker
        .quarantine(held.lineage(), &by("grace"))
        .await
        .unwrap();
    let (desk, path) = (Desk::open(&held.broker), held.at("release"));
    let less = json!({"without_writes": true}).to_string();
    let key = [JSON, ("idempotency-key", "k-1")];
    let release = || desk.ask(Method::POST, &path, less.clone().into(), &key);
    let first = release().await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(release().await.json, first.json);
    let log = held.broker.log().await;
    let times = log
        .iter()
        .filter(|leaf| matches!(leaf.event, Event::Released { .. }));
    assert_eq!(times.count(), 1);
}
