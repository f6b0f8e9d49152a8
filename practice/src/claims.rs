//! The claims of a job's ID token in the shape GitHub gives them: every value a string except the
//! three times, `sub` in the old or the immutable form, five minutes of life.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::payloads::{Scene, node_id};
use crate::repo::Repo;
use crate::run::Job;
use crate::spec::SubjectForm;

/// How long an ID token of the vendor lives, in seconds.
pub(crate) const LIFETIME_SECS: i64 = 300;

/// Who gives the token to whom, when, for how long.
pub(crate) struct Terms {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jti: String,
    pub(crate) now: OffsetDateTime,
    pub(crate) lifetime_secs: i64,
}

/// The claims of `job` under `terms`.
pub(crate) fn of_job(scene: &Scene<'_>, job: &Job, terms: Terms) -> Map<String, Value> {
    let mut claims = of_run(scene);
    claims.extend(of_place(scene, job));
    let iat = terms.now.unix_timestamp();
    let exp = iat.saturating_add(terms.lifetime_secs);
    claims.insert("iss".to_owned(), terms.issuer.into());
    claims.insert("aud".to_owned(), terms.audience.into());
    claims.insert("jti".to_owned(), terms.jti.into());
    claims.insert("sub".to_owned(), subject(scene, job).into());
    claims.insert("iat".to_owned(), iat.into());
    claims.insert("nbf".to_owned(), iat.saturating_sub(BACKDATED_SECS).into());
    claims.insert("exp".to_owned(), exp.into());
    claims
}

fn of_run(scene: &Scene<'_>) -> Map<String, Value> {
    let (repo, run) = (scene.repo, scene.run);
    let mut claims = Map::new();
    let mut put = |name: &str, value: String| {
        claims.insert(name.to_owned(), Value::String(value));
    };
    put("actor", run.spec.actor.clone());
    put("actor_id", run.spec.actor_id.to_string());
    put("base_ref", run.spec.base_ref.clone());
    put("event_name", run.spec.event.clone());
    put("head_ref", run.spec.head_ref.clone());
    put("ref", run.git_ref.clone());
    put("ref_protected", run.spec.ref_protected.to_string());
    put("ref_type", ref_type(&run.git_ref).to_owned());
    put("repository", repo.full_name());
    put("repository_id", repo.id.to_string());
    put("repository_owner", repo.owner.clone());
    put("repository_owner_id", repo.owner_id.to_string());
    put("repository_visibility", repo.visibility().to_owned());
    put("run_attempt", scene.attempt.number.to_string());
    put("run_id", run.id.to_string());
    put("run_number", run.number.to_string());
    put("sha", run.spec.head_sha.clone());
    put("workflow", scene.workflow_name().to_owned());
    put("workflow_ref", scene.workflow_ref());
    put("workflow_sha", run.spec.head_sha.clone());
    for (name, value) in &repo.properties {
        put(&format!("repo_property_{name}"), value.clone());
    }
    claims
}

fn of_place(scene: &Scene<'_>, job: &Job) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: String| {
        claims.insert(name.to_owned(), Value::String(value));
    };
    put("check_run_id", job.check_run_id.to_string());
    put(
        "job_workflow_ref",
        job.called_workflow
            .clone()
            .unwrap_or_else(|| scene.workflow_ref()),
    );
    put("job_workflow_sha", scene.run.spec.head_sha.clone());
    put(
        "runner_environment",
        job.runner_environment.as_str().to_owned(),
    );
    if let Some(name) = &job.environment {
        put("environment", name.clone());
        if let Some(environment) = scene.repo.environment(name) {
            put("environment_node_id", node_id("EN", environment.id));
        }
    }
    claims
}

/// `sub`: the repository, then the environment, else the pull request, else the ref. A colon
/// inside a value is written `%3A`.
fn subject(scene: &Scene<'_>, job: &Job) -> String {
    let repository = subject_repository(scene.repo);
    match (&job.environment, scene.run.spec.event.as_str()) {
        (Some(name), _) => format!("repo:{repository}:environment:{}", escape(name)),
        (None, "pull_request") => format!("repo:{repository}:pull_request"),
        (None, _) => format!("repo:{repository}:ref:{}", escape(&scene.run.git_ref)),
    }
}

fn subject_repository(repo: &Repo) -> String {
    match repo.subject {
        SubjectForm::Legacy => repo.full_name(),
        SubjectForm::Immutable => {
            format!("{}@{}/{}@{}", repo.owner, repo.owner_id, repo.name, repo.id)
        }
    }
}

fn escape(value: &str) -> String {
    value.replace(':', "%3A")
}

fn ref_type(git_ref: &str) -> &'static str {
    if git_ref.starts_with("refs/tags/") {
        "tag"
    } else {
        "branch"
    }
}

/// The vendor's tokens are valid from ten minutes before they are issued.
const BACKDATED_SECS: i64 = 600;
