//! GitLab as a source that is asked: pipelines, jobs and environments by its REST API. Everything is
//! asked for by id; what is found must carry the record's own ids all the same.
//!
//! Which states are terminal is decided in `docs/decisions/0006-a-gitlab-pipeline-is-never-over.md`.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::attest::gitlab::{job_record, pipeline_record};
use crate::context::rest::{RestApi, absent, digest, no_cases, parse, part, unknown_status};
use crate::context::{ContextSource, Reading, Unreadable};
use crate::domain::context::{
    Environment, Job, Locator, Pipeline, Record, RecordKey, RecordKind, RunStatus,
};
use crate::domain::time::Timestamp;

/// GitLab's REST API, version 4.
pub struct GitlabApi(pub RestApi);

impl ContextSource for GitlabApi {
    fn read<'a>(
        &'a self,
        record: &'a RecordKey,
        locate: &'a Locator,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
        Box::pin(async move {
            let project = format!("/projects/{}", part(locate, "project_id")?);
            match record.kind {
                RecordKind::Pipeline => {
                    let path = format!("{project}/pipelines/{}", part(locate, "pipeline_id")?);
                    let body = self.get(&path, record, now).await?;
                    body.map_or_else(|| Ok(absent()), |body| read_pipeline(&body, record))
                }
                RecordKind::Job => {
                    let path = format!("{project}/jobs/{}", part(locate, "job_id")?);
                    let body = self.get(&path, record, now).await?;
                    body.map_or_else(|| Ok(absent()), |body| read_job(&body, record))
                }
                RecordKind::Environment => self.environment(&project, record, locate, now).await,
                RecordKind::Case => Err(no_cases(record)),
            }
        })
    }
}

impl GitlabApi {
    async fn get(
        &self,
        path: &str,
        record: &RecordKey,
        now: Timestamp,
    ) -> Result<Option<bytes::Bytes>, Unreadable> {
        self.0.get(path, HeaderMap::new(), record, now).await
    }

    /// The environment is found by its name, and its protection by a call of its own: GitLab answers
    /// that one 404 where nothing protects it.
    async fn environment(
        &self,
        project: &str,
        record: &RecordKey,
        locate: &Locator,
        now: Timestamp,
    ) -> Result<Reading, Unreadable> {
        let name = part(locate, "environment")?;
        let path = format!("{project}/environments?name={name}");
        let Some(found) = self.get(&path, record, now).await? else {
            return Ok(absent());
        };
        let found: Vec<RawEnvironment> = parse(&found, record)?;
        let wanted = locate.0.get("environment");
        let Some(environment) = found.into_iter().find(|e| Some(&e.name) == wanted) else {
            return Ok(absent());
        };
        let path = format!("{project}/protected_environments/{name}");
        let rules = self.get(&path, record, now).await?;
        let rules: Option<RawProtection> = match rules {
            Some(body) => Some(parse(&body, record)?),
            None => None,
        };
        let record = Record::Environment(Environment {
            id: environment.id.to_string(),
            protected: rules.is_some(),
            protection_rules: protection(&environment, rules.as_ref()),
            name: environment.name,
        });
        Ok(Reading {
            record: Some(record),
            // Editing the protection does not touch the environment's own `updated_at`.
            version: None,
        })
    }
}

#[derive(Deserialize)]
struct RawPipeline {
    id: u64,
    project_id: u64,
    status: String,
    source: Option<String>,
    sha: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct RawJob {
    id: u64,
    status: String,
    pipeline: RawOwner,
}

#[derive(Deserialize)]
struct RawOwner {
    id: u64,
    project_id: u64,
}

#[derive(Deserialize)]
struct RawEnvironment {
    id: u64,
    name: String,
    tier: Option<String>,
}

#[derive(Deserialize)]
struct RawProtection {
    #[serde(default)]
    deploy_access_levels: Vec<Value>,
    #[serde(default)]
    approval_rules: Vec<Value>,
    #[serde(default)]
    required_approval_count: u64,
}

fn read_pipeline(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let raw: RawPipeline = parse(body, record)?;
    if pipeline_record(&raw.project_id.to_string(), &raw.id.to_string()) != record.id {
        return Ok(absent());
    }
    let pipeline = Pipeline {
        status: pipeline_status(&raw.status).ok_or_else(|| unknown_status(record))?,
        conclusion: conclusion(&raw.status),
        event: raw.source,
        head_sha: raw.sha,
        head_branch: raw.git_ref,
        workflow: None,
    };
    Ok(Reading {
        record: Some(Record::Pipeline(pipeline)),
        // An instance may be set to a time zone of its own; only in UTC do times grow as text.
        version: raw.updated_at.filter(|at| at.ends_with('Z')),
    })
}

fn read_job(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let raw: RawJob = parse(body, record)?;
    let (project, pipeline) = (
        raw.pipeline.project_id.to_string(),
        raw.pipeline.id.to_string(),
    );
    if job_record(&project, &pipeline, &raw.id.to_string()) != record.id {
        return Ok(absent());
    }
    let status = job_status(&raw.status).ok_or_else(|| unknown_status(record))?;
    let over = status == RunStatus::Completed;
    let job = Job {
        status,
        conclusion: over.then(|| conclusion(&raw.status)).flatten(),
    };
    Ok(Reading {
        record: Some(Record::Job(job)),
        version: None,
    })
}

/// No state of a pipeline is final: a job of it can be retried, or played, at any later time.
fn pipeline_status(text: &str) -> Option<RunStatus> {
    match text {
        "success" | "failed" | "canceled" | "canceling" | "skipped" => Some(RunStatus::Stopped),
        _ => before_the_end(text),
    }
}

/// A job that ended is over for good, since its retry is another job. One that was skipped never ran,
/// and is not over: a retry of the pipeline can still start it under the same id. One that is being
/// cancelled runs nothing but its `after_script`.
fn job_status(text: &str) -> Option<RunStatus> {
    match text {
        "success" | "failed" | "canceled" => Some(RunStatus::Completed),
        "canceling" => Some(RunStatus::Stopped),
        "skipped" => Some(RunStatus::Waiting),
        _ => before_the_end(text),
    }
}

fn before_the_end(text: &str) -> Option<RunStatus> {
    match text {
        "created" | "pending" => Some(RunStatus::Queued),
        "waiting_for_resource" | "waiting_for_callback" | "preparing" | "manual" | "scheduled" => {
            Some(RunStatus::Waiting)
        }
        "running" => Some(RunStatus::InProgress),
        _ => None,
    }
}

/// How it ended, in the words that every vendor's records use.
fn conclusion(text: &str) -> Option<String> {
    let word = match text {
        "success" => "success",
        "failed" => "failure",
        "canceled" => "cancelled",
        "skipped" => "skipped",
        _ => return None,
    };
    Some(word.to_owned())
}

/// A digest over what protects the environment in its project, in a canonical order: its tier, which
/// rules of groups go by, who may deploy, and who has to approve. Rules that are deleted and made
/// again as they were are the same rules.
fn protection(environment: &RawEnvironment, rules: Option<&RawProtection>) -> String {
    let plain = |levels: &[Value]| {
        let mut plain: Vec<String> = levels.iter().map(plain_level).collect();
        plain.sort_unstable();
        plain
    };
    let rules = rules.map(|rules| {
        json!({
            "deploy": plain(&rules.deploy_access_levels),
            "approve": plain(&rules.approval_rules),
            "approvals": rules.required_approval_count,
        })
    });
    digest(&json!({ "tier": environment.tier, "rules": rules }).to_string())
}

fn plain_level(level: &Value) -> String {
    let fields = [
        "access_level",
        "user_id",
        "group_id",
        "group_inheritance_type",
        "required_approvals",
    ];
    json!(fields.map(|name| level.get(name))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: RecordKind, id: &str) -> RecordKey {
        RecordKey {
            source: "gitlab".parse().unwrap(),
            kind,
            id: id.to_owned(),
        }
    }

    fn pipeline(status: &str, updated_at: &str) -> Reading {
        let body = json!({
            "id": 574, "iid": 3, "project_id": 20, "status": status, "source": "push",
            "ref": "main", "sha": "c0ffee", "updated_at": updated_at,
        });
        let record = key(RecordKind::Pipeline, "20/574");
        read_pipeline(body.to_string().as_bytes(), &record).unwrap()
    }

    fn job(status: &str) -> Result<Reading, Unreadable> {
        let body =
            json!({ "id": 302, "status": status, "pipeline": { "id": 574, "project_id": 20 } });
        read_job(
            body.to_string().as_bytes(),
            &key(RecordKind::Job, "20/574/302"),
        )
    }

    #[test]
    fn a_pipeline_that_ended_may_go_on_and_a_job_that_ended_may_not() {
        for ended in ["success", "failed", "canceled"] {
            let run = pipeline(ended, "2026-11-22T05:00:00.000Z").record.unwrap();
            assert!(run.is_over() && !run.is_terminal(), "{ended}");
            assert!(job(ended).unwrap().record.unwrap().is_terminal(), "{ended}");
        }
        let skipped = job("skipped").unwrap().record.unwrap();
        assert!(!skipped.is_over(), "a skipped job can still be started");
        let cancelled = job("canceling").unwrap().record.unwrap();
        assert!(cancelled.is_over() && !cancelled.is_terminal());
    }

    #[test]
    fn every_other_status_is_neither_running_nor_over_and_an_unknown_one_is_unreadable() {
        for early in [
            "created",
            "waiting_for_resource",
            "preparing",
            "pending",
            "manual",
            "scheduled",
            "waiting_for_callback",
        ] {
            let found = job(early).unwrap().record.unwrap();
            assert!(!found.is_over(), "{early}");
            assert_ne!(found.field("status"), Some("in_progress"), "{early}");
        }
        for unknown in ["Success", "", "done", "in_progress"] {
            job(unknown).unwrap_err();
        }
    }

    #[test]
    fn a_job_of_another_pipeline_or_project_is_absent() {
        let body = |pipeline: u64, project: u64| {
            json!({ "id": 302, "status": "running",
                    "pipeline": { "id": pipeline, "project_id": project } })
            .to_string()
        };
        let record = key(RecordKind::Job, "20/574/302");
        let read = |text: String| read_job(text.as_bytes(), &record).unwrap().record;
        assert!(read(body(574, 20)).is_some());
        assert_eq!(read(body(575, 20)), None);
        assert_eq!(read(body(574, 21)), None);
    }

    #[test]
    fn a_version_in_a_zone_that_moves_is_no_version() {
        assert!(
            pipeline("running", "2026-11-22T05:00:00.000Z")
                .version
                .is_some()
        );
        let local = pipeline("running", "2026-11-22T05:00:00.000+01:00");
        assert_eq!(local.version, None);
    }

    #[test]
    fn rules_made_again_as_they_were_change_nothing_and_other_rules_do() {
        let digest = |tier: &str, rules: Option<Value>| {
            let environment = RawEnvironment {
                id: 1,
                name: "production".to_owned(),
                tier: Some(tier.to_owned()),
            };
            let rules = rules.map(|rules| serde_json::from_value(rules).unwrap());
            protection(&environment, rules.as_ref())
        };
        let level = |id: u64, level: u64| {
            json!({ "id": id, "access_level": level, "access_level_description": "x",
                    "user_id": null, "group_id": null })
        };
        let rules = |levels: Vec<Value>, approvals: u64| {
            Some(
                json!({ "name": "production", "deploy_access_levels": levels,
                         "required_approval_count": approvals, "approval_rules": [] }),
            )
        };
        let one = digest("production", rules(vec![level(1, 40), level(2, 60)], 0));
        let again = digest("production", rules(vec![level(9, 60), level(8, 40)], 0));
        assert_eq!(one, again);
        for other in [
            digest("production", rules(vec![level(1, 30), level(2, 60)], 0)),
            digest("production", rules(vec![level(1, 40), level(2, 60)], 1)),
            digest("staging", rules(vec![level(1, 40), level(2, 60)], 0)),
            digest("production", rules(vec![], 0)),
            digest("production", None),
        ] {
            assert_ne!(one, other);
        }
    }
}
