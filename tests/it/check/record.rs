//! A support agent and a billing record: allowed while the case is open, the agent's, and of that account.

use std::time::Duration;

use reqwest::StatusCode;
use writ::broker::check::{CheckRequest, Holder};
use writ::domain::action::{Act, Resource};
use writ::error::Code;
use writ_practice::{Fault, Mode, Target};

use super::{ACTIONS, Held, asked, evaluate};
use crate::cases::SUPPORT;
use crate::gitlab::outage::fault;
use crate::support::process::until;

#[tokio::test]
async fn a_record_of_the_cases_account_is_opened_while_the_case_is_open() {
    let held = Held::new().await;
    for state in ["open", "waiting"] {
        held.broker.desk().set_state("4711", state).await.unwrap();
        held.broker.pass(Duration::from_secs(61)).await;
        held.ask("read", "AC-9").await.assert_permitted();
        held.ask("refund", "AC-9").await.assert_permitted();
    }
}

#[tokio::test]
async fn within_the_age_of_its_facts_a_check_asks_nobody() {
    let held = Held::new().await;
    let before = held.broker.desk().faults().requests().of(Target::Cases);
    for _ in 0..20 {
        held.ask("read", "AC-9").await.assert_permitted();
    }
    assert_eq!(
        held.broker.desk().faults().requests().of(Target::Cases),
        before
    );
    held.broker.pass(Duration::from_secs(61)).await;
    held.ask("read", "AC-9").await.assert_permitted();
    assert_eq!(
        held.broker.desk().faults().requests().of(Target::Cases),
        before + 1
    );
}

#[tokio::test]
async fn when_the_case_closes_the_next_action_is_denied_and_all_is_dead() {
    let held = Held::new().await;
    held.ask("read", "AC-9").await.assert_permitted();
    held.broker
        .desk()
        .set_state("4711", "solved")
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.ask("read", "AC-9")
        .await
        .assert_denied("context_ended", "case.status");
    held.assert_dead().await;
}

#[tokio::test]
async fn when_the_case_is_given_to_another_the_next_action_is_denied_and_all_is_dead() {
    let held = Held::new().await;
    held.broker
        .desk()
        .assign("4711", Some("a-8"))
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.ask("read", "AC-9")
        .await
        .assert_denied("context_mismatch", "case.assignee");
    held.assert_dead().await;
}

#[tokio::test]
async fn an_agent_that_asks_for_another_account_is_denied_and_all_is_dead() {
    let held = Held::new().await;
    held.ask("read", "AC-7")
        .await
        .assert_denied("resource_mismatch", "case.account");
    held.ask("read", "AC-9")
        .await
        .assert_denied("lineage_ended", "case.account");
    held.assert_dead().await;
}

#[tokio::test]
async fn what_no_grant_has_is_denied_and_ends_nothing() {
    let held = Held::new().await;
    let subject = &held.subject;
    held.ask("delete", "AC-9")
        .await
        .assert_denied("action_refused", "action");
    let mut other = asked(subject, "read", "AC-9");
    other["resource"]["type"] = "user".into();
    evaluate(&held.client, &other)
        .await
        .assert_denied("resource_refused", "resource");
    // What the service does not say of a record is not taken to be right.
    let mut silent = asked(subject, "read", "AC-9");
    silent["resource"]["properties"] = serde_json::json!({});
    evaluate(&held.client, &silent)
        .await
        .assert_denied("resource_refused", "resource");
    held.ask("read", "AC-9").await.assert_permitted();
    assert!(held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn a_desk_that_cannot_be_asked_is_no_decision_and_ends_nothing() {
    let held = Held::new().await;
    fault(
        held.broker.desk().faults(),
        Target::Cases,
        Mode::Unavailable,
    );
    held.broker.pass(Duration::from_secs(61)).await;
    let answer = held.ask("read", "AC-9").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "context_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    held.broker.desk().faults().clear();
    held.broker.pass(Duration::from_secs(11)).await;
    // Only one call tries whether the desk is back.
    drop(held.ask("read", "AC-9").await);
    held.ask("read", "AC-9").await.assert_permitted();
}

#[tokio::test]
async fn a_revocation_stops_the_very_next_action() {
    let held = Held::new().await;
    held.ask("read", "AC-9").await.assert_permitted();
    held.revoke().await;
    held.ask("read", "AC-9")
        .await
        .assert_denied("task_revoked", "");
    held.assert_dead().await;
}

#[tokio::test]
async fn a_revocation_stops_the_action_that_waits_for_a_slow_desk() {
    for recorded in ["before-answer", "after-answer"] {
        let deadline = format!("deadline = \"8h\"\nreads_recorded = \"{recorded}\"");
        let profile = SUPPORT.replace("deadline = \"8h\"", &deadline);
        let held = Held::under(&format!("{profile}{ACTIONS}")).await;
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
        let revoke = async {
            until(async || faults.requests().of(Target::Cases) > asked).await;
            held.revoke().await;
        };
        let (answer, ()) = tokio::join!(held.ask("read", "AC-9"), revoke);
        answer.assert_denied("task_revoked", "");
        held.assert_dead().await;
    }
}

#[tokio::test]
async fn a_token_is_asked_about_by_its_holders_service_and_with_its_key() {
    let held = Held::new().await;
    let told = held.client.introspect(held.token()).await;
    let subject = |id: &str, properties: serde_json::Value| {
        let subject = serde_json::json!({"type": "workload", "id": id, "properties": properties});
        asked(&subject, "read", "AC-9")
    };
    let (sub, token) = (told.text("sub"), held.token());
    let other = writ_practice::client::SessionKey::generate().unwrap();
    let wrong = [
        (
            subject(sub, serde_json::json!({"access_token": token})),
            "proof_required",
        ),
        (
            subject(
                sub,
                serde_json::json!({"access_token": token, "key": other.thumbprint()}),
            ),
            "proof_invalid",
        ),
        (
            subject(
                sub,
                serde_json::json!({"access_token": "eyJhbGciOiJub25lIn0.e30."}),
            ),
            "token_invalid",
        ),
        (subject(sub, serde_json::json!({})), "token_invalid"),
        (
            subject(
                "spiffe://x/y",
                serde_json::json!({"access_token": token, "key": held.key.thumbprint()}),
            ),
            "token_invalid",
        ),
    ];
    for (body, code) in wrong {
        evaluate(&held.client, &body).await.assert_denied(code, "");
    }
    // Another service's enforcement point, whatever it was shown.
    let request = CheckRequest {
        subject: None,
        token: token.to_owned().into(),
        holder: Holder::Vouched(held.key.thumbprint().parse().unwrap()),
        act: Act {
            action: "read".parse().unwrap(),
            resource: Resource {
                kind: "record".parse().unwrap(),
                id: "INV-7".parse().unwrap(),
                properties: [("account".to_owned(), "AC-9".to_owned())].into(),
            },
        },
        audiences: ["https://deploy.example".parse().unwrap()].into(),
    };
    let refused = held.broker.wired.broker.check(&request).await.unwrap_err();
    assert_eq!(refused.code(), Code::TokenInvalid);
    held.ask("read", "AC-9").await.assert_permitted();
}

#[tokio::test]
async fn a_grant_whose_services_are_others_has_nothing_for_this_one() {
    let elsewhere = ACTIONS.replacen(
        "reads",
        "[profile.grant.other]\naudiences = [\"https://deploy.example\"]\nreads",
        1,
    );
    let elsewhere = elsewhere.replace("grant.case.resource", "grant.other.resource");
    let held = Held::under(&format!("{SUPPORT}{elsewhere}")).await;
    held.ask("read", "AC-9")
        .await
        .assert_denied("action_refused", "action");
}

#[tokio::test]
async fn an_expired_token_permits_nothing() {
    let held = Held::new().await;
    let subject = &held.subject;
    held.broker.pass(Duration::from_secs(301)).await;
    let answer = evaluate(&held.client, &asked(subject, "read", "AC-9")).await;
    answer.assert_denied("token_invalid", "");
}
