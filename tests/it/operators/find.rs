//! From whatever is in the hand to the task behind it.

use std::time::Duration;

use writ::broker::revoke::Ending;
use writ::domain::ids::{CredentialId, TaskId};
use writ::seams::{Clock as _, SystemEntropy};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::{Answer, deploy_run};
use crate::support::desk::Desk;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

/// What the practice world's runs are of.
const COMMIT: &str = "5f3c1e0b7a9d42688e1f0c3b5a7d9e2468ace013";

async fn scene() -> (Held, Desk) {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    (held, desk)
}

/// The one thing that was found.
#[track_caller]
fn only(answer: &Answer) -> &serde_json::Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let found = answer.json["found"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{answer:?}");
    &found[0]
}

#[tokio::test]
async fn a_raw_token_is_recognised_and_never_repeated() {
    let (held, desk) = scene().await;
    let svid = held
        .client
        .svid("https://db.example", &held.first, Some(&held.key))
        .await;
    let evidence = held.client.id_token(held.job(), &held.broker.issuer).await;
    let spare = held.client.exchange_token(&evidence, None, &[]).await;
    spare.assert_issued();
    for (secret, by, kind) in [
        (held.first.text("access_token"), "access_token", true),
        (svid.text("svid"), "jwt_svid", true),
        (held.first.text("refresh_token"), "renewal_handle", false),
        (&evidence, "evidence", false),
    ] {
        // As it comes from a file, with a newline behind it.
        let answer = desk.find(&format!("{secret}\n")).await;
        let hit = only(&answer);
        assert_eq!(hit["by"], by);
        assert_eq!(hit["task_id"], held.first.text("task"));
        assert_eq!(hit["lineage_id"], held.first.text("lineage"));
        assert_eq!(hit["credential"]["state"] == "live", kind, "{hit}");
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!answer.json.to_string().contains(signature));
        let said = desk.run(&["find", "-"], secret).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains(held.first.text("task_name")), "{said:?}");
        assert!(!format!("{said:?}").contains(signature));
        // As it stands in a log, between other things and beside another one.
        let line =
            format!("12:03 GET /x {{\"Authorization\":\"DPoP {secret}\", t=eyJhbGciOi.e30.x}}\n");
        assert_eq!(desk.find(&line).await.json["found"], answer.json["found"]);
    }
}

#[tokio::test]
async fn a_token_is_found_after_it_expired_and_after_its_task_was_revoked() {
    let (held, desk) = scene().await;
    let token = held.first.text("access_token");
    held.end_task(Ending::Revoke).await;
    let answer = desk.find(token).await;
    let hit = only(&answer);
    assert_eq!(hit["credential"]["state"], "revoked");
    assert_eq!(hit["task"]["state"], "over");
    assert_eq!(hit["task"]["ended"]["code"], "task_revoked");
    // Long after the rows were swept the entry of that moment is still there.
    held.broker.pass(Duration::from_hours(3)).await;
    let store = &held.broker.wired.broker.store;
    store.sweep(held.broker.clock.now(), 10_000).await.unwrap();
    assert_eq!(held.broker.recorded().await.tasks, 0);
    let answer = desk.find(token).await;
    let hit = only(&answer);
    assert_eq!(hit["task_id"], held.first.text("task"));
    assert_eq!(hit["task_name"], held.first.text("task_name"));
    assert!(hit.get("task").is_none(), "{hit}");
    for id in [held.first.text("task"), held.first.text("lineage")] {
        assert_eq!(
            only(&desk.find(id).await)["task_id"],
            held.first.text("task")
        );
    }
}

#[tokio::test]
async fn every_id_leads_to_its_task() {
    let (held, desk) = scene().await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let read = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key))
        .await;
    assert_eq!(read.text("value"), "value-canary");
    let credentials = held.broker.credentials().await;
    let session = credentials[0].session.to_string();
    let run = held.run.run_id;
    let job = held.job().check_run_id;
    let repository = held.broker.repo.repository_id;
    let page = format!("https://github.com/octo/app/actions/runs/{run}");
    let job_page = format!("{page}/job/{job}");
    for (text, by) in [
        (held.first.text("task").to_owned(), "task"),
        (held.first.text("task_name").to_owned(), "task"),
        (held.first.text("lineage").to_owned(), "lineage"),
        (session, "session"),
        (credentials[0].id.to_string(), "credential"),
        (
            read.json["lease"]["id"].as_str().unwrap().to_owned(),
            "credential",
        ),
        (page.clone(), "run"),
        (format!("{page}/attempts/1"), "run"),
        (job_page, "job"),
        (run.to_string(), "claim"),
        (job.to_string(), "job"),
        (repository.to_string(), "claim"),
        (format!("repository_id={repository}"), "claim"),
        ("environment=production".to_owned(), "claim"),
        ("Octo/App".to_owned(), "repository"),
        (COMMIT.to_owned(), "commit"),
        (COMMIT[..7].to_uppercase(), "commit"),
        ("ci/prod/db".to_owned(), "secret_path"),
    ] {
        let answer = desk.find(&text).await;
        let hit = only(&answer);
        assert_eq!(
            (hit["by"].as_str(), hit["task_id"].as_str()),
            (Some(by), Some(held.first.text("task"))),
            "{text}: {hit}"
        );
    }
    let second = format!("{page}/attempts/2");
    desk.find(&second).await.assert_refused(404, "not_found");
}

#[tokio::test]
async fn a_run_is_found_behind_other_repositories_and_only_that_run() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = deploy_run(&broker).await;
        broker.pass(Duration::from_secs(2)).await;
        let answer = client.exchange(&run.jobs[0], Some(&key), BILLING).await;
        answer.assert_issued();
        runs.push((run.run_id, answer.text("task").to_owned()));
    }
    for (run, task) in runs {
        let answer = desk
            .find(&format!("https://ghes.corp/o/a/actions/runs/{run}"))
            .await;
        assert_eq!(only(&answer)["task_id"], task.as_str());
    }
}

#[tokio::test]
async fn a42_what_is_unknown_or_of_another_realm_is_not_found() {
    let (held, desk) = scene().await;
    let now = held.broker.clock.now();
    let other = Held::asking(DEPLOY, &[]).await;
    for text in [
        CredentialId::new(now, &SystemEntropy).to_string(),
        TaskId::new(now, &SystemEntropy).to_string(),
        "dn-1-1".to_owned(),
        "dn-9-99999".to_owned(),
        "github/1/2/3".to_owned(),
        "99999999999999999999".to_owned(),
        "octo/other".to_owned(),
        "wrh_AAAA".to_owned(),
        "eyJhbGciOiJub25lIn0.e30.AAAA".to_owned(),
        "https://github.com/octo/app/actions/runs/1".to_owned(),
        "repository_id=' OR 1=1 --".to_owned(),
        "%".to_owned(),
        other.first.text("access_token").to_owned(),
        other.first.text("refresh_token").to_owned(),
    ] {
        let answer = desk.find(&text).await;
        answer.assert_refused(404, "not_found");
        assert!(
            !answer.json.to_string().contains(&text),
            "{text} is repeated"
        );
        let said = desk.run(&["find", "-"], &text).await;
        assert_eq!(said.code, Some(2), "{said:?}");
    }
    for text in ["", " \n", &"x".repeat(16 * 1024 + 1), "\u{0}"] {
        let answer = desk.find(text).await;
        let status = answer.status.as_u16();
        assert!(status == 400 || status == 404, "{answer:?}");
    }
    let said = desk
        .run(&["find", held.first.text("access_token")], "")
        .await;
    assert_eq!(said.code, Some(1), "a token among the arguments: {said:?}");
}
