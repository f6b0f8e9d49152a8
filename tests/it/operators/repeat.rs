//! Orders that come again under the key that they came with before: they are answered as they were, and carried
//! out once.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::cases;
use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::desk::{Desk, JSON};
use crate::support::profiles::DEPLOY;

async fn post(desk: &Desk, path: &str, body: &Value, key: &str) -> Answer {
    let headers = [JSON, ("idempotency-key", key)];
    desk.ask(Method::POST, path, Bytes::from(body.to_string()), &headers)
        .await
}

async fn keys(desk: &Desk) -> usize {
    let list = desk.get("/api/v1/keys").await;
    list.json["keys"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_key_is_prepared_once_however_often_the_order_comes() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let before = keys(&desk).await;
    let order = json!({ "purpose": "cursor" });
    let first = post(&desk, "/api/v1/keys", &order, "\"8e03978e\"").await;
    assert_eq!(first.status, 201, "{first:?}");
    let log = broker.log().await.len();
    // The draft's form and the bare word are the same key.
    for key in ["\"8e03978e\"", "8e03978e"] {
        let again = post(&desk, "/api/v1/keys", &order, key).await;
        assert_eq!((again.status, &again.json), (first.status, &first.json));
    }
    assert_eq!(
        (keys(&desk).await, broker.log().await.len()),
        (before + 1, log)
    );
    // As it was answered then, whatever became of it since.
    let withdraw = format!("/api/v1/keys/{}/withdraw", first.text("id"));
    assert_eq!(post(&desk, &withdraw, &json!({}), "w").await.status, 200);
    let again = post(&desk, "/api/v1/keys", &order, "8e03978e").await;
    assert_eq!(again.json, first.json);
    // Without a key, and under another, it is another order.
    assert_eq!(
        post(&desk, "/api/v1/keys", &order, "other").await.status,
        201
    );
    assert_eq!(desk.post("/api/v1/keys", &order).await.status, 201);
    assert_eq!(keys(&desk).await, before + 3);
}

#[tokio::test]
async fn a_key_that_came_with_another_order_is_refused_and_nothing_is_done() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let first = post(&desk, "/api/v1/keys", &json!({ "purpose": "cursor" }), "k").await;
    let id = first.text("id").to_owned();
    let log = broker.log().await.len();
    for (path, body) in [
        ("/api/v1/keys".to_owned(), json!({ "purpose": "handle" })),
        (format!("/api/v1/keys/{id}/activate"), json!({})),
        (format!("/api/v1/keys/{id}/withdraw"), json!({})),
        ("/api/v1/freezes/all/lift".to_owned(), json!({})),
    ] {
        let refused = post(&desk, &path, &body, "k").await;
        refused.assert_refused(422, "idempotency_key_reused");
    }
    let headers = [("idempotency-key", "k")];
    let deleted = desk.ask(
        Method::DELETE,
        "/api/v1/secrets/a/b",
        Bytes::new(),
        &headers,
    );
    deleted.await.assert_refused(422, "idempotency_key_reused");
    assert_eq!(broker.log().await.len(), log);
}

#[tokio::test]
async fn orders_that_come_at_once_under_one_key_are_carried_out_once() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let before = keys(&desk).await;
    let order = json!({ "purpose": "cursor" });
    let asked = (0..16).map(|_| post(&desk, "/api/v1/keys", &order, "k"));
    let mut made = BTreeSet::new();
    for answer in join_all(asked).await {
        if answer.status == 201 {
            made.insert(answer.text("id").to_owned());
        } else {
            answer.assert_refused(409, "conflict");
            assert_eq!(answer.headers["retry-after"], "1");
        }
    }
    assert_eq!((made.len(), keys(&desk).await), (1, before + 1));
}

#[tokio::test]
async fn what_would_be_gone_or_standing_the_second_time_is_answered_as_the_first_time() {
    let broker = cases::broker().await;
    broker
        .desk()
        .open("4711", "AC-9", Some("a-person"))
        .unwrap();
    let desk = Desk::open(&broker);
    let open = json!({
        "task": "desk/case/4711",
        "profile": "support",
        "agent": "spiffe://test.example/agents/a-7",
    });
    let first = post(&desk, "/api/v1/tasks", &open, "open").await;
    assert_eq!(
        (first.status.as_u16(), &first.json["state"]),
        (200, &json!("open"))
    );
    let again = post(&desk, "/api/v1/tasks", &open, "open").await;
    assert_eq!((again.status, &again.json), (first.status, &first.json));
    desk.post("/api/v1/tasks", &open)
        .await
        .assert_refused(409, "conflict");

    let until = broker.wired.broker.clock.now().plus(Duration::from_mins(9));
    let freeze = json!({ "scope": "all", "until": until.to_string() });
    assert_eq!(desk.post("/api/v1/freezes", &freeze).await.status, 201);
    let lift = "/api/v1/freezes/all/lift";
    let first = post(&desk, lift, &json!({}), "lift").await;
    let again = post(&desk, lift, &json!({}), "lift").await;
    assert_eq!((again.status.as_u16(), &again.json), (200, &first.json));
    desk.post(lift, &json!({}))
        .await
        .assert_refused(404, "not_found");

    broker.put_secret("a/b", "value-canary").await;
    for (key, status) in [("gone", 204), ("gone", 204), ("again", 404)] {
        let headers = [("idempotency-key", key)];
        let deleted = desk.ask(
            Method::DELETE,
            "/api/v1/secrets/a/b",
            Bytes::new(),
            &headers,
        );
        assert_eq!(deleted.await.status, status, "{key}");
    }
}

#[tokio::test]
async fn a_refused_order_may_be_given_again_under_its_key_and_a_key_is_kept_for_a_day() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let headers = [("idempotency-key", "k")];
    let delete = || {
        desk.ask(
            Method::DELETE,
            "/api/v1/secrets/a/b",
            Bytes::new(),
            &headers,
        )
    };
    delete().await.assert_refused(404, "not_found");
    broker.put_secret("a/b", "value-canary").await;
    assert_eq!(delete().await.status, 204);
    broker.put_secret("a/b", "another-canary").await;
    broker.pass(Duration::from_hours(23)).await;
    assert_eq!(delete().await.status, 204);
    assert_eq!(
        desk.get("/api/v1/secrets").await.json["secrets"][0]["path"],
        "a/b"
    );
    broker.pass(Duration::from_hours(2)).await;
    assert_eq!(delete().await.status, 204);
    let left = desk.get("/api/v1/secrets").await;
    assert_eq!(left.json["secrets"], json!([]), "{left:?}");
}
