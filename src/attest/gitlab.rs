//! The preset for GitLab CI. GitLab mints an ID token once per job, so a token proves who the job is
//! and nothing about whether it still runs: profiles of this source cannot bind to issuer proof, and
//! the lint refuses them secrets.

use crate::attest::claims::{fixed, number};
use crate::attest::oidc::{Preset, Reading};
use crate::domain::identity::{Identity, Selector, TrustDomain, escape_segment};
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
        number(&claims, "pipeline_id")?;
        number(&claims, "job_id")?;
        let mut segments = vec![source.as_str(), namespace, project];
        let environment = claims.get("environment").map(|name| escape_segment(name));
        if let Some(environment) = &environment {
            segments.extend(["environment", environment.as_str()]);
        }
        let id = self.trust_domain.id(&segments).map_err(|e| e.to_string())?;
        let identity = Identity::new(id, fixed(&claims, &FIXED));
        let selectors = Selector::all(source.as_str(), identity.fixed());
        Ok(Reading {
            identity,
            selectors,
            claims,
            records: Vec::new(),
        })
    }
}

/// Claims that cannot differ between two tokens of one job.
const FIXED: [&str; 8] = [
    "namespace_id",
    "project_id",
    "environment",
    "ci_config_ref_uri",
    "ref",
    "ref_type",
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
        assert!(
            reading.records.is_empty(),
            "a token that is minted once proves no state"
        );
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
