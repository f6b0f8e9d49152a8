//! Webhooks as hints. A delivery that verifies says which record to read again, and nothing more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::hmac;

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
        Preset::Kubernetes | Preset::JwtSvid | Preset::Oidc => None,
    }
}

/// Standard Webhooks, "Signature scheme": HMAC-SHA256 over `id.timestamp.body`, and a time near ours.
pub(super) fn standard(key: &hmac::Key, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let (Some(id), Some(at), Some(list)) = (
        text(headers, "webhook-id"),
        text(headers, "webhook-timestamp"),
        text(headers, "webhook-signature"),
    ) else {
        return false;
    };
    let said = at.parse::<i64>().ok().and_then(Timestamp::from_seconds);
    let near = |said: Timestamp| now.since(said) <= TOLERANCE && said.since(now) <= TOLERANCE;
    if !said.is_some_and(near) {
        return false;
    }
    let mut content = format!("{id}.{at}.").into_bytes();
    content.extend_from_slice(body);
    let mut signatures = list
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok());
    signatures.any(|signature| hmac::verify(key, &content, &signature).is_ok())
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

/// What Standard Webhooks recommends.
const TOLERANCE: Duration = Duration::from_mins(5);
