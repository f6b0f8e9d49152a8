//! What is known about the evidence of each vendor: which claims are immutable ids, which name the
//! run, and which are names that somebody else can take over. The lint of profiles and the
//! verification of evidence read the same table.

use ClaimNature::{Id, Instance, Label, Name, Run, Text, Token};

/// A vendor whose ID tokens are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// GitHub Actions, hosted or on an Enterprise Server.
    GithubActions,
    /// GitLab CI, hosted or self-managed.
    GitlabCi,
}

/// What a claim is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimNature {
    /// A number that names one repository, or one owner of repositories, for good.
    Id,
    /// Names the run and its attempt: the task.
    Run,
    /// Names one job of the run: the instance.
    Instance,
    /// One word that is fixed for the job.
    Label,
    /// Longer text that is fixed for the job, with slashes in it.
    Text,
    /// A name that can be given away and taken by somebody else.
    Name,
    /// Belongs to the token, not to the job; the broker judges it itself.
    Token,
}

impl Preset {
    pub const ALL: [Self; 2] = [Self::GithubActions, Self::GitlabCi];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GithubActions => "github-actions",
            Self::GitlabCi => "gitlab-ci",
        }
    }

    /// Every claim that the vendor documents.
    pub const fn claims(self) -> &'static [(&'static str, ClaimNature)] {
        match self {
            Self::GithubActions => GITHUB_ACTIONS,
            Self::GitlabCi => GITLAB_CI,
        }
    }

    /// What a claim is good for; `None` when the vendor's tokens have no such claim.
    pub fn nature(self, claim: &str) -> Option<ClaimNature> {
        let found = self.claims().iter().find(|(name, _)| *name == claim);
        found.map(|(_, nature)| *nature)
    }

    /// The claims of one nature.
    pub fn of_nature(self, nature: ClaimNature) -> impl Iterator<Item = &'static str> {
        let claims = self.claims().iter();
        claims
            .filter(move |(_, n)| *n == nature)
            .map(|(name, _)| *name)
    }

    /// The claim that names one repository for good.
    pub const fn repository(self) -> &'static str {
        match self {
            Self::GithubActions => "repository_id",
            Self::GitlabCi => "project_id",
        }
    }

    /// Whether a job can ask for another ID token as long as it lives. Where the vendor mints once
    /// per job, a token proves that the job started, not that it lives.
    pub const fn mints_again(self) -> bool {
        match self {
            Self::GithubActions => true,
            Self::GitlabCi => false,
        }
    }

    /// Whether the vendor's API can be asked for the state of a run.
    pub const fn can_be_pulled(self) -> bool {
        match self {
            Self::GithubActions => true,
            Self::GitlabCi => false,
        }
    }

    /// The claim that tells which event started the run, with the values that mean a change not yet
    /// merged.
    pub const fn unmerged(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::GithubActions => (
                "event_name",
                &[
                    "pull_request",
                    "pull_request_target",
                    "pull_request_review",
                    "pull_request_review_comment",
                ],
            ),
            Self::GitlabCi => (
                "pipeline_source",
                &["merge_request_event", "external_pull_request_event"],
            ),
        }
    }
}

/// GitHub documents these in "OpenID Connect reference", section "OIDC token claims".
const GITHUB_ACTIONS: &[(&str, ClaimNature)] = &[
    ("repository_id", Id),
    ("repository_owner_id", Id),
    ("run_id", Run),
    ("run_attempt", Run),
    ("check_run_id", Instance),
    ("environment", Label),
    ("event_name", Label),
    ("ref_type", Label),
    ("ref_protected", Label),
    ("runner_environment", Label),
    ("repository_visibility", Label),
    ("sha", Label),
    ("workflow_sha", Label),
    ("job_workflow_sha", Label),
    ("job_workflow_ref", Text),
    ("workflow_ref", Text),
    ("ref", Text),
    ("head_ref", Text),
    ("base_ref", Text),
    ("enterprise_id", Label),
    ("actor_id", Label),
    ("run_number", Label),
    ("environment_node_id", Label),
    ("actor", Name),
    ("enterprise", Name),
    ("repository", Name),
    ("repository_owner", Name),
    ("workflow", Name),
    ("sub", Token),
    ("aud", Token),
    ("iss", Token),
    ("iat", Token),
    ("nbf", Token),
    ("exp", Token),
    ("jti", Token),
];

/// GitLab documents these in "OpenID Connect (OIDC) Authentication Using ID Tokens", "Token payload".
const GITLAB_CI: &[(&str, ClaimNature)] = &[
    ("project_id", Id),
    ("namespace_id", Id),
    ("pipeline_id", Run),
    ("job_id", Instance),
    ("environment", Label),
    ("environment_protected", Label),
    ("deployment_tier", Label),
    ("pipeline_source", Label),
    ("ref_type", Label),
    ("ref_protected", Label),
    ("runner_environment", Label),
    ("runner_id", Label),
    ("user_id", Label),
    ("project_visibility", Label),
    ("sha", Label),
    ("ci_config_sha", Label),
    ("ci_config_ref_uri", Text),
    ("ref", Text),
    ("ref_path", Text),
    ("namespace_path", Name),
    ("project_path", Name),
    ("user_email", Name),
    ("user_login", Name),
    ("sub", Token),
    ("aud", Token),
    ("iss", Token),
    ("iat", Token),
    ("nbf", Token),
    ("exp", Token),
    ("jti", Token),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_has_what_a_task_is_named_by() {
        for preset in Preset::ALL {
            for nature in [Id, Run, Instance] {
                let found = preset.of_nature(nature).count();
                assert!(found > 0, "{} has no {nature:?}", preset.as_str());
            }
            assert_eq!(preset.nature(preset.repository()), Some(Id));
            let (claim, _) = preset.unmerged();
            assert_eq!(preset.nature(claim), Some(Label));
        }
    }

    #[test]
    fn a_subject_is_never_an_id() {
        for preset in Preset::ALL {
            assert_eq!(preset.nature("sub"), Some(Token));
        }
    }
}
