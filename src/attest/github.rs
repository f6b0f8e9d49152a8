//! The preset for GitHub Actions. Identity comes from immutable ids and claims that are fixed for a
//! job; names of repositories and people can change hands and identify nothing. `sub` is not read:
//! it has two forms, and either side of a repository's rename would read it differently.

use crate::attest::Related;
use crate::attest::claims::{called, environment_record, number, related, text, workload};
use crate::attest::oidc::{Preset, Reading};
use crate::domain::context::{Job, Pipeline, Record, RecordKind, RunStatus};
use crate::domain::identity::TrustDomain;
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
        let ids = [owner, repository];
        let (identity, selectors) = workload(&self.trust_domain, source, &ids, &claims, &FIXED)?;
        let records = records(source, &claims, repository)?;
        Ok(Reading {
            identity,
            selectors,
            claims,
            records,
            rests_on: None,
        })
    }
}

/// The run, the job and the environment that the token is about. That GitHub still mints tokens for
/// the job proves that job and its run to be in progress: it refuses for a completed one.
fn records(source: &SourceName, claims: &Claims, repository: &str) -> Result<Vec<Related>, String> {
    let (run, attempt) = (number(claims, "run_id")?, number(claims, "run_attempt")?);
    let name = text(claims, "repository")?;
    let proven = |record: Record, related: Related| Related {
        proven: Some(record),
        ..related
    };
    let mut records = vec![proven(
        Record::Pipeline(Pipeline {
            status: RunStatus::InProgress,
            conclusion: None,
            event: claims.get("event_name").cloned(),
            head_sha: None,
            head_branch: None,
            workflow: None,
        }),
        called(
            related(
                source,
                RecordKind::Pipeline,
                run_record(repository, run, attempt),
                &[
                    ("repository", name),
                    ("run_id", run),
                    ("run_attempt", attempt),
                ],
            ),
            claims,
            &CALLED,
        ),
    )];
    if claims.contains_key("check_run_id") {
        let check_run = number(claims, "check_run_id")?;
        records.push(proven(
            Record::Job(Job {
                status: RunStatus::InProgress,
                conclusion: None,
            }),
            called(
                related(
                    source,
                    RecordKind::Job,
                    job_record(repository, run, attempt, check_run),
                    &[("repository", name), ("check_run_id", check_run)],
                ),
                claims,
                &CALLED,
            ),
        ));
    }
    if let Some(environment) = claims.get("environment") {
        records.push(related(
            source,
            RecordKind::Environment,
            environment_record(repository, environment),
            &[("repository", name), ("environment", environment)],
        ));
    }
    Ok(records)
}

/// What a run and its jobs are called besides: operators ask for a commit.
const CALLED: [&str; 1] = ["sha"];

/// The id of a run's record: immutable numbers only. A re-run is another attempt, another record.
pub fn run_record(repository_id: &str, run_id: &str, attempt: &str) -> String {
    format!("{repository_id}/{run_id}/{attempt}")
}

/// The id of a job's record.
pub fn job_record(repository_id: &str, run_id: &str, attempt: &str, check_run_id: &str) -> String {
    format!("{repository_id}/{run_id}/{attempt}/{check_run_id}")
}

/// Claims that cannot differ between two tokens of one job.
pub(super) const FIXED: [&str; 7] = [
    "repository_owner_id",
    "repository_id",
    "environment",
    "job_workflow_ref",
    "ref",
    "event_name",
    "runner_environment",
];
