//! Orders of operators whose answers a kill swallowed: given again under their keys, each was carried out once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet};

use crate::support::client::Answer;
use crate::support::desk::{Desk, JSON};
use crate::support::process::Ground;

const KILLS: u64 = 8;

/// Orders that are given at once.
const OPEN: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_an_order_whose_answer_a_kill_swallowed_was_carried_out_once_when_it_is_given_again() {
    let ground = Ground::new().await;
    let desk = Arc::new(Desk::at(ground.dir().join("admin.sock")));
    let server = ground.start().await;
    let before = prepared(&desk).await;
    server.kill().await;

    let mut told = BTreeMap::new();
    for round in 0..KILLS {
        let server = ground.start().await;
        let mut orders = JoinSet::new();
        for n in 0..OPEN {
            let (desk, key) = (Arc::clone(&desk), format!("{round}-{n}"));
            orders.spawn(async move {
                let answer = prepare(&desk, &key).await;
                (key, answer.map(|answer| made(&answer)))
            });
        }
        // Elsewhere each time: before the first answer, or when some are there.
        for _ in 0..round % OPEN {
            note(&mut told, orders.join_next().await);
        }
        server.kill().await;
        while let Some(ended) = orders.join_next().await {
            note(&mut told, Some(ended));
        }
    }

    let server = ground.start().await;
    let mut ids = BTreeSet::new();
    for (key, id) in &told {
        let again = made(&prepare(&desk, key).await.unwrap());
        assert!(
            id.as_ref().is_none_or(|id| *id == again),
            "{key} is answered otherwise than it was"
        );
        assert_eq!(made(&prepare(&desk, key).await.unwrap()), again);
        ids.insert(again);
    }
    assert!(
        told.values().any(Option::is_none),
        "no answer was lost: nothing was tried"
    );
    let after = prepared(&desk).await;
    let new: BTreeSet<_> = after.difference(&before).cloned().collect();
    assert_eq!(new, ids, "an order was carried out twice, or not at all");
    assert_eq!(u64::try_from(ids.len()).unwrap(), KILLS * OPEN);
    server.stop().await;
}

/// Keeps what an order came to, as far as whoever gave it knows.
fn note(
    told: &mut BTreeMap<String, Option<String>>,
    ended: Option<Result<(String, Option<String>), JoinError>>,
) {
    let (key, id) = ended.unwrap().unwrap();
    told.insert(key, id);
}

/// Orders a key, under one key of its own; nothing where the broker was gone before it answered.
async fn prepare(desk: &Desk, key: &str) -> Option<Answer> {
    let body = Bytes::from(json!({ "purpose": "cursor" }).to_string());
    let headers = [JSON, ("idempotency-key", key)];
    desk.try_ask(Method::POST, "/api/v1/keys", body, &headers)
        .await
}

fn made(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.text("id").to_owned()
}

/// The ids of all keys for cursors.
async fn prepared(desk: &Desk) -> BTreeSet<String> {
    let list = desk.get("/api/v1/keys").await;
    let keys = list.json["keys"].as_array().unwrap().iter();
    let cursors = keys.filter(|key| key["purpose"] == "cursor");
    let id = |key: &Value| key["id"].as_str().unwrap().to_owned();
    cursors.map(id).collect()
}
