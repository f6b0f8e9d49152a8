//! Whatever an agent writes into a request, it reaches one case, its own, or none.

use std::time::Duration;

use super::{AGENTS, DESK, Held, SUPPORT, broker, details};
use crate::support::broker::Broker;
use crate::support::client::EXCHANGE;
use crate::support::client::ID_TOKEN;

#[tokio::test]
async fn a_case_is_named_by_one_plain_segment_or_the_desk_is_not_asked() {
    let broker = broker().await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    let client = broker.client();
    for task in [
        "desk/case/../4711",
        "desk/case/%2e%2e",
        "desk/case/4711%2F..%2F1",
        "desk/case/4711?x=1",
        "desk/case/4711#",
        "desk/case/47 11",
        "desk/case/",
        "desk/case/.",
        "desk//case/4711",
        "DESK/case/4711",
        "desk/case/4711\\u0000",
        "desk/case/4711\u{200b}",
    ] {
        let named = details(task);
        let more = [("authorization_details", named.as_str())];
        let token = broker.agents().token("a-7", &broker.issuer).unwrap();
        let refused = client.exchange_token(&token, None, &more).await;
        refused.assert_refused(400, "authorization_details_invalid");
        assert_eq!(
            refused.text("error"),
            "invalid_authorization_details",
            "{task}"
        );
    }
    for task in ["desk/Case/4711", "desk/case/4711/4711"] {
        let refused = broker.ask("a-7", task, None).await;
        refused.assert_refused(400, "profile_unmatched");
    }
    assert!(broker.desk().faults().requests().paths.is_empty());
    assert_eq!(broker.recorded().await.tasks, 0);
}

#[tokio::test]
async fn a_desk_that_folds_case_or_follows_merges_does_not_open_a_second_task_for_one_case() {
    let broker = broker().await;
    let desk = broker.desk();
    desk.open("HD-7", "AC-9", Some("a-7")).unwrap();
    for other in ["hd-7", "Hd-7", "HD-07", "6"] {
        desk.show_as(other, "HD-7");
        let refused = broker.ask("a-7", &format!("desk/case/{other}"), None).await;
        refused.assert_refused(400, "context_unknown");
    }
    assert_eq!(broker.recorded().await.tasks, 0);
    broker
        .ask("a-7", "desk/case/HD-7", None)
        .await
        .assert_issued();
}

#[tokio::test]
async fn a_case_whose_id_is_given_to_another_is_unknown_and_ends_nothing() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    desk.open("1", "AC-1", Some("a-7")).unwrap();
    desk.show_as("4711", "1");
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew().await.assert_refused(400, "context_unknown");
    assert!(held.is_active().await);
}

#[tokio::test]
async fn a_desk_is_not_asked_about_ids_that_are_not_its_own() {
    let own = DESK.replace("id = \"/id\"", "id = \"/id\"\nid_prefixes = [\"HD-\"]");
    let broker = Broker::with(&format!("{AGENTS}{own}{SUPPORT}")).await;
    for case in ["HD-7", "4711", "hd-7"] {
        broker.desk().open(case, "AC-9", Some("a-7")).unwrap();
    }
    for other in ["4711", "hd-7", "HD"] {
        let refused = broker.ask("a-7", &format!("desk/case/{other}"), None).await;
        refused.assert_refused(400, "context_unknown");
    }
    assert!(broker.desk().faults().requests().paths.is_empty());
    broker
        .ask("a-7", "desk/case/HD-7", None)
        .await
        .assert_issued();
}

#[tokio::test]
async fn details_that_are_not_understood_are_refused_whole() {
    let broker = broker().await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    let client = broker.client();
    let good = details("desk/case/4711");
    let two = format!("[{0},{0}]", good.trim_matches(['[', ']']));
    let huge = details(&format!("desk/case/{}", "1".repeat(20_000)));
    let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    for bad in [
        two.as_str(),
        huge.as_str(),
        deep.as_str(),
        "[]",
        "{",
        r#"[{"type":"payment_initiation","task":"desk/case/4711"}]"#,
        r#"[{"type":"writ_task","task":"desk/case/4711","actions":["close"]}]"#,
    ] {
        let token = broker.agents().token("a-7", &broker.issuer).unwrap();
        let more = [("authorization_details", bad)];
        let refused = client.exchange_token(&token, None, &more).await;
        refused.assert_refused(400, "authorization_details_invalid");
        assert_eq!(refused.text("error"), "invalid_authorization_details");
    }
    let token = broker.agents().token("a-7", &broker.issuer).unwrap();
    let twice = [
        ("grant_type", EXCHANGE),
        ("subject_token", token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("authorization_details", good.as_str()),
        ("authorization_details", good.as_str()),
    ];
    let refused = client.token_endpoint(&twice, None).await;
    refused.assert_refused(400, "request_malformed");
    assert_eq!(refused.field(), "authorization_details");
    assert_eq!(broker.recorded().await.tasks, 0);
}

#[tokio::test]
async fn a_renewal_cannot_move_to_another_case() {
    let held = Held::new().await;
    held.broker
        .desk()
        .open("4712", "AC-9", Some("a-7"))
        .unwrap();
    let named = details("desk/case/4712");
    let more = [("authorization_details", named.as_str())];
    let before = held.broker.recorded().await;
    let refused = held.client.renew(&held.first, &held.key, &more).await;
    refused.assert_refused(400, "authorization_details_invalid");
    assert_eq!(held.broker.recorded().await, before);
    held.renew().await.assert_issued();
}
