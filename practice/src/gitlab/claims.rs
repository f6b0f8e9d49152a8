//! The claims of a job's ID token in the shape GitLab gives them: ids as strings but for the runner's,
//! protections as the words "true" and "false", and a life as long as the job may run.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::state::{Job, Pipeline, Project};
use crate::payloads::object;

/// The project's timeout for jobs, in seconds: how long its ID tokens live.
pub(crate) const TIMEOUT_SECS: i64 = 3_600;

pub(crate) struct Terms {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jti: String,
    pub(crate) now: OffsetDateTime,
}

pub(crate) fn of_job(
    project: &Project,
    pipeline: &Pipeline,
    job: &Job,
    terms: &Terms,
) -> Map<String, Value> {
    let (namespace, _) = project.path.rsplit_once('/').unwrap_or(("", ""));
    let git_ref = &pipeline.spec.git_ref;
    let iat = terms.now.unix_timestamp();
    let host = terms.issuer.split("://").nth(1).unwrap_or("");
    let path = &project.path;
    let mut claims = object(json!({
        "namespace_id": project.namespace_id.to_string(),
        "namespace_path": namespace,
        "project_id": project.id.to_string(),
        "project_path": path,
        "user_id": "42",
        "user_login": "practice-user",
        "user_email": "practice-user@example.org",
        "user_access_level": "maintainer",
        "user_identities": [{ "provider": "saml", "extern_uid": "x-42" }],
        "groups_direct": [namespace],
        "job_project_id": project.id.to_string(),
        "job_project_path": path,
        "job_namespace_id": project.namespace_id.to_string(),
        "job_namespace_path": namespace,
        "pipeline_id": pipeline.id.to_string(),
        "pipeline_source": pipeline.spec.source,
        "job_id": job.id.to_string(),
        "job_source": "pipeline",
        "ref": git_ref,
        "ref_type": "branch",
        "ref_path": format!("refs/heads/{git_ref}"),
        "ref_protected": (git_ref == "main").to_string(),
        "runner_id": 7,
        "runner_environment": "gitlab-hosted",
        "sha": SHA,
        "project_visibility": "private",
        "ci_config_ref_uri": format!("{host}/{path}//.gitlab-ci.yml@refs/heads/{git_ref}"),
        "ci_config_sha": SHA,
        "jti": terms.jti,
        "iat": iat,
        "nbf": iat.saturating_sub(5),
        "exp": iat.saturating_add(TIMEOUT_SECS),
        "iss": terms.issuer,
        "sub": format!("project_path:{path}:ref_type:branch:ref:{git_ref}"),
        "aud": terms.audience,
    }));
    if let Some(name) = &job.spec.environment {
        let environment = project.environments.get(name);
        let protected = environment.is_some_and(|e| e.protection.is_some());
        claims.insert("environment".to_owned(), json!(name));
        claims.insert(
            "environment_protected".to_owned(),
            json!(protected.to_string()),
        );
        claims.insert(
            "deployment_tier".to_owned(),
            json!(environment.map(|e| e.tier)),
        );
        claims.insert("environment_action".to_owned(), json!("start"));
    }
    claims
}

pub(crate) const SHA: &str = "1b2f0c4d5e6a798877665544332211ffeeddccbb";
