//! What was refused, and what happened before.

use std::time::Duration;

use writ::broker::revoke::Ending;
use writ_practice::StartJob;
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::run_with;
use crate::support::desk::Desk;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn the_refusals_of_a_task_are_told_with_what_came_before() {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    let order = serde_json::json!({ "reason": "a test" });
    let revoke = format!("/api/v1/tasks/{}/revoke", held.first.text("task"));
    assert_eq!(desk.post(&revoke, &order).await.json["outcome"], "ended");
    let refused = held.renew().await;
    refused.assert_refused(400, "task_revoked");
    let page = format!(
        "https://github.com/octo/app/actions/runs/{}",
        held.run.run_id
    );
    for about in [
        page.as_str(),
        held.first.text("task_name"),
        refused.text("denial_id"),
    ] {
        let path = format!(
            "/api/v1/why/{}",
            about.replace('/', "%2F").replace(':', "%3A")
        );
        let answer = desk.get(&path).await;
        let refusal = &answer.json["refusals"][0];
        assert_eq!(refusal["code"], "task_revoked", "{about}: {answer:?}");
        assert_eq!(refusal["id"], refused.text("denial_id"));
        let events = answer.json["events"].as_array().unwrap();
        let names: Vec<_> = events
            .iter()
            .map(|e| e["event"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["task_revoked", "issued"], "{about}");
    }
    let said = desk.run(&["why", &page], "").await;
    for wanted in [
        "task_revoked",
        "denied",
        "a test",
        "issued",
        refused.text("denial_id"),
    ] {
        assert!(said.out.contains(wanted), "{wanted} is missing in {said:?}");
    }
}

/// A job that no profile takes opens no task, and yet somebody will ask why.
#[tokio::test]
async fn a_refusal_before_there_was_a_task_is_found_by_its_run() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let elsewhere = vec![StartJob::new("build")];
    let (run, other) = (
        run_with(&broker, elsewhere.clone()).await,
        run_with(&broker, elsewhere).await,
    );
    broker.pass(Duration::from_secs(2)).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let mut denials = Vec::new();
    for run in [&run, &other] {
        let refused = client.exchange(&run.jobs[0], Some(&key), &[]).await;
        refused.assert_refused(400, "profile_unmatched");
        denials.push(refused.text("denial_id").to_owned());
    }
    for (run, denial) in [&run, &other].into_iter().zip(denials) {
        let page = format!("https://github.com/octo/app/actions/runs/{}", run.run_id);
        let said = desk.run(&["why", &page, "-o", "json"], "").await;
        let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let refusals = told["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), 1, "{told}");
        assert_eq!(refusals[0]["id"], denial.as_str());
        assert_eq!(refusals[0]["observed"], "(absent)");
        assert_eq!(told["tasks"], serde_json::json!([]));
    }
    assert_eq!(broker.recorded().await.tasks, 0);
    desk.get("/api/v1/why/github%2F1%2F2%2F3")
        .await
        .assert_refused(404, "not_found");
    let said = desk.run(&["why", "eyJhbGciOiJub25lIn0.e30.AAAA"], "").await;
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[tokio::test]
async fn what_a_task_has_read_is_listed_until_long_after_its_end() {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    let name = held.first.text("task_name").replace('/', "%2F");
    let nothing = desk.get(&format!("/api/v1/tasks/{name}/exposure")).await;
    assert_eq!(nothing.json["values"], serde_json::json!([]));
    held.broker.put_secret("ci/prod/db", "value-canary-1").await;
    held.broker
        .put_secret("ci/prod/key", "value-canary-2")
        .await;
    for path in ["ci/prod/db", "ci/prod/key", "ci/prod/db"] {
        let read = held.client.secret(path, &held.first, Some(&held.key)).await;
        assert!(read.json["value"].is_string(), "{read:?}");
    }
    held.broker
        .put_secret("ci/prod/key", "value-canary-3")
        .await;
    held.end_task(Ending::Revoke).await;
    let said = desk
        .run(&["task", "show", held.first.text("task")], "")
        .await;
    assert!(said.out.contains("exposed: rotate it"), "{said:?}");
    let job = held.job().check_run_id.to_string();
    for (event, what) in [
        ("issued ", "access token for "),
        ("secret_read ", "ci/prod/db v1"),
        ("secret_read ", "ci/prod/key v1"),
    ] {
        let line = said.out.lines().find(|line| {
            let told = [event, job.as_str(), what];
            told.iter().all(|part| line.contains(part))
        });
        assert!(line.is_some(), "{event} {what}: {said:?}");
    }
    for which in [name.as_str(), held.first.text("task")] {
        let told = desk.get(&format!("/api/v1/tasks/{which}/exposure")).await;
        let values = told.json["values"].as_array().unwrap();
        let brief: Vec<_> = values
            .iter()
            .map(|v| {
                (
                    v["path"].as_str().unwrap(),
                    v["version"].as_u64().unwrap(),
                    v["replaced"].as_bool().unwrap(),
                )
            })
            .collect();
        assert_eq!(brief, [("ci/prod/db", 1, false), ("ci/prod/key", 1, true)]);
        assert_eq!(values[0]["instance"], held.job().check_run_id.to_string());
        assert!(!told.json.to_string().contains("value-canary"));
    }
    held.broker.pass(Duration::from_hours(3)).await;
    let store = &held.broker.wired.broker.store;
    let now = writ::seams::Clock::now(held.broker.clock.as_ref());
    store.sweep(now, 10_000).await.unwrap();
    let said = desk
        .run(&["task", "exposure", held.first.text("task")], "")
        .await;
    assert!(
        said.out.contains("ci/prod/db") && said.out.contains("rotate"),
        "{said:?}"
    );
    let gone = desk
        .run(&["task", "exposure", held.first.text("task_name")], "")
        .await;
    assert_eq!(gone.code, Some(2), "{gone:?}");
}
