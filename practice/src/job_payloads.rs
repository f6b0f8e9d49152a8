//! A job as the vendor shows it: in the API and in webhooks, as a check run, and, if it has an
//! environment, as the deployment it makes.

use serde_json::{Value, json};

use crate::payloads::{Scene, node_id, timestamp};
use crate::repo_payloads::user;
use crate::run::{Job, Phase};
use crate::spec::RunnerEnvironment;

impl Scene<'_> {
    /// The job's document.
    pub(crate) fn job(&self, job: &Job) -> Value {
        let runner = Runner::of(job);
        json!({
            "id": job.id,
            "run_id": job.run,
            "run_attempt": job.attempt,
            "run_url": self.run_url(),
            "node_id": node_id("CR", job.id.0),
            "head_sha": self.run.spec.head_sha,
            "head_branch": self.run.branch(),
            "url": format!("{}/actions/jobs/{}", self.repo_url(), job.id),
            "html_url": self.job_html_url(job),
            "check_run_url": self.check_run_url(job),
            "status": job.phase.status(),
            "conclusion": job.phase.conclusion(),
            "created_at": timestamp(job.created_at),
            "started_at": timestamp(job.created_at),
            "completed_at": job.phase.completed_at().map(timestamp),
            "name": job.name,
            "workflow_name": self.workflow_name(),
            "steps": steps(job),
            "labels": [runner.label],
            "runner_id": runner.id,
            "runner_name": runner.name,
            "runner_group_id": runner.id.map(|_| 1),
            "runner_group_name": runner.id.map(|_| "Default"),
        })
    }

    /// The `workflow_job` event.
    pub(crate) fn job_event(&self, job: &Job, action: &str) -> Value {
        let mut event = self.event(action);
        event.insert("workflow_job".to_owned(), self.job(job));
        if let Some(deployment) = self.deployment(job) {
            event.insert("deployment".to_owned(), deployment);
        }
        Value::Object(event)
    }

    /// The job's check run.
    pub(crate) fn check_run(&self, job: &Job) -> Value {
        let url = self.check_run_url(job);
        let mut document = json!({
            "id": job.check_run_id,
            "head_sha": self.run.spec.head_sha,
            "node_id": node_id("CR", job.check_run_id.0),
            "external_id": job.key,
            "url": url,
            "html_url": self.job_html_url(job),
            "details_url": self.job_html_url(job),
            "status": job.phase.status(),
            "conclusion": job.phase.conclusion(),
            "started_at": timestamp(job.created_at),
            "completed_at": job.phase.completed_at().map(timestamp),
            "output": {
                "title": null,
                "summary": null,
                "text": null,
                "annotations_count": 0,
                "annotations_url": format!("{url}/annotations"),
            },
            "name": job.name,
            "check_suite": { "id": self.run.check_suite_id },
            "app": self.app(),
            "pull_requests": [],
        });
        if let (Some(deployment), Some(members)) = (self.deployment(job), document.as_object_mut())
        {
            members.insert("deployment".to_owned(), deployment);
        }
        document
    }

    fn deployment(&self, job: &Job) -> Option<Value> {
        let environment = job.environment.as_ref()?;
        let url = format!("{}/deployments/{}", self.repo_url(), job.deployment_id);
        Some(json!({
            "url": url,
            "id": job.deployment_id,
            "node_id": node_id("DE", job.deployment_id),
            "task": "deploy",
            "original_environment": environment,
            "environment": environment,
            "description": null,
            "created_at": timestamp(job.created_at),
            "updated_at": timestamp(job.phase.completed_at().unwrap_or(job.created_at)),
            "statuses_url": format!("{url}/statuses"),
            "repository_url": self.repo_url(),
            "sha": self.run.spec.head_sha,
            "ref": self.run.branch(),
            "payload": {},
            "transient_environment": false,
            "production_environment": false,
            "creator": self.actor(),
            "performed_via_github_app": null,
        }))
    }

    fn app(&self) -> Value {
        json!({
            "id": ACTIONS_APP_ID,
            "slug": "github-actions",
            "node_id": node_id("A", ACTIONS_APP_ID),
            "owner": user(self.links, "github", 9919, "Organization"),
            "name": "GitHub Actions",
            "description": "Automate your workflow from idea to production",
            "external_url": format!("{}/features/actions", self.links.html),
            "html_url": format!("{}/apps/github-actions", self.links.html),
            "created_at": timestamp(self.repo.created_at),
            "updated_at": timestamp(self.repo.created_at),
            "permissions": { "actions": "write", "checks": "write", "metadata": "read" },
            "events": ["check_run", "workflow_run"],
        })
    }

    fn check_run_url(&self, job: &Job) -> String {
        format!("{}/check-runs/{}", self.repo_url(), job.check_run_id)
    }

    fn job_html_url(&self, job: &Job) -> String {
        format!(
            "{}/actions/runs/{}/job/{}",
            self.repo_html_url(),
            job.run,
            job.check_run_id
        )
    }
}

struct Runner {
    id: Option<u64>,
    name: Option<String>,
    label: &'static str,
}

impl Runner {
    /// A queued job has no runner yet.
    fn of(job: &Job) -> Self {
        let id = (job.phase != Phase::Queued).then_some(job.id.0 % 1_000 + 1);
        let (label, kind) = match job.runner_environment {
            RunnerEnvironment::GithubHosted => ("ubuntu-latest", "GitHub Actions"),
            RunnerEnvironment::SelfHosted => ("self-hosted", "practice"),
        };
        Self {
            id,
            name: id.map(|id| format!("{kind} {id}")),
            label,
        }
    }
}

fn steps(job: &Job) -> Value {
    let started = timestamp(job.created_at);
    let set_up = json!({
        "name": "Set up job",
        "status": "completed",
        "conclusion": "success",
        "number": 1,
        "started_at": started,
        "completed_at": started,
    });
    let work = json!({
        "name": job.name,
        "status": job.phase.status(),
        "conclusion": job.phase.conclusion(),
        "number": 2,
        "started_at": started,
        "completed_at": job.phase.completed_at().map(timestamp),
    });
    match job.phase {
        Phase::Queued => json!([]),
        Phase::InProgress | Phase::Completed { .. } => json!([set_up, work]),
    }
}

const ACTIONS_APP_ID: u64 = 15_368;
