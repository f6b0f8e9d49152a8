//! A run as the vendor shows it: the same document in the API and in webhooks. A `Scene` is what
//! every such document is drawn from; the documents of jobs and of repositories lie beside.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::repo::Repo;
use crate::repo_payloads::{lite_repository, organization, repository, user};
use crate::run::{Attempt, Run, RunId};
use crate::state::State;

/// Where a site's pages and API live.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) html: String,
    pub(crate) api: String,
}

/// One attempt of one run, with its repository.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) links: &'a Links,
    pub(crate) repo: &'a Repo,
    pub(crate) run: &'a Run,
    pub(crate) attempt: &'a Attempt,
}

impl<'a> Scene<'a> {
    /// The current attempt of a run, or the one of that number.
    pub(crate) fn of(
        state: &'a State,
        links: &'a Links,
        run: RunId,
        attempt: Option<u32>,
    ) -> Option<Self> {
        let run = state.run(run)?;
        let repo = state.repo(&run.repo)?;
        let attempt = match attempt {
            Some(number) => run.attempt(number)?,
            None => &run.current,
        };
        Some(Self {
            links,
            repo,
            run,
            attempt,
        })
    }

    /// The file's name without its ending.
    pub(crate) fn workflow_name(&self) -> &'a str {
        let path = &self.run.spec.workflow;
        let file = path.rsplit('/').next().unwrap_or(path);
        file.split('.').next().unwrap_or(file)
    }

    /// `OWNER/REPO/PATH@REF`
    pub(crate) fn workflow_ref(&self) -> String {
        format!(
            "{}/{}@{}",
            self.repo.full_name(),
            self.run.spec.workflow,
            self.run.git_ref
        )
    }

    pub(crate) fn repo_url(&self) -> String {
        format!("{}/repos/{}", self.links.api, self.repo.full_name())
    }

    pub(crate) fn repo_html_url(&self) -> String {
        format!("{}/{}", self.links.html, self.repo.full_name())
    }

    pub(crate) fn run_url(&self) -> String {
        format!("{}/actions/runs/{}", self.repo_url(), self.run.id)
    }

    pub(crate) fn actor(&self) -> Value {
        user(
            self.links,
            &self.run.spec.actor,
            self.run.spec.actor_id,
            "User",
        )
    }

    /// The run's document.
    pub(crate) fn run(&self) -> Value {
        let run = self.run;
        let repository = lite_repository(self.links, self.repo);
        let mut document = object(json!({
            "id": run.id,
            "name": self.workflow_name(),
            "node_id": node_id("WFR", run.id.0),
            "head_branch": run.branch(),
            "head_sha": run.spec.head_sha,
            "path": run.spec.workflow,
            "display_title": format!("{} on {}", run.spec.event, run.branch()),
            "run_number": run.number,
            "event": run.spec.event,
            "status": self.attempt.phase.status(),
            "conclusion": self.attempt.phase.conclusion(),
            "workflow_id": run.workflow_id,
            "check_suite_id": run.check_suite_id,
            "check_suite_node_id": node_id("CS", run.check_suite_id),
            "pull_requests": [],
            "created_at": timestamp(run.created_at),
            "updated_at": timestamp(self.attempt.updated_at),
            "run_started_at": timestamp(self.attempt.started_at),
            "run_attempt": self.attempt.number,
            "referenced_workflows": [],
            "actor": self.actor(),
            "triggering_actor": self.actor(),
            "head_commit": self.head_commit(),
            "repository": repository,
            "head_repository": repository,
        }));
        document.extend(self.run_links());
        Value::Object(document)
    }

    /// The `workflow_run` event.
    pub(crate) fn run_event(&self, action: &str) -> Value {
        let mut event = self.event(action);
        event.insert("workflow_run".to_owned(), self.run());
        event.insert("workflow".to_owned(), self.workflow());
        Value::Object(event)
    }

    /// What every event of this repository carries.
    pub(crate) fn event(&self, action: &str) -> Map<String, Value> {
        object(json!({
            "action": action,
            "repository": repository(self.links, self.repo),
            "organization": organization(self.links, self.repo),
            "sender": self.actor(),
        }))
    }

    fn run_links(&self) -> Map<String, Value> {
        let url = self.run_url();
        let previous = self
            .attempt
            .number
            .checked_sub(1)
            .filter(|number| *number > 0);
        object(json!({
            "url": url,
            "html_url": format!("{}/actions/runs/{}", self.repo_html_url(), self.run.id),
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "check_suite_url": format!("{}/check-suites/{}", self.repo_url(), self.run.check_suite_id),
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "previous_attempt_url": previous.map(|number| format!("{url}/attempts/{number}")),
            "workflow_url": format!("{}/actions/workflows/{}", self.repo_url(), self.run.workflow_id),
        }))
    }

    fn head_commit(&self) -> Value {
        let actor = &self.run.spec.actor;
        let person = json!({
            "name": actor,
            "email": format!("{}+{actor}@users.noreply.example", self.run.spec.actor_id),
        });
        json!({
            "id": self.run.spec.head_sha,
            "tree_id": self.run.spec.head_sha,
            "message": "Practice",
            "timestamp": timestamp(self.run.created_at),
            "author": person,
            "committer": person,
        })
    }

    fn workflow(&self) -> Value {
        let (id, path) = (self.run.workflow_id, &self.run.spec.workflow);
        let html = self.repo_html_url();
        json!({
            "id": id,
            "node_id": node_id("W", id),
            "name": self.workflow_name(),
            "path": path,
            "state": "active",
            "created_at": timestamp(self.repo.created_at),
            "updated_at": timestamp(self.repo.created_at),
            "url": format!("{}/actions/workflows/{id}", self.repo_url()),
            "html_url": format!("{html}/blob/{}/{path}", self.repo.default_branch),
            "badge_url": format!("{html}/workflows/{}/badge.svg", self.workflow_name()),
        })
    }
}

/// An opaque global id with the prefix of its kind.
pub(crate) fn node_id(kind: &str, id: u64) -> String {
    format!("{kind}_{}", URL_SAFE_NO_PAD.encode(id.to_be_bytes()))
}

/// RFC 3339 in whole seconds, as the vendor writes times.
pub(crate) fn timestamp(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}

/// The members of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
