//! Revoking many by a condition, and one by its id.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use writ::ledger::entry::Event;
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use crate::support::broker::{Broker, REPO};
use crate::support::client::Answer;
use crate::support::desk::Desk;
use crate::support::forge::{OPEN, after_hints, bearer};
use crate::support::held::{BILLING, Held};
use crate::support::process::Said;
use crate::support::profiles::DEPLOY;

/// Tasks of as many runs, with a token for `billing` each.
pub(super) async fn tasks(broker: &Broker, count: usize) -> Vec<Answer> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        let spec = StartRun::new(REPO, vec![StartJob::new("build")]);
        jobs.extend(broker.site().start_run(spec).await.unwrap().jobs);
    }
    broker.site().hooks().settle().await.unwrap();
    broker.reread_all().await;
    after_hints(broker).await;
    let client = broker.client();
    let mut answers = Vec::new();
    for part in jobs.chunks(50) {
        let asked = part.iter().map(|job| {
            let token = bearer(broker, job);
            let client = client.clone();
            async move { client.exchange_token(&token, None, BILLING).await }
        });
        answers.extend(join_all(asked).await);
    }
    answers.iter().for_each(Answer::assert_issued);
    answers
}

impl Desk {
    async fn revoke(&self, condition: &str, more: &[&str]) -> Said {
        let args = [&["revoke", "--where", condition, "-o", "json"], more].concat();
        self.run(&args, "").await
    }
}

fn report(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

async fn open_tasks(broker: &Broker) -> usize {
    let tasks = broker.wired.broker.tasks(None, 10_000).await.unwrap();
    tasks.iter().filter(|task| task.is_open()).count()
}

#[tokio::test]
async fn a_condition_is_shown_counted_and_then_revoked_and_nothing_else_is() {
    let broker = Broker::with(OPEN).await;
    let desk = Desk::open(&broker);
    let early = tasks(&broker, 3).await;
    broker.pass(Duration::from_mins(2)).await;
    let between = broker.clock.now().to_string();
    broker.pass(Duration::from_secs(1)).await;
    let late = tasks(&broker, 2).await;
    let repository = broker.repo.repository_id;
    let condition = format!("repository_id={repository} and issued>{between}");

    let shown = report(&desk.revoke(&condition, &["--dry-run"]).await);
    let names: Vec<_> = shown["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names.len(), 2, "{shown}");
    assert_eq!(shown["tasks"][0]["credentials"]["live"], 1);
    // Neither without the number nor with another one.
    for wrong in [&[][..], &["--expect", "3"], &["--expect", "0"]] {
        let said = desk.revoke(&condition, wrong).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("nothing was revoked"), "{said:?}");
    }
    assert_eq!(open_tasks(&broker).await, 5);

    let done = desk
        .revoke(
            &condition,
            &["--expect", "2", "--reason", "a drill", "--wait"],
        )
        .await;
    let done = report(&done);
    assert_eq!(done["dead"], true);
    assert_eq!(done["results"].as_array().unwrap().len(), 2);
    assert!(
        done["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["outcome"] == "revoked")
    );
    let client = broker.client();
    for answer in &early {
        assert!(client.is_active(answer).await);
    }
    for answer in &late {
        assert!(!client.is_active(answer).await);
        let shown = desk
            .get(&format!("/api/v1/tasks/{}", answer.text("task")))
            .await;
        let reason = shown.json["task"]["ended"]["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("a drill") && reason.contains("repository_id="),
            "{reason}"
        );
    }
    // Again, and again with everything: what is over stays over.
    let again = report(&desk.revoke(&condition, &["--expect", "0"]).await);
    assert_eq!(again["results"], json!([]));
    let all = format!("source=github and task.1={repository}");
    let shown = report(&desk.revoke(&all, &["--dry-run"]).await);
    assert_eq!(
        (shown["tasks"].as_array().unwrap().len(), &shown["over"]),
        (3, &json!(2))
    );
}

#[tokio::test]
async fn a_claim_that_no_identity_has_is_no_good_news_where_nothing_is_at_work_yet() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let said = desk.revoke("repositry_id=812345", &["--expect", "0"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("did you mean `repository_id`?"),
        "{said:?}"
    );
    // What a vendor's identities are made of outlives its configuration.
    for known in ["project_id=1", "repository_id=812345"] {
        let said = desk.revoke(known, &["--expect", "0"]).await;
        assert_eq!(said.code, Some(0), "{known}: {said:?}");
    }
}

#[tokio::test]
async fn a_condition_that_is_a_slip_of_the_pen_revokes_nothing() {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    for (condition, says) in [
        (
            "repositry_id!=1",
            "no identity is made of a claim `repositry_id`: did you mean `repository_id`?",
        ),
        ("profle=deploy", "did you mean `profile`?"),
        ("sha=aaaaaaa", "no identity is made of a claim `sha`"),
        (
            "project_id!=1",
            "no identity under these tasks has a claim `project_id`",
        ),
        ("repository_id=1 or profile=deploy", "and"),
        ("repository_id>5", "compare it with ="),
        ("issued>yesterday", "a time"),
        ("", "FIELD"),
        ("profile=deploy;", "FIELD"),
    ] {
        let said = desk.revoke(condition, &["--expect", "1"]).await;
        assert_eq!(said.code, Some(1), "{condition}: {said:?}");
        assert!(said.err.contains(says), "{condition}: {said:?}");
    }
    for condition in [
        "profile=other",
        "task=github/1/2/3",
        "environment=staging",
        "issued<-1h",
        "workload=spiffe://test.example/x",
        "instance=1",
        "task.2=1",
        "source!=github",
    ] {
        let said = desk.revoke(condition, &["--expect", "1"]).await;
        assert_eq!(said.code, Some(1), "{condition}: {said:?}");
        assert!(
            said.err.contains("0 tasks fit, not 1"),
            "{condition}: {said:?}"
        );
    }
    for body in [
        json!({ "where": "a>1" }),
        json!({ "where": "" }),
        json!({}),
        json!({ "where": "a=1", "cursor": "task_1" }),
    ] {
        let answer = desk.post("/api/v1/revocations/preview", &body).await;
        answer.assert_refused(400, "request_malformed");
    }
    let task = held.first.text("task");
    let too_many: Vec<_> = std::iter::repeat_n(task, 101).collect();
    for body in [
        json!({}),
        json!({ "tasks": [] }),
        json!({ "tasks": too_many }),
        json!({ "tasks": ["task_1"] }),
        json!({ "tasks": [task], "lineage": held.first.text("lineage") }),
        json!({ "tasks": [task], "until": "2020-01-01T00:00:00Z" }),
    ] {
        let answer = desk.post("/api/v1/revocations", &body).await;
        answer.assert_refused(400, "request_malformed");
    }
    assert_eq!(open_tasks(&held.broker).await, 1);
    held.renew().await.assert_issued();
}

/// A thousand tasks are revoked in bounded parts, and broken off in the middle the rest is revoked by
/// the same command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_are_revoked_in_parts_and_the_rest_when_it_is_asked_again() {
    let broker = Broker::with(OPEN).await;
    let desk = Desk::open(&broker);
    let all = tasks(&broker, 1_000).await;
    // The first parts go through, and then the operator's connection is gone.
    for part in all[..300].chunks(100) {
        let ids: Vec<_> = part.iter().map(|answer| answer.text("task")).collect();
        let done = desk
            .post("/api/v1/revocations", &json!({ "tasks": ids }))
            .await;
        assert_eq!(
            done.json["results"].as_array().unwrap().len(),
            100,
            "{done:?}"
        );
    }
    assert_eq!(open_tasks(&broker).await, 700);
    let done = report(&desk.revoke("profile=open", &["--expect", "700"]).await);
    let results = done["results"].as_array().unwrap();
    assert_eq!(results.len(), 700);
    assert!(
        results.iter().all(|one| one["outcome"] == "revoked"),
        "{done}"
    );
    assert_eq!(
        (open_tasks(&broker).await, &done["dead"]),
        (0, &json!(true))
    );
    let ids: Vec<_> = all[..100]
        .iter()
        .map(|answer| answer.text("task"))
        .collect();
    let again = desk
        .post("/api/v1/revocations", &json!({ "tasks": ids }))
        .await;
    let results = again.json["results"].as_array().unwrap();
    assert!(
        results.iter().all(|one| one["outcome"] == "already_over"),
        "{again:?}"
    );
    let ends = broker.log().await;
    let ends = ends
        .iter()
        .filter(|leaf| matches!(leaf.event, Event::TaskRevoked { .. }));
    assert_eq!(ends.count(), 1_000, "each is recorded once");
}

#[tokio::test]
async fn what_is_verified_offline_and_what_was_read_is_said_not_to_be_dead() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let desk = Desk::open(&held.broker);
    let read = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key))
        .await;
    assert_eq!(read.text("value"), "value-canary");
    let other = SessionKey::generate().unwrap();
    let offline = [("audience", "https://deploy.example")];
    held.client
        .exchange(held.job(), Some(&other), &offline)
        .await
        .assert_issued();
    let said = desk
        .run(
            &[
                "revoke",
                "--where",
                "environment=production",
                "--expect",
                "1",
            ],
            "",
        )
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for wanted in ["1  revoked", "good until", "1 secret values have been read"] {
        assert!(said.out.contains(wanted), "{wanted} is missing in {said:?}");
    }
    held.assert_never_again("task_revoked").await;
}

#[tokio::test]
async fn a_lineage_a_credential_a_workload_and_a_key_are_revoked_alone() {
    let held = Held::billing(DEPLOY).await;
    let desk = Desk::open(&held.broker);
    let (client, broker) = (&held.client, &held.broker);
    let key = SessionKey::generate().unwrap();
    let second = client
        .exchange(&held.run.jobs[1], Some(&key), BILLING)
        .await;
    second.assert_issued();

    let mine = held.first.text("lineage");
    let issued = broker.credentials().await;
    let token = issued.iter().find(|one| one.lineage.to_string() == mine);
    let token = token.unwrap().id.to_string();
    let said = desk
        .run(
            &[
                "revoke",
                "--credential",
                &token,
                "--reason",
                "seen in a log",
            ],
            "",
        )
        .await;
    assert!(
        said.out.contains("everything that can die is dead"),
        "{said:?}"
    );
    assert!(!held.is_active().await);
    let renewed = held.renew().await;
    renewed.assert_issued();

    let said = desk
        .run(&["revoke", "--lineage", held.first.text("lineage")], "")
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!client.is_active(&renewed).await);
    held.assert_never_again("lineage_ended").await;
    assert!(client.is_active(&second).await, "the other job goes on");

    let said = desk
        .run(&["revoke", "--key", &key.thumbprint(), "--until", "1h"], "")
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!client.is_active(&second).await);
    client
        .renew(&second, &key, &[])
        .await
        .assert_refused(400, "barred");

    let fresh = SessionKey::generate().unwrap();
    let third = client
        .exchange(&held.run.jobs[1], Some(&fresh), BILLING)
        .await;
    third.assert_issued();
    let shown = desk
        .get(&format!("/api/v1/tasks/{}", third.text("task")))
        .await;
    let lineages = shown.json["lineages"].as_array().unwrap();
    let workload = lineages[0]["identity"].as_str().unwrap();
    let said = desk.run(&["revoke", "--workload", workload], "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!client.is_active(&third).await);
    client
        .renew(&third, &fresh, &[])
        .await
        .assert_refused(400, "barred");

    for absent in [
        [
            "revoke",
            "--lineage",
            "lin_018f2b3c4d5e7f60a1b2c3d4e5f60718",
        ],
        [
            "revoke",
            "--credential",
            "cred_018f2b3c4d5e7f60a1b2c3d4e5f60718",
        ],
    ] {
        let said = desk.run(&absent, "").await;
        assert_eq!(said.code, Some(2), "{said:?}");
    }
    let said = desk
        .run(&["revoke", "--key", "x", "--lineage", "y"], "")
        .await;
    assert_eq!(said.code, Some(1), "{said:?}");
}
