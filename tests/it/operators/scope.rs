//! How far an order about a task reaches: over the whole run, or over the one job that the profile makes a
//! task of.

use serde_json::json;
use writ_practice::client::SessionKey;
use writ_practice::{LabJob, StartJob, StartPipeline};

use crate::gitlab::{self, gitlab};
use crate::support::broker::{Broker, ENVIRONMENT};
use crate::support::client::{Answer, Client, run_with};
use crate::support::desk::Desk;
use crate::support::held::BILLING;
use crate::support::profiles::DEPLOY;

/// Three jobs of one matrix, each with its session.
struct Matrix {
    client: Client,
    desk: Desk,
    jobs: Vec<(SessionKey, Answer)>,
}

impl Matrix {
    async fn of(broker: &Broker, tokens: Vec<(SessionKey, String)>) -> Self {
        let client = broker.client();
        let mut jobs = Vec::new();
        for (key, token) in tokens {
            let first = client.exchange_token(&token, Some(&key), BILLING).await;
            first.assert_issued();
            jobs.push((key, first));
        }
        let desk = Desk::open(broker);
        Self { client, desk, jobs }
    }

    async fn github(broker: &Broker) -> Self {
        let job = |n| StartJob::new(&format!("build ({n})")).in_environment(ENVIRONMENT);
        let run = run_with(broker, (1..=3).map(job).collect()).await;
        broker.pass(std::time::Duration::from_secs(2)).await;
        let client = broker.client();
        let mut tokens = Vec::new();
        for job in &run.jobs {
            let key = SessionKey::generate().unwrap();
            let audience = format!("{}/jkt/{}", broker.issuer, key.thumbprint());
            let token = client.id_token(job, &audience).await;
            tokens.push((key, token));
        }
        Self::of(broker, tokens).await
    }

    async fn gitlab(broker: &Broker) -> Self {
        let job = |n| LabJob::new(&format!("build {n}/3")).in_environment(ENVIRONMENT);
        let jobs = (1..=3).map(job).collect();
        let start = StartPipeline::new(broker.project.project_id, &broker.issuer, jobs);
        let run = broker.lab().start(start).await.unwrap();
        broker.reread_all().await;
        let jobs = run.jobs.iter();
        let tokens = jobs.map(|job| (SessionKey::generate().unwrap(), job.id_token.clone()));
        Self::of(broker, tokens.collect()).await
    }

    fn tasks(&self) -> std::collections::BTreeSet<&str> {
        let names = self.jobs.iter().map(|(_, held)| held.text("task_name"));
        names.collect()
    }

    /// Revokes the first one's task, and says which of the three go on.
    async fn after_revoking_the_first(&self) -> Vec<bool> {
        let name = self.jobs[0].1.text("task_name").replace('/', "%2F");
        let order = format!("/api/v1/tasks/{name}/revoke");
        let ended = self
            .desk
            .post(&order, &json!({ "reason": "one job" }))
            .await;
        assert_eq!(ended.json["outcome"], "ended", "{ended:?}");
        let mut go_on = Vec::new();
        for (key, held) in &self.jobs {
            let active = self.client.is_active(held).await;
            let renewed = self.client.renew(held, key, &[]).await;
            if active {
                renewed.assert_issued();
            } else {
                renewed.assert_refused(400, "task_revoked");
            }
            go_on.push(active);
        }
        go_on
    }
}

fn scoped(profile: &str, template: &str, scope: &str) -> String {
    assert!(profile.contains(template));
    profile.replacen(template, &format!("task_scope = \"{scope}\""), 1)
}

#[tokio::test]
async fn a_run_is_one_task_or_one_for_each_job_of_its_matrix() {
    let by_run = "task = \"{repository_id}/{run_id}/{run_attempt}\"";
    for (scope, tasks, go_on) in [
        ("job", 3, vec![false, true, true]),
        ("run", 1, vec![false; 3]),
    ] {
        let broker = Broker::with(&scoped(DEPLOY, by_run, scope)).await;
        let matrix = Matrix::github(&broker).await;
        assert_eq!(matrix.tasks().len(), tasks, "{scope}");
        assert_eq!(matrix.after_revoking_the_first().await, go_on, "{scope}");
    }
}

#[tokio::test]
async fn a_pipeline_is_one_task_or_one_for_each_job_of_its_matrix() {
    let by_pipeline = "task = \"{project_id}/{pipeline_id}\"";
    for (scope, tasks, go_on) in [
        ("job", 3, vec![false, true, true]),
        ("run", 1, vec![false; 3]),
    ] {
        let broker = gitlab(&scoped(gitlab::DEPLOY, by_pipeline, scope)).await;
        let matrix = Matrix::gitlab(&broker).await;
        assert_eq!(matrix.tasks().len(), tasks, "{scope}");
        assert_eq!(matrix.after_revoking_the_first().await, go_on, "{scope}");
    }
}

#[tokio::test]
async fn the_end_of_a_run_ends_the_task_of_each_of_its_jobs() {
    let by_run = "task = \"{repository_id}/{run_id}/{run_attempt}\"";
    let broker = Broker::with(&scoped(DEPLOY, by_run, "job")).await;
    let matrix = Matrix::github(&broker).await;
    let name = matrix.jobs[0].1.text("task_name");
    let run = name.split('/').nth(2).unwrap().parse().unwrap();
    broker
        .site()
        .cancel_run(writ_practice::RunId(run))
        .await
        .unwrap();
    broker.settle_hooks().await;
    for (_, held) in &matrix.jobs {
        assert!(!matrix.client.is_active(held).await);
    }
    let listed = matrix.desk.get("/api/v1/tasks").await;
    let states = listed.json["tasks"].as_array().unwrap().iter();
    let over: Vec<_> = states.map(|task| task["state"] == "over").collect();
    assert_eq!(over, [true; 3], "{listed:?}");
}
