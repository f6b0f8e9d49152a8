//! The rows behind permits: nobody sets one back by hand, and they go with their task and not before.

use std::time::Duration;

use serde_json::json;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::at_work;
use crate::support::desk::Desk;
use crate::support::held::Held;

async fn intruder(held: &Held) -> SqliteConnection {
    let path = held.broker.files.path().join("writ.db");
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_that_somebody_sets_back_in_the_database_permits_nothing() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    script
        .consume("db-7", permit, "a")
        .await
        .assert_consumed(false);
    let mut db = intruder(&held).await;
    for edit in [
        "UPDATE reservation SET state = 1",
        "UPDATE reservation SET state = 1, body = replace(body, 'db-7', 'db-8')",
    ] {
        sqlx::query(edit).execute(&mut db).await.unwrap();
        let again = script.consume("db-7", permit, "b").await;
        again.assert_refused(503, "store_unavailable");
    }
    assert_eq!(held.logged().await.1.len(), 1);
    sqlx::query("DELETE FROM reservation")
        .execute(&mut db)
        .await
        .unwrap();
    let gone = script.consume("db-7", permit, "c").await;
    gone.assert_denied("permit_required", "permit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_somebody_fills_up_in_the_database_gives_nothing() {
    let (held, script) = at_work().await;
    script.reserve("db-7", "step-1").await.permit();
    let mut db = intruder(&held).await;
    let edit = "UPDATE spent SET used = 0";
    sqlx::query(edit).execute(&mut db).await.unwrap();
    let more = script.reserve("db-7", "step-2").await;
    more.assert_refused(503, "store_unavailable");
    assert_eq!(held.logged().await.0.len(), 1);
}

#[tokio::test]
async fn what_was_reserved_is_kept_as_long_as_its_task_and_no_longer() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let store = &held.broker.wired.broker.store;
    let now = || held.broker.wired.broker.clock.now();
    held.broker.pass(Duration::from_mins(30)).await;
    store.sweep(now(), 1000).await.unwrap();
    assert_eq!(
        (held.reservations().await.len(), held.spent().await),
        (1, 1)
    );
    let late = script.consume("db-7", reserved.permit(), "a").await;
    assert_eq!(late.json["decision"], false, "{late:?}");
    held.broker.pass(Duration::from_mins(120)).await;
    store.sweep(now(), 1000).await.unwrap();
    assert_eq!(
        (held.reservations().await.len(), held.spent().await),
        (0, 0)
    );
    // The log has it for good.
    let found = Desk::open(&held.broker).find(reserved.permit()).await;
    let hit = &found.json["found"][0];
    assert_eq!(
        (&hit["by"], &hit["task_name"]),
        (&json!("permit"), &held.first.json["task_name"])
    );
}

#[tokio::test]
async fn a_permit_leads_to_its_task_and_one_of_nobody_to_none() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let desk = Desk::open(&held.broker);
    let found = desk.find(reserved.permit()).await;
    let hit = &found.json["found"][0];
    assert_eq!(hit["lineage_id"], script.own.text("lineage"), "{found:?}");
    assert_eq!(hit["task"]["id"], held.task().to_string());
    let other = desk.find("permit_018f2b3c4d5e7f60a1b2c3d4e5f60718").await;
    other.assert_refused(404, "not_found");
}

#[tokio::test]
async fn an_operator_is_told_what_became_of_a_permit_that_was_refused() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    script
        .consume("db-7", permit, "a")
        .await
        .assert_consumed(false);
    let spent = script.consume("db-7", permit, "b").await;
    let desk = Desk::open(&held.broker);
    let id = spent.json["context"]["denial_id"].as_str().unwrap();
    let told = desk.run(&["explain", id], "").await;
    assert_eq!(told.code, Some(0), "{told:?}");
    for wanted in ["permit_spent", permit, "consumed at", "by billing"] {
        assert!(
            told.out.contains(wanted),
            "{wanted} is missing in {}",
            told.out
        );
    }
}
