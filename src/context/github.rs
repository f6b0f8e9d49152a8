//! GitHub as a source that is asked: runs, jobs and environments by its REST API. What is found
//! must carry the record's own ids: a repository that was deleted and registered again under its
//! name is another one.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::rest::{
    RestApi, absent, digest, escape, no_cases, parse, part, unknown_status,
};
use crate::context::{ContextSource, Reading, Unreadable};
use crate::domain::context::{
    Environment, Job, Locator, Pipeline, Record, RecordKey, RecordKind, RunStatus,
};
use crate::domain::time::Timestamp;

/// GitHub's REST API.
pub struct GithubApi(pub RestApi);

impl ContextSource for GithubApi {
    fn read<'a>(
        &'a self,
        record: &'a RecordKey,
        locate: &'a Locator,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
        Box::pin(async move {
            let path = path(record, locate)?;
            let Some(body) = self.0.get(&path, headers(), record, now).await? else {
                return Ok(absent());
            };
            match record.kind {
                RecordKind::Pipeline => read_run(&body, record),
                RecordKind::Job => read_job(&body, record),
                RecordKind::Environment => read_environment(&body, record),
                RecordKind::Case => Err(no_cases(record)),
            }
        })
    }
}

fn path(record: &RecordKey, locate: &Locator) -> Result<String, Unreadable> {
    let part = |name| part(locate, name);
    let repository = locate
        .0
        .get("repository")
        .and_then(|name| name.split_once('/'));
    let (owner, name) =
        repository.ok_or_else(|| Unreadable("nothing says which repository".to_owned()))?;
    let repository = format!("/repos/{}/{}", escape(owner), escape(name));
    Ok(match record.kind {
        RecordKind::Pipeline => {
            format!(
                "{repository}/actions/runs/{}/attempts/{}",
                part("run_id")?,
                part("run_attempt")?
            )
        }
        RecordKind::Job => format!("{repository}/check-runs/{}", part("check_run_id")?),
        RecordKind::Environment => format!("{repository}/environments/{}", part("environment")?),
        RecordKind::Case => return Err(no_cases(record)),
    })
}

#[derive(Deserialize)]
struct RawRun {
    id: u64,
    run_attempt: u64,
    status: String,
    conclusion: Option<String>,
    event: Option<String>,
    head_sha: Option<String>,
    head_branch: Option<String>,
    path: Option<String>,
    updated_at: Option<String>,
    repository: RawId,
}

#[derive(Deserialize)]
struct RawId {
    id: u64,
}

#[derive(Deserialize)]
struct RawJob {
    id: u64,
    status: String,
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct RawEnvironment {
    id: u64,
    name: String,
    #[serde(default)]
    protection_rules: Vec<Value>,
    deployment_branch_policy: Option<Value>,
    updated_at: Option<String>,
}

fn read_run(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let run: RawRun = parse(body, record)?;
    let found = crate::attest::github::run_record(
        &run.repository.id.to_string(),
        &run.id.to_string(),
        &run.run_attempt.to_string(),
    );
    if found != record.id {
        return Ok(absent());
    }
    let pipeline = Pipeline {
        status: status(&run.status, record)?,
        conclusion: run.conclusion,
        event: run.event,
        head_sha: run.head_sha,
        head_branch: run.head_branch,
        workflow: run.path,
    };
    Ok(Reading {
        record: Some(Record::Pipeline(pipeline)),
        version: run.updated_at,
    })
}

fn read_job(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let job: RawJob = parse(body, record)?;
    let wanted = record.id.rsplit('/').next();
    if wanted != Some(job.id.to_string().as_str()) {
        return Ok(absent());
    }
    let record = Record::Job(Job {
        status: status(&job.status, record)?,
        conclusion: job.conclusion,
    });
    Ok(Reading {
        record: Some(record),
        version: None,
    })
}

fn read_environment(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let raw: RawEnvironment = parse(body, record)?;
    let environment = Environment {
        id: raw.id.to_string(),
        name: raw.name,
        protected: !raw.protection_rules.is_empty() || raw.deployment_branch_policy.is_some(),
        protection_rules: protection(&raw.protection_rules, raw.deployment_branch_policy.as_ref()),
    };
    Ok(Reading {
        record: Some(Record::Environment(environment)),
        version: raw.updated_at,
    })
}

/// A status that is not known says nothing: neither alive nor over.
fn status(text: &str, record: &RecordKey) -> Result<RunStatus, Unreadable> {
    match text {
        "queued" | "requested" | "pending" => Ok(RunStatus::Queued),
        "waiting" => Ok(RunStatus::Waiting),
        "in_progress" => Ok(RunStatus::InProgress),
        "completed" => Ok(RunStatus::Completed),
        _ => Err(unknown_status(record)),
    }
}

/// A digest over what protects the environment: kinds of rules, timers, reviewers by id and branch
/// policy, in a canonical order. Names and pictures of reviewers may change without changing it.
fn protection(rules: &[Value], branches: Option<&Value>) -> String {
    let mut rules: Vec<String> = rules
        .iter()
        .map(|rule| plain_rule(rule).to_string())
        .collect();
    rules.sort_unstable();
    let branches = branches.map_or_else(|| "null".to_owned(), Value::to_string);
    let whole = format!("{}\n{branches}", rules.join("\n"));
    digest(&whole)
}

fn plain_rule(rule: &Value) -> Value {
    let reviewers = rule.get("reviewers").and_then(Value::as_array);
    let mut reviewers: Vec<String> = reviewers
        .into_iter()
        .flatten()
        .map(|r| json!([r.get("type"), r.pointer("/reviewer/id")]).to_string())
        .collect();
    reviewers.sort_unstable();
    json!({
        "type": rule.get("type"),
        "wait_timer": rule.get("wait_timer"),
        "prevent_self_review": rule.get("prevent_self_review"),
        "reviewers": reviewers,
    })
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        "accept",
        http::HeaderValue::from_static("application/vnd.github+json"),
    );
    headers.insert(
        "x-github-api-version",
        http::HeaderValue::from_static("2022-11-28"),
    );
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: RecordKind, id: &str) -> RecordKey {
        RecordKey {
            source: "github".parse().unwrap(),
            kind,
            id: id.to_owned(),
        }
    }

    fn run(repository: u64) -> Vec<u8> {
        serde_json::to_vec(&json!({
            "id": 99001, "run_attempt": 1, "status": "in_progress", "conclusion": null, "event": "push",
            "head_sha": "c0ffee", "head_branch": "main", "path": ".github/workflows/deploy.yml",
            "updated_at": "2026-11-22T05:00:00Z", "repository": { "id": repository },
        }))
        .unwrap()
    }

    /// A27: the name was registered again, the id is another.
    #[test]
    fn a27_a_run_of_another_repository_under_the_same_name_is_absent() {
        let record = key(RecordKind::Pipeline, "812345/99001/1");
        assert!(read_run(&run(812_345), &record).unwrap().record.is_some());
        assert_eq!(read_run(&run(7), &record).unwrap().record, None);
    }

    #[test]
    fn an_answer_of_another_shape_or_status_is_unreadable_not_absent() {
        let record = key(RecordKind::Job, "1/2/1/3");
        for bad in [
            &b"{}"[..],
            b"[]",
            b"<html>",
            br#"{"id":3,"status":"sleeping"}"#,
        ] {
            read_job(bad, &record).unwrap_err();
        }
    }

    #[test]
    fn renamed_reviewers_change_nothing_and_other_reviewers_do() {
        let rules = |login: &str, id: u64, timer: u64| {
            vec![
                json!({"type": "wait_timer", "wait_timer": timer, "node_id": "x"}),
                json!({"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {"id": id, "login": login}}]}),
            ]
        };
        let digest = |rules: Vec<Value>| protection(&rules, None);
        let mut turned = rules("octocat", 1, 30);
        turned.reverse();
        assert_eq!(
            digest(rules("octocat", 1, 30)),
            digest(rules("renamed", 1, 30))
        );
        assert_eq!(digest(rules("octocat", 1, 30)), digest(turned));
        assert_ne!(
            digest(rules("octocat", 1, 30)),
            digest(rules("octocat", 2, 30))
        );
        assert_ne!(
            digest(rules("octocat", 1, 30)),
            digest(rules("octocat", 1, 0))
        );
        assert_ne!(digest(rules("octocat", 1, 30)), digest(vec![]));
    }

    #[test]
    fn an_environment_name_cannot_leave_its_path() {
        let locate = |env: &str| {
            Locator(
                [("repository", "octo/app"), ("environment", env)]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into(),
            )
        };
        let path = |env: &str| {
            let record = key(RecordKind::Environment, env);
            path(&record, &locate(env)).unwrap()
        };
        assert_eq!(
            path("prod/eu?x#y"),
            "/repos/octo/app/environments/prod%2Feu%3Fx%23y"
        );
        assert_eq!(path(".."), "/repos/octo/app/environments/%2E%2E");
    }
}
