//! What is known about the evidence of each vendor: which claims are immutable ids, which name the
//! run, and which are names that somebody else can take over. The lint of profiles and the
//! verification of evidence read the same table.

use super::claims::is_uid;
use crate::domain::identity::SpiffeId;
use ClaimNature::{Id, Instance, Label, Name, Run, Text, Token};

/// A vendor whose ID tokens are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// GitHub Actions, hosted or on an Enterprise Server.
    GithubActions,
    /// GitLab CI, hosted or self-managed.
    GitlabCi,
    /// Projected service-account tokens of a Kubernetes cluster.
    Kubernetes,
    /// This broker's own JWT-SVIDs.
    JwtSvid,
    /// Any other issuer, with a mapping of its claims.
    Oidc,
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
    pub const ALL: [Self; 5] = [
        Self::GithubActions,
        Self::GitlabCi,
        Self::Kubernetes,
        Self::JwtSvid,
        Self::Oidc,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GithubActions => "github-actions",
            Self::GitlabCi => "gitlab-ci",
            Self::Kubernetes => "kubernetes",
            Self::JwtSvid => "jwt-svid",
            Self::Oidc => "oidc",
        }
    }

    /// Every claim that the vendor documents.
    pub const fn claims(self) -> &'static [(&'static str, ClaimNature)] {
        match self {
            Self::GithubActions => GITHUB_ACTIONS,
            Self::GitlabCi => GITLAB_CI,
            Self::Kubernetes => KUBERNETES,
            Self::JwtSvid => JWT_SVID,
            Self::Oidc => OIDC,
        }
    }

    /// Sets of claims that each name, met together, one workflow and no other. Whoever may create a
    /// repository of an owner may create an environment of any name in it, so that an environment
    /// counts only inside one repository.
    pub const fn one_workflow(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::GithubActions => &[&["job_workflow_ref"], &["repository_id", "environment"]],
            Self::GitlabCi => &[&["project_id", "environment"]],
            Self::Kubernetes => &[&["serviceaccount_uid"]],
            Self::JwtSvid => &[&["spiffe_id"]],
            Self::Oidc => &[],
        }
    }

    /// Whether a text can be an id of this vendor's.
    pub fn is_id(self, text: &str) -> bool {
        match self {
            Self::GithubActions | Self::GitlabCi => {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
            }
            Self::Kubernetes => is_uid(text),
            Self::JwtSvid => text.parse::<SpiffeId>().is_ok(),
            Self::Oidc => {
                (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
            }
        }
    }

    /// Whether a job can ask for another ID token as long as it lives. Where the vendor mints once
    /// per job, a token proves that the job started, not that it lives. A pod gets another one when its
    /// kubelet thinks fit, which is too seldom to prove anything.
    pub const fn mints_again(self) -> bool {
        match self {
            Self::GithubActions | Self::JwtSvid => true,
            Self::GitlabCi | Self::Kubernetes | Self::Oidc => false,
        }
    }

    /// Whether the vendor's API can be asked for the state of a run.
    pub const fn can_be_pulled(self) -> bool {
        match self {
            Self::GithubActions | Self::GitlabCi | Self::Kubernetes => true,
            Self::JwtSvid | Self::Oidc => false,
        }
    }

    /// Whether the vendor tells of changes by webhook.
    pub const fn sends_webhooks(self) -> bool {
        match self {
            Self::GithubActions | Self::GitlabCi => true,
            Self::Kubernetes | Self::JwtSvid | Self::Oidc => false,
        }
    }

    /// Where the claims lie in a token, if not under their own names. An SVID's lie under a name that its
    /// issuer is part of, see [`super::svid::paths`].
    pub const fn paths(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::GithubActions | Self::GitlabCi | Self::JwtSvid | Self::Oidc => &[],
            Self::Kubernetes => &super::kubernetes::CLAIMS,
        }
    }

    /// Whether a job chooses the audience of its ID token while it runs, and so can name the key of
    /// its session in it.
    pub const fn names_session_key(self) -> bool {
        match self {
            Self::GithubActions => true,
            Self::GitlabCi | Self::Kubernetes | Self::JwtSvid | Self::Oidc => false,
        }
    }

    /// The claim that tells which event started the run, with the values that mean a change not yet
    /// merged; `None` where nothing of the kind is known.
    pub const fn unmerged(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::GithubActions => Some((
                "event_name",
                &[
                    "pull_request",
                    "pull_request_target",
                    "pull_request_review",
                    "pull_request_review_comment",
                ],
            )),
            Self::GitlabCi => Some((
                "pipeline_source",
                &["merge_request_event", "external_pull_request_event"],
            )),
            Self::Kubernetes | Self::JwtSvid | Self::Oidc => None,
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
    ("environment_action", Label),
    ("deployment_tier", Label),
    ("pipeline_source", Label),
    ("ref_type", Label),
    ("ref_protected", Label),
    ("runner_environment", Label),
    ("runner_id", Label),
    ("user_id", Label),
    ("user_access_level", Label),
    ("job_source", Label),
    ("job_project_id", Label),
    ("job_namespace_id", Label),
    ("project_visibility", Label),
    ("sha", Label),
    ("ci_config_sha", Label),
    ("ci_config_ref_uri", Text),
    ("ref", Text),
    ("ref_path", Text),
    ("namespace_path", Name),
    ("project_path", Name),
    ("job_namespace_path", Name),
    ("job_project_path", Name),
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

/// Of `kubernetes.io` in the token, see [`super::kubernetes::CLAIMS`]. Names can be given away: a
/// namespace or an account that was deleted can be made again. A pod is one run, of one instance.
const KUBERNETES: &[(&str, ClaimNature)] = &[
    ("serviceaccount_uid", Id),
    ("pod_uid", Run),
    ("pod_uid", Instance),
    ("namespace", Name),
    ("serviceaccount_name", Name),
    ("pod_name", Name),
    ("node_name", Name),
    ("node_uid", Name),
    ("sub", Token),
    ("aud", Token),
    ("iss", Token),
    ("iat", Token),
    ("nbf", Token),
    ("exp", Token),
    ("jti", Token),
];

/// Of a JWT-SVID of this broker: the workload, and the lineage that it was made for.
const JWT_SVID: &[(&str, ClaimNature)] = &[
    ("spiffe_id", Id),
    ("lineage", Instance),
    ("svid_id", Token),
    ("sub", Token),
    ("aud", Token),
    ("iss", Token),
    ("iat", Token),
    ("nbf", Token),
    ("exp", Token),
    ("jti", Token),
];

/// What every ID token has (OpenID Connect Core 1.0 §2); the rest is mapped.
const OIDC: &[(&str, ClaimNature)] = &[
    ("sub", Token),
    ("aud", Token),
    ("iss", Token),
    ("iat", Token),
    ("nbf", Token),
    ("exp", Token),
    ("jti", Token),
];
