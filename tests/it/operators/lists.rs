//! Lists in parts: the order holds while others write, and a cursor is nobody's to make.

use std::collections::BTreeSet;

use serde_json::json;

use super::revoke::tasks;
use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::desk::Desk;
use crate::support::forge::OPEN;

fn names(page: &Answer, of: &str, key: &str) -> Vec<String> {
    assert_eq!(page.status, 200, "{page:?}");
    let items = page.json[of].as_array().unwrap().iter();
    let text = |item: &serde_json::Value| item[key].as_str().unwrap().to_owned();
    items.map(text).collect()
}

#[tokio::test]
async fn a_list_in_parts_has_everything_once_though_tasks_are_opened_meanwhile() {
    let broker = Broker::with(OPEN).await;
    let desk = Desk::open(&broker);
    tasks(&broker, 5).await;
    let whole = names(&desk.get("/api/v1/tasks").await, "tasks", "id");
    assert_eq!(whole.len(), 5);
    let mut page = desk.get("/api/v1/tasks?limit=2").await;
    let mut seen = names(&page, "tasks", "id");
    while let Some(next) = page.json["next"].as_str().map(str::to_owned) {
        tasks(&broker, 1).await;
        page = desk
            .get(&format!("/api/v1/tasks?limit=2&cursor={next}"))
            .await;
        seen.extend(names(&page, "tasks", "id"));
    }
    assert_eq!(seen, whole);

    for path in ["a/one", "b/two", "c/three"] {
        broker.put_secret(path, "value-canary").await;
    }
    let first = desk.get("/api/v1/secrets?limit=2").await;
    assert_eq!(names(&first, "secrets", "path"), ["a/one", "b/two"]);
    broker.put_secret("b/a-new-one", "value-canary").await;
    let more = format!("/api/v1/secrets?limit=2&cursor={}", first.text("next"));
    assert_eq!(
        names(&desk.get(&more).await, "secrets", "path"),
        ["c/three"]
    );

    let said = desk.run(&["task", "list", "--limit", "2"], "").await;
    let shown = said.out.lines().last().unwrap();
    let cursor = shown.split("--cursor=").nth(1).unwrap();
    let cursor = format!("--cursor={cursor}");
    let said = desk
        .run(&["task", "list", "--limit", "200", &cursor], "")
        .await;
    let told: BTreeSet<_> = whole.iter().filter(|id| said.out.contains(*id)).collect();
    assert_eq!((said.code, told.len()), (Some(0), 5), "{said:?}");
}

#[tokio::test]
async fn a64_a_forged_edited_or_borrowed_cursor_is_refused_by_every_list() {
    let broker = Broker::with(OPEN).await;
    let desk = Desk::open(&broker);
    let all = tasks(&broker, 2).await;
    for path in ["a/one", "b/two"] {
        broker.put_secret(path, "value-canary").await;
    }
    let of_tasks = desk
        .get("/api/v1/tasks?limit=1")
        .await
        .text("next")
        .to_owned();
    let of_secrets = desk
        .get("/api/v1/secrets?limit=1")
        .await
        .text("next")
        .to_owned();
    let refused = async |cursor: &str| {
        for list in ["tasks", "secrets"] {
            let path = format!("/api/v1/{list}?limit=1&cursor={cursor}");
            let answer = desk.get(&path).await;
            answer.assert_refused(400, "request_malformed");
            assert!(answer.json.get(list).is_none(), "{answer:?}");
        }
        let body = json!({ "where": "profile=open", "cursor": cursor });
        let answer = desk.post("/api/v1/revocations/preview", &body).await;
        answer.assert_refused(400, "request_malformed");
    };
    // Each character counts, the last one's spare bits too.
    for at in [0, 7, 20, of_tasks.len() / 2, of_tasks.len() - 1] {
        let mut edited = of_tasks.clone().into_bytes();
        edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
        refused(&String::from_utf8(edited).unwrap()).await;
    }
    let id = all[0].text("task");
    let longer = format!("{of_tasks}AAAA");
    for forged in [
        "",
        "A",
        id,
        "a%2Fone",
        "%27%20OR%201%3D1",
        &longer,
        &of_tasks[4..],
    ] {
        refused(forged).await;
    }
    // One list's cursor is no other's.
    for (list, cursor) in [("tasks", &of_secrets), ("secrets", &of_tasks)] {
        let path = format!("/api/v1/{list}?cursor={cursor}");
        desk.get(&path)
            .await
            .assert_refused(400, "request_malformed");
    }
    let body = json!({ "where": "profile=open", "cursor": of_tasks });
    let answer = desk.post("/api/v1/revocations/preview", &body).await;
    answer.assert_refused(400, "request_malformed");
    // A task's id or a path in the clear is not taken either.
    for query in [
        format!("before={id}"),
        "after=a/one".to_owned(),
        "limit=0".to_owned(),
        "limit=201".to_owned(),
        "limit=x".to_owned(),
        "all=1".to_owned(),
    ] {
        let answer = desk.get(&format!("/api/v1/tasks?{query}")).await;
        answer.assert_refused(400, "request_malformed");
    }
}

/// A condition's cursor goes on with that condition, with its times as they were read first.
#[tokio::test]
async fn a64_a_cursor_of_one_condition_is_refused_with_another() {
    let broker = Broker::with(OPEN).await;
    let desk = Desk::open(&broker);
    for _ in 0..2 {
        tasks(&broker, 251).await;
    }
    let ask = async |condition: &str, cursor: Option<&str>| {
        let body = json!({ "where": condition, "cursor": cursor });
        desk.post("/api/v1/revocations/preview", &body).await
    };
    let first = ask("profile=open and opened>-2h", None).await;
    assert_eq!(first.json["tasks"].as_array().unwrap().len(), 500);
    let (full, next) = (first.text("where"), Some(first.text("next")));
    let second = ask(full, next).await;
    assert_eq!(second.json["tasks"].as_array().unwrap().len(), 2);
    assert!(second.json.get("next").is_none(), "{second:?}");
    for other in ["profile=open", "profile!=open and opened>-2h"] {
        ask(other, next)
            .await
            .assert_refused(400, "request_malformed");
    }
}
