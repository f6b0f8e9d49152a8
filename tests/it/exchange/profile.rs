//! Which profile takes the evidence: the only one, or the one that was named.

use serde_json::json;
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::forge::{OPEN, assert_none, bearer, credentials, job, tasks, with_claims};

/// The shared profile and others beside it, which tell jobs apart by their ref.
fn with_others() -> String {
    let main = OPEN.replace("name = \"open\"", "name = \"main\"").replace(
        "repository_id = \"{repo}\"",
        "repository_id = \"{repo}\", ref = \"refs/heads/main\"",
    );
    let release = OPEN
        .replace("name = \"open\"", "name = \"release\"")
        .replace(
            "repository_id = \"{repo}\"",
            "repository_id = \"{repo}\", ref = \"refs/heads/release\"",
        );
    format!("{OPEN}{main}{release}")
}

#[tokio::test]
async fn where_several_profiles_take_it_the_request_names_one() {
    let broker = Broker::with(&with_others()).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let token = bearer(&broker, &job);
    let answer = client.exchange_token(&token, None, &[]).await;
    answer.assert_refused(400, "profile_ambiguous");
    assert_eq!(
        (answer.text("error"), answer.field()),
        ("invalid_request", "profile")
    );
    for (name, code, field) in [
        ("release", "profile_unmatched", "ref"),
        ("unknown", "profile_unmatched", "profile"),
        ("Main", "request_malformed", "profile"),
        ("../main", "request_malformed", "profile"),
        ("main ", "request_malformed", "profile"),
    ] {
        let answer = client
            .exchange_token(&token, None, &[("profile", name)])
            .await;
        assert_eq!(
            (answer.code(), answer.field()),
            (code, field),
            "{name}: {answer:?}"
        );
        answer.assert_refused(400, code);
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    // What was refused did not use the evidence up.
    let named = client
        .exchange_token(&token, None, &[("profile", "main")])
        .await;
    named.assert_issued();
    let tasks = tasks(&broker).await;
    assert_eq!(tasks[0].profile.as_str(), "main");
}

#[tokio::test]
async fn a_run_is_one_task_under_one_profile() {
    let broker = Broker::with(&with_others()).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let first = client
        .exchange_token(&bearer(&broker, &job), None, &[("profile", "main")])
        .await;
    first.assert_issued();
    let other = client
        .exchange_token(&bearer(&broker, &job), None, &[("profile", "open")])
        .await;
    other.assert_refused(400, "profile_unmatched");
    assert_eq!(credentials(&broker).await.len(), 1);
    assert!(client.is_active(&first).await);
}

#[tokio::test]
async fn no_profile_takes_the_evidence_of_a_stranger() {
    let broker = Broker::with(&with_others()).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let token = with_claims(&broker, &job, json!({ "repository_id": "4711" }));
    for more in [&[][..], &[("profile", "main")][..]] {
        let answer = client.exchange_token(&token, None, more).await;
        answer.assert_refused(400, "profile_unmatched");
        assert!(answer.json["denial_id"].is_string(), "{answer:?}");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn jobs_of_a_matrix_share_the_task_and_nothing_else() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let jobs = crate::support::forge::jobs(&broker, 3).await;
    let mut held = Vec::new();
    for job in &jobs {
        let token = crate::support::forge::bound(&broker, job, &key);
        let answer = client.exchange_token(&token, Some(&key), &[]).await;
        answer.assert_issued();
        held.push(answer);
    }
    let distinct = |name: &str| {
        let all: std::collections::BTreeSet<_> = held.iter().map(|a| a.text(name)).collect();
        all.len()
    };
    assert_eq!((distinct("task"), distinct("lineage")), (1, 3));
    assert_eq!(distinct("refresh_token"), 3);
    // One job's end is not the others'.
    let stranger = with_claims(&broker, &jobs[0], json!({ "ref": "refs/heads/x" }));
    client
        .exchange_token(&stranger, None, &[])
        .await
        .assert_refused(400, "identity_mismatch");
    client
        .renew(&held[0], &key, &[])
        .await
        .assert_refused(400, "lineage_ended");
    client.renew(&held[1], &key, &[]).await.assert_issued();
    assert!(!client.is_active(&held[0]).await);
    assert!(client.is_active(&held[2]).await);
}
