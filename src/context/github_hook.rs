//! GitHub's webhooks as hints. A delivery whose signature verifies says which record to read again,
//! and nothing more: the signature covers neither time nor delivery id, so whoever holds the secret,
//! or an old delivery, could say anything.

use http::HeaderMap;
use ring::hmac;
use serde::Deserialize;

use crate::attest::github::{job_record, run_record};
use crate::context::hook::{BadDelivery, Delivery, Hook, name, text};
use crate::context::settings::HookSecret;
use crate::domain::context::{RecordKey, RecordKind};
use crate::domain::name::SourceName;
use crate::domain::time::Timestamp;

/// The receiving end of one source's webhooks.
pub struct GithubHook {
    source: SourceName,
    keys: Vec<hmac::Key>,
}

impl GithubHook {
    /// Several secrets verify, so that one can be rotated.
    pub fn new(source: SourceName, secrets: &[HookSecret]) -> Self {
        let keys = secrets
            .iter()
            .map(|s| hmac::Key::new(hmac::HMAC_SHA256, s.expose()))
            .collect();
        Self { source, keys }
    }

    fn run_hints(&self, body: &[u8]) -> Result<Vec<RecordKey>, BadDelivery> {
        let event: RunEvent = serde_json::from_slice(body).map_err(|_| BadDelivery::Body)?;
        let (run, repository) = (event.workflow_run, event.repository.id);
        let id = run_record(
            &repository.to_string(),
            &run.id.to_string(),
            &run.run_attempt.to_string(),
        );
        Ok(vec![self.key(RecordKind::Pipeline, id)])
    }

    fn job_hints(&self, body: &[u8]) -> Result<Vec<RecordKey>, BadDelivery> {
        let event: JobEvent = serde_json::from_slice(body).map_err(|_| BadDelivery::Body)?;
        let (job, repository) = (event.workflow_job, event.repository.id.to_string());
        let (run, attempt) = (job.run_id.to_string(), job.run_attempt.to_string());
        let check_run = job.check_run_url.rsplit('/').next().unwrap_or("");
        if check_run.is_empty() || !check_run.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadDelivery::Body);
        }
        Ok(vec![
            self.key(
                RecordKind::Job,
                job_record(&repository, &run, &attempt, check_run),
            ),
            self.key(
                RecordKind::Pipeline,
                run_record(&repository, &run, &attempt),
            ),
        ])
    }

    fn key(&self, kind: RecordKind, id: String) -> RecordKey {
        RecordKey {
            source: self.source.clone(),
            kind,
            id,
        }
    }
}

impl Hook for GithubHook {
    /// `X-Hub-Signature-256` over the body alone: neither time nor delivery id is signed.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        _: Timestamp,
    ) -> Result<Delivery, BadDelivery> {
        let signature = text(headers, "x-hub-signature-256")
            .and_then(|value| value.strip_prefix("sha256="))
            .and_then(|digits| hex::decode(digits).ok())
            .ok_or(BadDelivery::Signature)?;
        if !self
            .keys
            .iter()
            .any(|key| hmac::verify(key, body, &signature).is_ok())
        {
            return Err(BadDelivery::Signature);
        }
        let hints = match text(headers, "x-github-event") {
            Some("workflow_run") => self.run_hints(body)?,
            Some("workflow_job") => self.job_hints(body)?,
            Some(_) | None => Vec::new(),
        };
        let id = name(headers, "x-github-delivery");
        Ok(Delivery { id, hints })
    }
}

#[derive(Deserialize)]
struct RunEvent {
    workflow_run: RawRun,
    repository: RawId,
}

#[derive(Deserialize)]
struct RawRun {
    id: u64,
    #[serde(default = "first")]
    run_attempt: u64,
}

#[derive(Deserialize)]
struct JobEvent {
    workflow_job: RawJob,
    repository: RawId,
}

#[derive(Deserialize)]
struct RawJob {
    run_id: u64,
    #[serde(default = "first")]
    run_attempt: u64,
    check_run_url: String,
}

#[derive(Deserialize)]
struct RawId {
    id: u64,
}

/// Deliveries of installations from before attempts were counted name none: there was one.
const fn first() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    const NOW: Timestamp = Timestamp::from_micros(0);

    const BODY: &[u8] = br#"{"action":"completed","workflow_run":{"id":99001,"run_attempt":1},"repository":{"id":812345}}"#;

    fn hook() -> GithubHook {
        let secrets = [
            HookSecret::Shared(Secret::from("new".to_owned())),
            HookSecret::Shared(Secret::from("old".to_owned())),
        ];
        GithubHook::new("github".parse().unwrap(), &secrets)
    }

    fn headers(secret: &str, body: &[u8], event: &str) -> HeaderMap {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = format!("sha256={}", hex::encode(hmac::sign(&key, body)));
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", signature.parse().unwrap());
        headers.insert("x-github-event", event.parse().unwrap());
        headers
    }

    #[test]
    fn either_secret_verifies_while_one_is_rotated() {
        for secret in ["new", "old"] {
            let delivery = hook()
                .verify(&headers(secret, BODY, "workflow_run"), BODY, NOW)
                .unwrap();
            assert_eq!(
                delivery.hints[0].to_string(),
                "github/pipeline/812345/99001/1"
            );
        }
    }

    /// A45: a wrong, missing, SHA-1 or empty signature, another secret, a re-serialised body.
    #[test]
    fn a45_nothing_is_read_that_is_not_signed() {
        let mut sha1 = HeaderMap::new();
        sha1.insert(
            "x-hub-signature",
            "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"
                .parse()
                .unwrap(),
        );
        let mut empty = HeaderMap::new();
        empty.insert("x-hub-signature-256", "sha256=".parse().unwrap());
        for wrong in [
            HeaderMap::new(),
            sha1,
            empty,
            headers("other", BODY, "workflow_run"),
        ] {
            assert_eq!(
                hook().verify(&wrong, BODY, NOW),
                Err(BadDelivery::Signature)
            );
        }
        let spaced = String::from_utf8_lossy(BODY).replace(':', ": ");
        let signed_as_sent = headers("new", BODY, "workflow_run");
        assert_eq!(
            hook().verify(&signed_as_sent, spaced.as_bytes(), NOW),
            Err(BadDelivery::Signature)
        );
    }

    #[test]
    fn a_delivery_from_before_attempts_were_counted_is_about_the_first() {
        let body = br#"{"workflow_job":{"run_id":99001,
            "check_run_url":"https://api.github.com/repos/o/r/check-runs/7"},
            "repository":{"id":812345}}"#;
        let delivery = hook().verify(&headers("new", body, "workflow_job"), body, NOW);
        let hints = delivery.unwrap().hints;
        assert_eq!(hints[1].to_string(), "github/pipeline/812345/99001/1");
    }

    #[test]
    fn other_events_concern_nothing_and_broken_ones_are_refused() {
        assert_eq!(
            hook()
                .verify(&headers("new", BODY, "ping"), BODY, NOW)
                .unwrap()
                .hints,
            vec![]
        );
        let broken = br#"{"workflow_run":{"id":"x"}}"#;
        assert_eq!(
            hook().verify(&headers("new", broken, "workflow_run"), broken, NOW),
            Err(BadDelivery::Body)
        );
    }
}
