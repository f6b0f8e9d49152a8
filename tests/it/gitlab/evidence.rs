//! The token: one per job, good for as long as the job may run, and for nobody else.

use std::time::Duration;

use serde_json::{Map, Value, json};
use writ_practice::client::SessionKey;

use super::{BILLING, DEPLOY, Held, gitlab, two_jobs};

fn over(pairs: &[(&str, Value)]) -> Map<String, Value> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

#[tokio::test]
async fn a_token_is_taken_for_an_hour_however_late_it_would_expire() {
    for (minutes, taken) in [(59, true), (61, false)] {
        let broker = gitlab(DEPLOY).await;
        let run = two_jobs(&broker).await;
        let client = broker.client();
        let day = broker.lab().mint(
            run.jobs[0].job_id,
            &broker.issuer,
            over(&[("exp", json!(4_000_000_000_u64))]),
        );
        broker.pass(Duration::from_mins(minutes)).await;
        let answer = client.exchange_token(&day.unwrap(), None, BILLING).await;
        if taken {
            answer.assert_issued();
        } else {
            answer.assert_refused(400, "evidence_expired");
            assert_eq!(broker.recorded().await.credentials, 0);
        }
    }
}

#[tokio::test]
async fn a_token_shown_twice_without_a_key_opens_one_session() {
    let broker = gitlab(DEPLOY).await;
    let run = two_jobs(&broker).await;
    let client = broker.client();
    let token = &run.jobs[0].id_token;
    client
        .exchange_token(token, None, BILLING)
        .await
        .assert_issued();
    let before = broker.recorded().await;
    let again = client.exchange_token(token, None, BILLING).await;
    again.assert_refused(400, "evidence_replayed");
    assert_eq!(broker.recorded().await, before);
}

/// A27: who registers the path of a project that was deleted has another project.
#[tokio::test]
async fn a27_another_project_of_the_same_path_is_another() {
    let held = Held::new().await;
    let lab = held.broker.lab();
    let key = SessionKey::generate().unwrap();
    for other in [
        over(&[("project_id", json!("7"))]),
        over(&[("project_id", json!("octo/app"))]),
        over(&[("project_id", Value::Null)]),
        over(&[("environment", Value::Null)]),
        over(&[("ref", json!("feature"))]),
        over(&[("job_id", Value::Null)]),
    ] {
        let token = lab.mint(held.run.jobs[1].job_id, &held.broker.issuer, other.clone());
        let token = token.unwrap();
        let before = held.broker.recorded().await;
        let answer = held.client.exchange_token(&token, Some(&key), BILLING);
        let answer = answer.await;
        assert_eq!(answer.status, 400, "{other:?}: {answer:?}");
        assert!(answer.json.get("access_token").is_none());
        assert_eq!(held.broker.recorded().await, before);
    }
}

/// A29: `sub` is configurable, and is not read.
#[tokio::test]
async fn a29_whatever_the_subject_says_the_decision_is_the_same() {
    let broker = gitlab(DEPLOY).await;
    let run = two_jobs(&broker).await;
    let client = broker.client();
    for (job, subject) in run.jobs.iter().zip(["project_path:evil/app", "x"]) {
        let sub = over(&[("sub", json!(subject))]);
        let token = broker.lab().mint(job.job_id, &broker.issuer, sub).unwrap();
        let key = SessionKey::generate().unwrap();
        let answer = client.exchange_token(&token, Some(&key), BILLING).await;
        answer.assert_issued();
    }
}

#[tokio::test]
async fn a_token_that_names_a_job_of_another_pipeline_finds_no_record() {
    let held = Held::new().await;
    let other = two_jobs(&held.broker).await;
    let mixed = over(&[("pipeline_id", json!(held.run.pipeline_id.to_string()))]);
    let token = held
        .broker
        .lab()
        .mint(other.jobs[0].job_id, &held.broker.issuer, mixed);
    let key = SessionKey::generate().unwrap();
    let (token, before) = (token.unwrap(), held.broker.recorded().await);
    let answer = held.client.exchange_token(&token, Some(&key), BILLING);
    answer.await.assert_refused(400, "context_unknown");
    assert_eq!(held.broker.recorded().await, before);
}
