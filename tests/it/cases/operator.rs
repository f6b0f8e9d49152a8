//! An operator's word opens a task for one agent, whom the case need not name.

use std::time::Duration;

use serde_json::{Value, json};
use writ_practice::client::SessionKey;

use super::{AGENTS, DESK, SUPPORT, broker};
use crate::support::broker::Broker;
use crate::support::desk::Desk;

fn order(agent: &str) -> Value {
    json!({
        "task": "desk/case/4711",
        "profile": "support",
        "agent": format!("spiffe://test.example/agents/{agent}"),
        "reason": "night shift",
    })
}

#[tokio::test]
async fn the_agent_that_an_operator_names_works_on_the_case_and_no_other() {
    let broker = broker().await;
    broker
        .desk()
        .open("4711", "AC-9", Some("a-person"))
        .unwrap();
    let admin = Desk::open(&broker);
    let said = admin
        .run(
            &[
                "task",
                "open",
                "desk/case/4711",
                "--profile",
                "support",
                "--agent",
                "spiffe://test.example/agents/a-7",
                "--reason",
                "night shift",
            ],
            "",
        )
        .await;
    assert!(
        said.out
            .contains("opened for spiffe://test.example/agents/a-7"),
        "{said:?}"
    );
    let (key, client) = (SessionKey::generate().unwrap(), broker.client());
    let stranger = broker.ask("a-8", "desk/case/4711", None).await;
    stranger.assert_refused(400, "context_mismatch");
    assert_eq!(stranger.field(), "case.assignee");
    let token = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
    token.assert_issued();
    broker.pass(Duration::from_secs(61)).await;
    client.renew(&token, &key, &[]).await.assert_issued();

    let task = token.text("task");
    let shown = admin.get(&format!("/api/v1/tasks/{task}")).await;
    assert_eq!(
        shown.json["task"]["agent"],
        "spiffe://test.example/agents/a-7"
    );
    let events = shown.json["entries"].as_array().unwrap();
    let opened = events.iter().find(|e| e["event"] == "task_opened").unwrap();
    assert_eq!(opened["reason"], "night shift");

    // The case counts all the same.
    broker.desk().set_state("4711", "solved").await.unwrap();
    broker.pass(Duration::from_secs(61)).await;
    client
        .renew(&token, &key, &[])
        .await
        .assert_refused(400, "context_ended");
    assert!(!client.is_active(&token).await);
}

#[tokio::test]
async fn a_task_opens_once_and_only_as_its_profile_says() {
    let broker = broker().await;
    let admin = Desk::open(&broker);
    for (member, value, status, code) in [
        ("task", "desk/case/../1", 400, "request_malformed"),
        ("task", "desk/pipeline/1", 400, "request_malformed"),
        ("task", "github/812345/99001/1", 400, "request_malformed"),
        ("profile", "absent", 404, "not_found"),
        ("agent", "a-7", 400, "request_malformed"),
        ("reason", "a\nb", 400, "request_malformed"),
        ("more", "x", 400, "request_malformed"),
    ] {
        let mut body = order("a-7");
        body[member] = value.into();
        let refused = admin.post("/api/v1/tasks", &body).await;
        refused.assert_refused(status, code);
    }
    assert_eq!(broker.recorded().await.tasks, 0);
    let opened = admin.post("/api/v1/tasks", &order("a-7")).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    admin
        .post("/api/v1/tasks", &order("a-8"))
        .await
        .assert_refused(409, "conflict");
    let barred = json!({ "reason": "no" });
    let path = "/api/v1/tasks/desk%2Fcase%2F9/revoke";
    assert_eq!(admin.post(path, &barred).await.status, 200);
    let mut body = order("a-7");
    body["task"] = "desk/case/9".into();
    let refused = admin.post("/api/v1/tasks", &body).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    assert_eq!(refused.code(), "barred");
    assert_eq!(broker.recorded().await.tasks, 1);
}

#[tokio::test]
async fn what_is_filled_from_evidence_is_not_opened_without_it() {
    let filled = SUPPORT.replace("\"crm/*\"", "\"crm/{agent_id}/*\"");
    let broker = Broker::with(&format!("{AGENTS}{DESK}{filled}")).await;
    let refused = Desk::open(&broker)
        .post("/api/v1/tasks", &order("a-7"))
        .await;
    refused.assert_refused(400, "request_malformed");
    assert_eq!(broker.recorded().await.tasks, 0);
}
