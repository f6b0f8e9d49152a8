//! GitLab's webhooks as hints: Job and Pipeline hooks. A webhook shows either its secret token as it
//! is, or a signature in the form of Standard Webhooks over id, time and body.

use http::HeaderMap;
use ring::hmac;
use serde::Deserialize;

use crate::attest::gitlab::{job_record, pipeline_record};
use crate::context::hook::{self, BadDelivery, Delivery, Hook, name};
use crate::context::settings::HookSecret;
use crate::domain::context::{RecordKey, RecordKind};
use crate::domain::name::SourceName;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The receiving end of one source's webhooks.
pub struct GitlabHook {
    source: SourceName,
    proofs: Vec<Proof>,
}

/// What shows that a delivery comes from the vendor. A secret counts in one of the two ways only:
/// whoever sees a signed delivery learns nothing that could be sent as a token.
enum Proof {
    /// `X-Gitlab-Token` is this.
    Token(Secret),
    /// `webhook-signature` holds one by this key.
    Signature(hmac::Key),
}

impl GitlabHook {
    /// Any of the secrets counts, so that one can be rotated.
    pub fn new(source: SourceName, secrets: &[HookSecret]) -> Self {
        let proofs = secrets
            .iter()
            .map(|secret| match secret {
                HookSecret::Shared(token) => Proof::Token(token.clone()),
                HookSecret::Signing(key) => {
                    Proof::Signature(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
                }
            })
            .collect();
        Self { source, proofs }
    }

    fn job(&self, event: &JobEvent) -> Vec<RecordKey> {
        let (project, pipeline) = (event.project.to_string(), event.pipeline.to_string());
        let job = job_record(&project, &pipeline, &event.job.to_string());
        vec![
            self.key(RecordKind::Job, job),
            self.key(RecordKind::Pipeline, pipeline_record(&project, &pipeline)),
        ]
    }

    /// The pipeline and its jobs: Job hooks are switched on separately, and may not be.
    fn pipeline(&self, event: &PipelineEvent) -> Vec<RecordKey> {
        let (project, pipeline) = (
            event.project.id.to_string(),
            event.object_attributes.id.to_string(),
        );
        let run = self.key(RecordKind::Pipeline, pipeline_record(&project, &pipeline));
        let jobs = event.builds.iter().map(|job| {
            let id = job_record(&project, &pipeline, &job.id.to_string());
            self.key(RecordKind::Job, id)
        });
        std::iter::once(run).chain(jobs).collect()
    }

    fn key(&self, kind: RecordKind, id: String) -> RecordKey {
        RecordKey {
            source: self.source.clone(),
            kind,
            id,
        }
    }
}

impl Hook for GitlabHook {
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, BadDelivery> {
        let proves = |proof: &Proof| match proof {
            Proof::Token(token) => shows(token, headers),
            Proof::Signature(key) => hook::standard(key, headers, body, now),
        };
        if !self.proofs.iter().any(proves) {
            return Err(BadDelivery::Signature);
        }
        // The header that names the event is not signed; the body says the same.
        let kind: Kind = read(body)?;
        let hints = match kind.object_kind.as_deref() {
            Some("build") => self.job(&read(body)?),
            Some("pipeline") => self.pipeline(&read(body)?),
            Some(_) | None => Vec::new(),
        };
        let id = name(headers, "x-gitlab-event-uuid");
        Ok(Delivery { id, hints })
    }
}

fn shows(token: &Secret, headers: &HeaderMap) -> bool {
    let shown = headers.get("x-gitlab-token");
    shown.is_some_and(|shown| Secret::new(shown.as_bytes().to_vec()) == *token)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadDelivery> {
    serde_json::from_slice(body).map_err(|_| BadDelivery::Body)
}

#[derive(Deserialize)]
struct Kind {
    object_kind: Option<String>,
}

#[derive(Deserialize)]
struct JobEvent {
    #[serde(rename = "build_id")]
    job: u64,
    #[serde(rename = "pipeline_id")]
    pipeline: u64,
    #[serde(rename = "project_id")]
    project: u64,
}

#[derive(Deserialize)]
struct PipelineEvent {
    object_attributes: RawId,
    project: RawId,
    #[serde(default)]
    builds: Vec<RawId>,
}

#[derive(Deserialize)]
struct RawId {
    id: u64,
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const BODY: &[u8] = br#"{"object_kind":"build","build_id":302,"pipeline_id":574,"project_id":20,"build_status":"success"}"#;

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_790_000_000).unwrap()
    }

    fn hook() -> GitlabHook {
        let secrets = [
            HookSecret::Shared(Secret::from("plain-token-0123456789".to_owned())),
            HookSecret::Signing(Secret::new(vec![7; 32])),
        ];
        GitlabHook::new("gitlab".parse().unwrap(), &secrets)
    }

    fn shown(token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-token", token.parse().unwrap());
        headers
    }

    fn signed_at(key: &[u8], seconds: i64, body: &[u8]) -> HeaderMap {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let content = [format!("msg-1.{seconds}.").as_bytes(), body].concat();
        let signature = STANDARD.encode(hmac::sign(&key, &content));
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg-1".parse().unwrap());
        headers.insert("webhook-timestamp", seconds.into());
        let list = format!("v1a,zzzz v1,AAAA v1,{signature}");
        headers.insert("webhook-signature", list.parse().unwrap());
        headers
    }

    #[test]
    fn the_token_or_a_signature_verifies_and_names_job_and_pipeline() {
        let signed = signed_at(&[7; 32], now().seconds() - 200, BODY);
        for headers in [shown("plain-token-0123456789"), signed] {
            let hints = hook().verify(&headers, BODY, now()).unwrap().hints;
            let hints: Vec<_> = hints.iter().map(ToString::to_string).collect();
            assert_eq!(hints, ["gitlab/job/20/574/302", "gitlab/pipeline/20/574"]);
        }
    }

    #[test]
    fn a45_nothing_is_read_without_the_right_token_or_signature() {
        let seconds = now().seconds();
        let mut moved = signed_at(&[7; 32], seconds, BODY);
        moved.insert("webhook-timestamp", (seconds + 1).into());
        let key_as_token = shown(&STANDARD.encode([7; 32]));
        for wrong in [
            HeaderMap::new(),
            shown(""),
            shown("plain-token-012345678"),
            shown("plain-token-01234567890"),
            key_as_token,
            signed_at(b"plain-token-0123456789", seconds, BODY),
            signed_at(&[8; 32], seconds, BODY),
            signed_at(&[7; 32], seconds, b"{}"),
            signed_at(&[7; 32], seconds - 301, BODY),
            signed_at(&[7; 32], seconds + 301, BODY),
            moved,
        ] {
            let outcome = hook().verify(&wrong, BODY, now());
            assert_eq!(outcome, Err(BadDelivery::Signature), "{wrong:?}");
        }
    }

    #[test]
    fn a_pipeline_names_its_jobs_and_other_events_concern_nothing() {
        let body = br#"{"object_kind":"pipeline","object_attributes":{"id":574},"project":{"id":20},"builds":[{"id":302},{"id":303}]}"#;
        let headers = shown("plain-token-0123456789");
        let hints = hook().verify(&headers, body, now()).unwrap().hints;
        assert_eq!(hints.len(), 3);
        for other in [&br#"{"object_kind":"push"}"#[..], br#"{"event_name":"x"}"#] {
            assert_eq!(hook().verify(&headers, other, now()).unwrap().hints, []);
        }
        for broken in [
            &b""[..],
            b"[]",
            br#"{"object_kind":"build","build_id":"1"}"#,
        ] {
            let outcome = hook().verify(&headers, broken, now());
            assert_eq!(outcome, Err(BadDelivery::Body));
        }
    }
}
