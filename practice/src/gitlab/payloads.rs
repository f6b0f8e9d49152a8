//! Pipelines, jobs and environments as GitLab shows them, in the API and in webhooks.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::claims::SHA;
use super::state::{Environment, Job, Pipeline, Project, State};

/// The pipeline's document in the API.
pub(crate) fn pipeline(pipeline: &Pipeline) -> Value {
    json!({
        "id": pipeline.id,
        "iid": pipeline.id % 1_000,
        "project_id": pipeline.project_id,
        "name": null,
        "status": pipeline.status.as_str(),
        "source": pipeline.spec.source,
        "ref": pipeline.spec.git_ref,
        "sha": SHA,
        "before_sha": "0000000000000000000000000000000000000000",
        "tag": false,
        "yaml_errors": null,
        "user": user(),
        "created_at": timestamp(pipeline.created_at),
        "updated_at": timestamp(pipeline.updated_at),
        "started_at": timestamp(pipeline.created_at),
        "finished_at": pipeline.status.is_complete().then(|| timestamp(pipeline.updated_at)),
        "committed_at": null,
        "duration": null,
        "queued_duration": 1,
        "coverage": null,
        "detailed_status": { "text": pipeline.status.as_str(), "has_details": true },
    })
}

/// The job's document in the API.
pub(crate) fn job(owner: &Pipeline, job: &Job) -> Value {
    json!({
        "id": job.id,
        "name": job.spec.name,
        "stage": "deploy",
        "status": job.status.as_str(),
        "ref": owner.spec.git_ref,
        "tag": false,
        "allow_failure": false,
        "created_at": timestamp(job.created_at),
        "started_at": timestamp(job.created_at),
        "finished_at": job.status.is_complete().then(|| timestamp(owner.updated_at)),
        "erased_at": null,
        "duration": null,
        "user": user(),
        "commit": { "id": SHA },
        "pipeline": {
            "id": owner.id,
            "iid": owner.id % 1_000,
            "project_id": owner.project_id,
            "sha": SHA,
            "ref": owner.spec.git_ref,
            "status": owner.status.as_str(),
            "source": owner.spec.source,
        },
        "project": { "ci_job_token_scope_enabled": false },
        "artifacts": [],
        "runner": { "id": 7, "description": "practice", "active": true, "is_shared": true },
        "tag_list": [],
    })
}

/// The environment's document in the API.
pub(crate) fn environment(name: &str, environment: &Environment) -> Value {
    json!({
        "id": environment.id,
        "name": name,
        "slug": name.replace('/', "-"),
        "external_url": null,
        "state": "available",
        "tier": environment.tier,
        "created_at": timestamp(environment.created_at),
        "updated_at": timestamp(environment.created_at),
        "auto_stop_at": null,
        "description": null,
    })
}

/// The protected environment's document; nothing protects many of them.
pub(crate) fn protection(name: &str, environment: &Environment) -> Option<Value> {
    let protection = environment.protection.as_ref()?;
    Some(json!({
        "name": name,
        "deploy_access_levels": [{
            "id": 12,
            "access_level": protection.access_level,
            "access_level_description": "as configured",
            "user_id": null,
            "group_id": null,
            "group_inheritance_type": 0,
        }],
        "required_approval_count": 0,
        "approval_rules": [{
            "id": 38,
            "user_id": null,
            "group_id": null,
            "access_level": 40,
            "access_level_description": "Maintainers",
            "required_approvals": protection.required_approvals,
            "group_inheritance_type": 0,
        }],
    }))
}

/// The body of a Job Hook.
pub(crate) fn job_event(project: &Project, pipeline: &Pipeline, job: &Job) -> Value {
    json!({
        "object_kind": "build",
        "ref": pipeline.spec.git_ref,
        "tag": false,
        "sha": SHA,
        "build_id": job.id,
        "build_name": job.spec.name,
        "build_stage": "deploy",
        "build_status": job.status.as_str(),
        "build_created_at": webhook_time(job.created_at),
        "build_allow_failure": false,
        "build_failure_reason": "unknown_failure",
        "retries_count": 0,
        "pipeline_id": pipeline.id,
        "project_id": project.id,
        "project_name": project.path.replace('/', " / "),
        "user": user(),
        "commit": { "id": pipeline.id, "sha": SHA, "status": pipeline.status.as_str() },
        "repository": { "name": project.path },
        "project": project_of(project),
        "runner": { "id": 7, "description": "practice" },
        "environment": job.spec.environment.as_ref().map(|name| json!({ "name": name, "action": "start" })),
    })
}

/// The body of a Pipeline Hook.
pub(crate) fn pipeline_event(state: &State, project: &Project, pipeline: &Pipeline) -> Value {
    let jobs = pipeline.jobs.iter().filter_map(|id| state.job(*id));
    let builds: Vec<Value> = jobs
        .map(|job| {
            json!({
                "id": job.id,
                "stage": "deploy",
                "name": job.spec.name,
                "status": job.status.as_str(),
                "created_at": webhook_time(job.created_at),
                "manual": false,
                "allow_failure": false,
                "user": user(),
            })
        })
        .collect();
    json!({
        "object_kind": "pipeline",
        "object_attributes": {
            "id": pipeline.id,
            "iid": pipeline.id % 1_000,
            "ref": pipeline.spec.git_ref,
            "tag": false,
            "sha": SHA,
            "source": pipeline.spec.source,
            "status": pipeline.status.as_str(),
            "detailed_status": pipeline.status.as_str(),
            "created_at": webhook_time(pipeline.created_at),
            "finished_at": pipeline.status.is_complete().then(|| webhook_time(pipeline.updated_at)),
        },
        "merge_request": null,
        "user": user(),
        "project": project_of(project),
        "commit": { "id": SHA },
        "builds": builds,
    })
}

fn project_of(project: &Project) -> Value {
    json!({
        "id": project.id,
        "name": project.path.rsplit('/').next(),
        "path_with_namespace": project.path,
        "visibility_level": 0,
        "default_branch": "main",
    })
}

fn user() -> Value {
    json!({ "id": 42, "name": "Practice", "username": "practice-user" })
}

/// RFC 3339 with milliseconds, as the API writes times.
fn timestamp(at: OffsetDateTime) -> String {
    let whole = crate::payloads::timestamp(at);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), at.millisecond())
}

/// Webhooks write times in a form of their own.
fn webhook_time(at: OffsetDateTime) -> String {
    let whole = crate::payloads::timestamp(at);
    format!("{} UTC", whole.trim_end_matches('Z').replace('T', " "))
}
