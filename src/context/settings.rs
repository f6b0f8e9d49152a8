//! What the context sources are told, and what each way of observing can see.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::attest::preset::Preset;
use crate::attest::settings::PeerRules;
use crate::domain::context::RecordKind;
use crate::domain::grant::SecretPath;
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
    pub webhook_secrets: Vec<HookSecret>,
}

/// What a webhook's sender and the broker both know, in the form in which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookSecret {
    /// As it stands in its file: the key of a signature (GitHub), or the very token that is sent
    /// (GitLab's secret token).
    Shared(Secret),
    /// The key in a signing token of Standard Webhooks (GitLab's signing token).
    Signing(Secret),
}

/// The text begins as a signing token does, and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing token is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct BadSigningToken;

impl HookSecret {
    /// The secret as this vendor's webhooks use it.
    pub fn of(preset: Preset, secret: Secret) -> Result<Self, BadSigningToken> {
        match preset {
            Preset::GithubActions | Preset::Kubernetes | Preset::JwtSvid | Preset::Oidc => {
                Ok(Self::Shared(secret))
            }
            Preset::GitlabCi => Self::either(secret),
        }
    }

    /// The key of a signing token where the text begins as one does, and else the text.
    pub fn either(secret: Secret) -> Result<Self, BadSigningToken> {
        let token = secret.expose_str().and_then(|s| s.strip_prefix("whsec_"));
        let Some(encoded) = token else {
            return Ok(Self::Shared(secret));
        };
        let key = STANDARD.decode(encoded).map_err(|_| BadSigningToken)?;
        if !(24..=64).contains(&key.len()) {
            return Err(BadSigningToken);
        }
        Ok(Self::Signing(Secret::new(key)))
    }

    /// The bytes of the key or token.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Shared(secret) | Self::Signing(secret) => secret.expose(),
        }
    }
}

/// A source's API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub url: BaseUrl,
    pub token: ApiToken,
    pub peer: PeerRules,
}

/// What an API is asked with.
#[derive(Debug, Clone)]
pub enum ApiToken {
    Nothing,
    /// The same for as long as the server runs.
    Given(Secret),
    /// The newest version of a secret in the broker's own store.
    Stored(SecretPath),
}

/// The fields of a record that a way of observing sees. A binding on any other field could never be
/// judged, so the lint refuses it.
pub const fn seen(preset: Preset, via: Via, kind: RecordKind) -> &'static [&'static str] {
    match (via, kind) {
        (Via::IssuerProof, _) if !preset.mints_again() => &[],
        // It names no run and no job.
        (Via::IssuerProof, _) if matches!(preset, Preset::JwtSvid) => &[],
        (Via::IssuerProof, RecordKind::Pipeline) => &["status", "event"],
        (Via::IssuerProof, RecordKind::Job) => &["status"],
        // A case is the desk's, and no vendor's.
        (Via::IssuerProof, RecordKind::Environment) | (_, RecordKind::Case) => &[],
        (Via::Pull, _) if !preset.can_be_pulled() => &[],
        (Via::Pull, RecordKind::Pipeline) => match preset {
            Preset::GithubActions => RecordKind::Pipeline.fields(),
            Preset::Kubernetes | Preset::JwtSvid | Preset::Oidc => &[],
            Preset::GitlabCi => &["status", "conclusion", "event", "head_sha", "head_branch"],
        },
        (Via::Pull, RecordKind::Environment) if matches!(preset, Preset::Kubernetes) => &[],
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
                for preset in Preset::ALL {
                    for field in seen(preset, via, kind) {
                        assert!(kind.fields().contains(field), "{kind}.{field}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_signing_token_is_its_key_and_a_broken_one_is_not_taken_for_a_plain_token() {
        let of = |text: &str| HookSecret::of(Preset::GitlabCi, Secret::from(text.to_owned()));
        let signing = format!("whsec_{}", STANDARD.encode([7; 32]));
        assert_eq!(
            of(&signing),
            Ok(HookSecret::Signing(Secret::new(vec![7; 32])))
        );
        let plain = HookSecret::Shared(Secret::from("plain".to_owned()));
        assert_eq!(of("plain"), Ok(plain));
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        for broken in ["whsec_", "whsec_!", &short] {
            assert_eq!(of(broken), Err(BadSigningToken), "{broken}");
        }
    }
}
