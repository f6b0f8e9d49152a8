//! The preset for GitLab CI. GitLab mints an ID token once per job, so a token proves who the job is
//! and nothing about whether it still runs: the records that it names are known by asking only.

use crate::attest::Related;
use crate::attest::claims::{called, environment_record, number, related, workload};
use crate::attest::oidc::{Preset, Reading};
use crate::domain::context::RecordKind;
use crate::domain::identity::TrustDomain;
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;

/// GitLab CI under one trust domain.
pub struct GitlabCi {
    pub trust_domain: TrustDomain,
}

impl Preset for GitlabCi {
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String> {
        let namespace = number(&claims, "namespace_id")?;
        let project = number(&claims, "project_id")?;
        let ids = [namespace, project];
        let (identity, selectors) = workload(&self.trust_domain, source, &ids, &claims, &FIXED)?;
        let records = records(source, &claims, project)?;
        Ok(Reading {
            identity,
            selectors,
            claims,
            records,
            rests_on: None,
        })
    }
}

/// The pipeline, the job and the environment that the token is about.
fn records(source: &SourceName, claims: &Claims, project: &str) -> Result<Vec<Related>, String> {
    let (pipeline, job) = (number(claims, "pipeline_id")?, number(claims, "job_id")?);
    let mut records = vec![
        called(
            related(
                source,
                RecordKind::Pipeline,
                pipeline_record(project, pipeline),
                &[("project_id", project), ("pipeline_id", pipeline)],
            ),
            claims,
            &CALLED,
        ),
        called(
            related(
                source,
                RecordKind::Job,
                job_record(project, pipeline, job),
                &[("project_id", project), ("job_id", job)],
            ),
            claims,
            &CALLED,
        ),
    ];
    if let Some(environment) = claims.get("environment") {
        records.push(related(
            source,
            RecordKind::Environment,
            environment_record(project, environment),
            &[("project_id", project), ("environment", environment)],
        ));
    }
    Ok(records)
}

/// What a pipeline and its jobs are called besides: operators ask for a commit and for a project's path.
const CALLED: [&str; 2] = ["sha", "project_path"];

/// The id of a pipeline's record: immutable numbers only.
pub fn pipeline_record(project_id: &str, pipeline_id: &str) -> String {
    format!("{project_id}/{pipeline_id}")
}

/// The id of a job's record. A job that is retried is another job.
pub fn job_record(project_id: &str, pipeline_id: &str, job_id: &str) -> String {
    format!("{project_id}/{pipeline_id}/{job_id}")
}

/// Claims that cannot differ between two tokens of one job.
pub(super) const FIXED: [&str; 9] = [
    "namespace_id",
    "project_id",
    "environment",
    "ci_config_ref_uri",
    "ref",
    "ref_type",
    "ref_protected",
    "pipeline_source",
    "runner_environment",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(more: &[(&str, &str)]) -> Claims {
        let own = [
            ("namespace_id", "72"),
            ("project_id", "20"),
            ("pipeline_id", "574"),
            ("job_id", "302"),
            ("ref", "main"),
        ];
        own.iter()
            .chain(more)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn read(claims: Claims) -> Result<Reading, String> {
        let preset = GitlabCi {
            trust_domain: "example.org".parse().unwrap(),
        };
        preset.read(&"gitlab".parse().unwrap(), claims)
    }

    #[test]
    fn a_project_is_known_by_its_id_and_not_by_its_path() {
        let reading = read(claims(&[
            ("project_path", "octo/app"),
            ("environment", "production"),
        ]))
        .unwrap();
        assert_eq!(
            reading.identity.id().as_str(),
            "spiffe://example.org/gitlab/72/20/environment/production"
        );
        assert!(!reading.identity.fixed().contains_key("project_path"));
    }

    #[test]
    fn a_token_that_is_minted_once_names_records_and_proves_no_state() {
        let reading = read(claims(&[("environment", "review/a b")])).unwrap();
        let named: Vec<_> = reading.records.iter().map(|r| r.key.to_string()).collect();
        assert_eq!(
            named,
            [
                "gitlab/pipeline/20/574",
                "gitlab/job/20/574/302",
                "gitlab/environment/20/review_2fa_20b",
            ]
        );
        assert!(reading.records.iter().all(|record| record.proven.is_none()));
    }

    #[test]
    fn what_a_pipeline_is_called_is_kept_for_whoever_looks_for_it() {
        let called = [
            ("sha", "5f3c1e0b"),
            ("project_path", "octo/app"),
            ("environment", "production"),
        ];
        let reading = read(claims(&called)).unwrap();
        for record in &reading.records {
            let is_environment = record.key.kind == RecordKind::Environment;
            for (name, value) in &called[..2] {
                let kept = record.locate.0.get(*name).map(String::as_str);
                assert_eq!(kept, (!is_environment).then_some(*value), "{}", record.key);
            }
        }
    }

    #[test]
    fn an_id_that_is_no_number_is_refused() {
        let mut broken = claims(&[]);
        broken.insert("project_id".to_owned(), "octo/app".to_owned());
        read(broken).unwrap_err();
        let mut absent = claims(&[]);
        absent.remove("job_id");
        read(absent).unwrap_err();
    }
}
