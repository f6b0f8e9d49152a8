//! Webhooks as hints. A delivery that verifies says which record to read again, and nothing more.

use http::HeaderMap;

use crate::attest::preset::Preset;
use crate::domain::context::RecordKey;
use crate::domain::name::SourceName;
use crate::domain::time::Timestamp;

use super::github_hook::GithubHook;
use super::gitlab_hook::GitlabHook;
use super::settings::HookSecret;

/// The receiving end of one source's webhooks.
pub trait Hook: Send + Sync {
    /// Verifies a delivery over its raw bytes, then reads which records it concerns.
    ///
    /// # Errors
    /// Nothing was read where the signature fails.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, BadDelivery>;
}

/// A delivery that verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender's name for the delivery: it serves the log and nothing else.
    pub id: String,
    /// The records to read again; none for events that concern nothing here.
    pub hints: Vec<RecordKey>,
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDelivery {
    /// 401, before the body is looked at.
    #[error("the delivery carries no valid signature or token")]
    Signature,
    /// Verified, and yet not what the event should look like.
    #[error("the delivery's body has not the shape of its event")]
    Body,
}

/// The hook of a source, in its vendor's form; `None` where the vendor sends none.
pub fn of(preset: Preset, source: SourceName, secrets: &[HookSecret]) -> Option<Box<dyn Hook>> {
    match preset {
        Preset::GithubActions => Some(Box::new(GithubHook::new(source, secrets))),
        Preset::GitlabCi => Some(Box::new(GitlabHook::new(source, secrets))),
        Preset::Kubernetes | Preset::Oidc => None,
    }
}

/// A header's value as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The delivery's name out of a header, cut to what a log line bears.
pub(super) fn name(headers: &HeaderMap, header: &str) -> String {
    let given = text(headers, header).unwrap_or("");
    given.chars().take(64).collect()
}
