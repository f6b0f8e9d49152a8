//! What the context sources are told, and what each way of observing can see.

use crate::attest::preset::Preset;
use crate::attest::settings::PeerRules;
use crate::domain::context::RecordKind;
use crate::domain::name::SourceName;
use crate::domain::profile::Via;
use crate::domain::secret::Secret;
use crate::domain::url::BaseUrl;

/// A system whose state justifies tasks.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    pub name: SourceName,
    pub preset: Preset,
    /// Where it is asked; without it there is no pull.
    pub api: Option<ApiSettings>,
    /// Any of these may have signed a webhook; several while one replaces another.
    pub webhook_secrets: Vec<Secret>,
}

/// A source's API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub url: BaseUrl,
    pub token: Option<Secret>,
    pub peer: PeerRules,
}

/// The fields of a record that a way of observing sees. A binding on any other field could never be
/// judged, so the lint refuses it.
pub const fn seen(preset: Preset, via: Via, kind: RecordKind) -> &'static [&'static str] {
    match (via, kind) {
        (Via::IssuerProof, _) if !preset.mints_again() => &[],
        (Via::IssuerProof, RecordKind::Pipeline) => &["status", "event"],
        (Via::IssuerProof, RecordKind::Job) => &["status"],
        (Via::IssuerProof, RecordKind::Environment) => &[],
        (Via::Pull, _) if !preset.can_be_pulled() => &[],
        (Via::Pull, kind) => kind.fields(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_shows_nothing_of_an_environment() {
        let github = Preset::GithubActions;
        assert!(seen(github, Via::IssuerProof, RecordKind::Environment).is_empty());
        assert!(seen(github, Via::Pull, RecordKind::Environment).contains(&"protection_rules"));
    }

    #[test]
    fn a_token_minted_once_per_job_shows_no_state() {
        for kind in RecordKind::ALL {
            assert!(seen(Preset::GitlabCi, Via::IssuerProof, kind).is_empty());
        }
    }

    #[test]
    fn what_is_seen_is_a_field_of_the_record() {
        for kind in RecordKind::ALL {
            for via in [Via::IssuerProof, Via::Pull] {
                for field in seen(Preset::GithubActions, via, kind) {
                    assert!(kind.fields().contains(field), "{kind}.{field}");
                }
            }
        }
    }
}
