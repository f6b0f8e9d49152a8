//! The preset for GitHub Actions. Identity comes from immutable ids and claims that are fixed for a
//! job; names of repositories and people can change hands and identify nothing. `sub` is not read:
//! it has two forms, and either side of a repository's rename would read it differently.

use crate::attest::Related;
use crate::attest::claims::{fixed, number, text};
use crate::attest::oidc::{Preset, Reading};
use crate::domain::context::{Job, Locator, Pipeline, Record, RecordKey, RecordKind, RunStatus};
use crate::domain::identity::{Identity, Selector, TrustDomain, escape_segment};
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;

/// GitHub Actions under one trust domain.
pub struct GithubActions {
    pub trust_domain: TrustDomain,
}

impl Preset for GithubActions {
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String> {
        let owner = number(&claims, "repository_owner_id")?;
        let repository = number(&claims, "repository_id")?;
        let identity = self.identity(source, &claims, owner, repository)?;
        let selectors = Selector::all(source.as_str(), identity.fixed());
        let records = records(source, &claims, repository)?;
        Ok(Reading {
            identity,
            selectors,
            claims,
            records,
        })
    }
}

impl GithubActions {
    fn identity(
        &self,
        source: &SourceName,
        claims: &Claims,
        owner: &str,
        repository: &str,
    ) -> Result<Identity, String> {
        let mut segments = vec![source.as_str(), owner, repository];
        let environment = claims.get("environment").map(|name| escape_segment(name));
        if let Some(environment) = &environment {
            segments.extend(["environment", environment.as_str()]);
        }
        let id = self.trust_domain.id(&segments).map_err(|e| e.to_string())?;
        Ok(Identity::new(id, fixed(claims, &FIXED)))
    }
}

/// The run, the job and the environment that the token is about. That GitHub still mints tokens for
/// the job proves that job and its run to be in progress: it refuses for a completed one.
fn records(source: &SourceName, claims: &Claims, repository: &str) -> Result<Vec<Related>, String> {
    let (run, attempt) = (number(claims, "run_id")?, number(claims, "run_attempt")?);
    let name = text(claims, "repository")?;
    let key = |kind, id| RecordKey {
        source: source.clone(),
        kind,
        id,
    };
    let mut records = vec![Related {
        key: key(RecordKind::Pipeline, run_record(repository, run, attempt)),
        locate: locate(&[
            ("repository", name),
            ("run_id", run),
            ("run_attempt", attempt),
        ]),
        proven: Some(Record::Pipeline(Pipeline {
            status: RunStatus::InProgress,
            conclusion: None,
            event: claims.get("event_name").cloned(),
            head_sha: None,
            head_branch: None,
            workflow: None,
        })),
    }];
    if claims.contains_key("check_run_id") {
        let check_run = number(claims, "check_run_id")?;
        records.push(Related {
            key: key(
                RecordKind::Job,
                job_record(repository, run, attempt, check_run),
            ),
            locate: locate(&[("repository", name), ("check_run_id", check_run)]),
            proven: Some(Record::Job(Job {
                status: RunStatus::InProgress,
                conclusion: None,
            })),
        });
    }
    if let Some(environment) = claims.get("environment") {
        records.push(Related {
            key: key(
                RecordKind::Environment,
                environment_record(repository, environment),
            ),
            locate: locate(&[("repository", name), ("environment", environment)]),
            proven: None,
        });
    }
    Ok(records)
}

/// The id of a run's record: immutable numbers only. A re-run is another attempt, another record.
pub fn run_record(repository_id: &str, run_id: &str, attempt: &str) -> String {
    format!("{repository_id}/{run_id}/{attempt}")
}

/// The id of a job's record.
pub fn job_record(repository_id: &str, run_id: &str, attempt: &str, check_run_id: &str) -> String {
    format!("{repository_id}/{run_id}/{attempt}/{check_run_id}")
}

/// The id of an environment's record.
pub fn environment_record(repository_id: &str, environment: &str) -> String {
    format!("{repository_id}/{}", escape_segment(environment))
}

fn locate(pairs: &[(&str, &str)]) -> Locator {
    Locator(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// Claims that cannot differ between two tokens of one job.
const FIXED: [&str; 7] = [
    "repository_owner_id",
    "repository_id",
    "environment",
    "job_workflow_ref",
    "ref",
    "event_name",
    "runner_environment",
];
