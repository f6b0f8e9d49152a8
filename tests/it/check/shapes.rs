//! The shapes of AuthZEN 1.0: what is 400, what is an answer, and how several are decided.

use serde_json::{Value, json};
use writ_practice::{Mode, Target};

use super::{Held, asked, evaluate, post};
use crate::gitlab::outage::fault;

const ONE: &str = "/access/v1/evaluation";
const SEVERAL: &str = "/access/v1/evaluations";

#[tokio::test]
async fn a_request_that_is_not_of_its_form_is_400_and_decides_nothing() {
    let held = Held::new().await;
    let subject = &held.subject;
    let good = asked(subject, "read", "AC-9");
    let before = held.broker.log().await.len();
    let mut bad = vec![
        String::new(),
        "[]".into(),
        "null".into(),
        "{}".into(),
        "{".into(),
    ];
    for member in ["subject", "action", "resource"] {
        for other in [
            None,
            Some(json!(7)),
            Some(json!([])),
            Some(json!({})),
            Some(json!("x")),
        ] {
            let mut body = good.clone();
            match other {
                Some(value) => body[member] = value,
                None => drop(body.as_object_mut().unwrap().remove(member)),
            }
            bad.push(body.to_string());
        }
    }
    for (pointer, value) in [
        ("/subject/type", json!("user")),
        ("/subject/id", json!(7)),
        ("/action/name", json!("")),
        ("/action/name", json!("a b")),
        ("/resource/id", json!("")),
        ("/resource/id", json!("a\u{0}b")),
        ("/resource/type", json!(null)),
        ("/resource/properties", json!("AC-9")),
        ("/subject/properties", json!([])),
        ("/subject/properties/key", json!("short")),
        ("/subject/properties/access_token", json!({})),
        ("/resource/properties/account", json!("x".repeat(2000))),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        bad.push(body.to_string());
    }
    for body in bad {
        let answer = post(&held.client, ONE, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(answer.code(), "request_malformed", "{body}");
        assert!(!answer.json.to_string().contains(held.token()));
    }
    assert_eq!(held.broker.log().await.len(), before);
    evaluate(&held.client, &good).await.assert_permitted();
}

#[tokio::test]
async fn members_that_nobody_knows_are_passed_over() {
    let held = Held::new().await;
    let mut body = asked(&held.subject, "read", "AC-9");
    body["context"] = json!({"time": "2026-03-02T12:00:00Z"});
    body["action"]["properties"] = json!({"method": "GET"});
    body["resource"]["properties"]["nested"] = json!({"a": [1]});
    body["more"] = json!(true);
    evaluate(&held.client, &body).await.assert_permitted();
}

#[tokio::test]
async fn the_id_of_a_request_comes_back() {
    let held = Held::new().await;
    let body = asked(&held.subject, "read", "AC-9");
    for (path, body) in [
        (ONE, body.to_string()),
        (ONE, "{}".to_owned()),
        (SEVERAL, "{}".to_owned()),
    ] {
        let url = format!("{}{path}", held.client.issuer);
        let request = held.client.http.post(url).body(body);
        let request = request.header("Content-Type", "application/json; charset=utf-8");
        let request = request.header("X-Request-ID", "req-17");
        let request = request.basic_auth("billing", Some(crate::support::broker::BILLING_SECRET));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "req-17", "{path}");
    }
}

#[tokio::test]
async fn several_take_what_they_leave_out_from_the_request() {
    let held = Held::new().await;
    let mut body = asked(&held.subject, "read", "AC-9");
    body["evaluations"] = json!([
        {},
        {"action": {"name": "refund"}},
        {"action": {"name": "delete"}},
        {"resource": {"type": "user", "id": "7"}},
    ]);
    let answer = post(&held.client, SEVERAL, body.to_string()).await;
    assert_eq!(
        decisions(&answer.json),
        [true, true, false, false],
        "{answer:?}"
    );
    assert_eq!(
        answer.json["evaluations"][2]["context"]["code"],
        "action_refused"
    );
}

#[tokio::test]
async fn they_are_decided_as_far_as_is_asked() {
    let held = Held::new().await;
    let mut body = asked(&held.subject, "read", "AC-9");
    let (yes, no) = (json!({}), json!({"action": {"name": "delete"}}));
    for (semantic, items, expected) in [
        ("execute_all", [&yes, &no, &yes], vec![true, false, true]),
        ("deny_on_first_deny", [&yes, &no, &yes], vec![true, false]),
        (
            "permit_on_first_permit",
            [&no, &yes, &no],
            vec![false, true],
        ),
    ] {
        body["evaluations"] = json!(items);
        body["options"] = json!({"evaluations_semantic": semantic});
        let answer = post(&held.client, SEVERAL, body.to_string()).await;
        assert_eq!(decisions(&answer.json), expected, "{semantic}: {answer:?}");
    }
    body["options"] = json!({"evaluations_semantic": "permit_all"});
    assert_eq!(
        post(&held.client, SEVERAL, body.to_string()).await.status,
        400
    );
}

#[tokio::test]
async fn none_at_all_is_one_evaluation_and_too_many_are_refused() {
    let held = Held::new().await;
    let mut body = asked(&held.subject, "read", "AC-9");
    for none in [None, Some(json!([]))] {
        if let Some(none) = none {
            body["evaluations"] = none;
        }
        post(&held.client, SEVERAL, body.to_string())
            .await
            .assert_permitted();
    }
    body["evaluations"] = Value::Array(vec![json!({}); 101]);
    let refused = post(&held.client, SEVERAL, body.to_string()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (400, "request_malformed")
    );
    body["evaluations"] = json!([{"action": {"name": 7}}]);
    assert_eq!(
        post(&held.client, SEVERAL, body.to_string()).await.status,
        400
    );
}

#[tokio::test]
async fn what_cannot_be_known_of_one_is_the_error_of_that_one() {
    let held = Held::new().await;
    let mut body = asked(&held.subject, "read", "AC-9");
    body["evaluations"] = json!([{}, {}]);
    fault(
        held.broker.desk().faults(),
        Target::Cases,
        Mode::Unavailable,
    );
    held.broker.pass(std::time::Duration::from_secs(61)).await;
    let answer = post(&held.client, SEVERAL, body.to_string()).await;
    assert_eq!(decisions(&answer.json), [false, false], "{answer:?}");
    let error = &answer.json["evaluations"][1]["context"]["error"];
    assert_eq!(error["status"], 503, "{answer:?}");
}

#[tokio::test]
async fn the_metadata_says_where_to_ask() {
    let held = Held::new().await;
    let url = format!("{}/.well-known/authzen-configuration", held.client.issuer);
    let answer = held.client.answer(held.client.http.get(url)).await;
    let issuer = &held.client.issuer;
    assert_eq!(
        answer.json,
        json!({
            "policy_decision_point": issuer,
            "access_evaluation_endpoint": format!("{issuer}{ONE}"),
            "access_evaluations_endpoint": format!("{issuer}{SEVERAL}"),
        })
    );
}

fn decisions(json: &Value) -> Vec<bool> {
    let all = json["evaluations"].as_array().unwrap().iter();
    all.map(|one| one["decision"].as_bool().unwrap()).collect()
}
