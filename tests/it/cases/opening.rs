//! Who may open the task of a case.

use serde_json::json;
use writ_practice::client::SessionKey;

use super::{Held, broker, details};
use crate::support::client::Answer;

#[tokio::test]
async fn the_agent_that_a_case_names_gets_a_token_for_that_case_and_account() {
    let held = Held::new().await;
    let expected = json!([{ "type": "writ_task", "task": "desk/case/4711", "account": "AC-9" }]);
    assert_eq!(held.first.text("task_name"), "desk/case/4711");
    assert_eq!(held.first.json["authorization_details"], expected);
    let seen = held
        .client
        .introspect(held.first.text("access_token"))
        .await;
    assert_eq!(seen.json["authorization_details"], expected);
    assert_eq!(seen.text("sub"), "spiffe://test.example/agents/a-7");
    assert_eq!(seen.text("scope"), "case:read case:reply");

    held.broker.put_secret("crm/key", "hunter2").await;
    let own = [("audience", held.broker.issuer.as_str())];
    let token = held.client.renew(&held.first, &held.key, &own).await;
    token.assert_issued();
    let secret = held.client.secret("crm/key", &token, Some(&held.key)).await;
    assert_eq!(secret.text("value"), "hunter2");
}

#[tokio::test]
async fn an_agent_that_the_case_does_not_name_opens_nothing() {
    let broker = broker().await;
    let desk = broker.desk();
    desk.open("1", "AC-9", Some("a-8")).unwrap();
    desk.open("2", "AC-9", None).unwrap();
    desk.open("3", "AC-9", Some("A-7")).unwrap();
    desk.open("4", "AC-9", Some("a-70")).unwrap();
    for case in ["1", "2", "3", "4"] {
        let refused = broker.ask("a-7", &format!("desk/case/{case}"), None).await;
        refused.assert_refused(400, "context_mismatch");
        assert_eq!(refused.field(), "case.assignee");
        // The caller is not told whose it is.
        assert!(!refused.json.to_string().contains("a-8"), "{refused:?}");
    }
    let recorded = broker.recorded().await;
    assert_eq!((recorded.tasks, recorded.credentials), (0, 0));
}

#[tokio::test]
async fn a_case_that_is_closed_or_unknown_opens_nothing() {
    let broker = broker().await;
    let desk = broker.desk();
    for (id, state) in [("1", "solved"), ("2", "merged")] {
        desk.open(id, "AC-9", Some("a-7")).unwrap();
        desk.set_state(id, state).await.unwrap();
        let refused = broker.ask("a-7", &format!("desk/case/{id}"), None).await;
        refused.assert_refused(400, "context_ended");
        assert_eq!(refused.field(), "case.status");
    }
    let refused = broker.ask("a-7", "desk/case/404", None).await;
    refused.assert_refused(400, "context_unknown");
    assert_eq!(refused.field(), "case");
    assert_eq!(broker.recorded().await.tasks, 0);
}

#[tokio::test]
async fn two_agents_of_one_case_are_two_lineages_and_neither_is_let_in_by_the_other() {
    let held = Held::new().await;
    let other = held.broker.ask("a-8", "desk/case/4711", None).await;
    other.assert_refused(400, "context_mismatch");
    assert!(held.is_active().await, "a stranger ends nothing");
    held.renew().await.assert_issued();

    held.broker
        .desk()
        .assign("4711", Some("a-8"))
        .await
        .unwrap();
    held.broker.pass(std::time::Duration::from_secs(61)).await;
    let key = SessionKey::generate().unwrap();
    let other = held.broker.ask("a-8", "desk/case/4711", Some(&key)).await;
    other.assert_issued();
    assert_eq!(other.text("task"), held.first.text("task"));
    held.assert_never_again("context_mismatch", "case.assignee")
        .await;
    assert!(held.client.is_active(&other).await);
}

#[tokio::test]
async fn an_agent_that_no_profile_takes_and_a_request_that_names_nothing_are_refused() {
    let broker = broker().await;
    broker.desk().open("4711", "AC-9", Some("a-9")).unwrap();
    let stranger = broker.ask("a-9", "desk/case/4711", None).await;
    stranger.assert_refused(400, "profile_unmatched");
    let token = || broker.agents().token("a-7", &broker.issuer).unwrap();
    let client = broker.client();
    let field = |answer: &Answer| answer.field().to_owned();
    let unnamed = client.exchange_token(&token(), None, &[]).await;
    unnamed.assert_refused(400, "profile_unmatched");
    assert_eq!(field(&unnamed), "authorization_details");
    for elsewhere in [
        "desk2/case/4711",
        "desk/pipeline/4711",
        "github/812345/99001/1",
    ] {
        let named = details(elsewhere);
        let more = [("authorization_details", named.as_str())];
        let refused = client.exchange_token(&token(), None, &more).await;
        refused.assert_refused(400, "profile_unmatched");
        assert_eq!(field(&refused), "authorization_details");
    }
    let recorded = broker.recorded().await;
    assert_eq!((recorded.tasks, recorded.credentials), (0, 0));
}
