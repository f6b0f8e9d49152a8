//! A Kubernetes cluster as a source that is asked: a pod is the job record. It is asked for by its
//! name and found only by its uid, since a pod that was deleted can be made again under its name.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::context::rest::{RestApi, absent, parse, part, unknown_status};
use crate::context::{ContextSource, Reading, Unreadable};
use crate::domain::context::{Job, Locator, Record, RecordKey, RecordKind, RunStatus};
use crate::domain::time::Timestamp;

/// A cluster's API.
pub struct KubernetesApi(pub RestApi);

impl ContextSource for KubernetesApi {
    fn read<'a>(
        &'a self,
        record: &'a RecordKey,
        locate: &'a Locator,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
        Box::pin(async move {
            match record.kind {
                RecordKind::Job => {}
                RecordKind::Pipeline | RecordKind::Environment | RecordKind::Case => {
                    return Err(Unreadable(format!("{record}: a cluster has only pods")));
                }
            }
            let path = format!(
                "/api/v1/namespaces/{}/pods/{}",
                part(locate, "namespace")?,
                part(locate, "pod")?
            );
            let body = self.0.get(&path, HeaderMap::new(), record, now).await?;
            body.map_or_else(|| Ok(absent()), |body| read_pod(&body, record))
        })
    }
}

#[derive(Deserialize)]
struct RawPod {
    metadata: RawMetadata,
    status: RawStatus,
}

#[derive(Deserialize)]
struct RawMetadata {
    uid: String,
    #[serde(rename = "deletionTimestamp")]
    deleted: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawStatus {
    phase: String,
}

/// A deletion cannot be taken back, so that a pod which is being deleted is over already. A phase of
/// `Unknown`, when its node is lost, is not known here either.
fn read_pod(body: &[u8], record: &RecordKey) -> Result<Reading, Unreadable> {
    let pod: RawPod = parse(body, record)?;
    if pod.metadata.uid != record.id {
        return Ok(absent());
    }
    let (status, conclusion) = match (&pod.metadata.deleted, pod.status.phase.as_str()) {
        (_, "Succeeded") => (RunStatus::Completed, Some("success")),
        (_, "Failed") => (RunStatus::Completed, Some("failure")),
        (Some(IgnoredAny), _) => (RunStatus::Completed, Some("deleted")),
        (None, "Pending") => (RunStatus::Queued, None),
        (None, "Running") => (RunStatus::InProgress, None),
        (None, _) => return Err(unknown_status(record)),
    };
    let job = Job {
        status,
        conclusion: conclusion.map(str::to_owned),
    };
    Ok(Reading {
        record: Some(Record::Job(job)),
        version: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(uid: &str, phase: &str, deleted: Option<&str>) -> Result<Option<Record>, Unreadable> {
        let mut pod: Value = json!({ "metadata": { "uid": uid }, "status": { "phase": phase } });
        if let Some(at) = deleted {
            pod["metadata"]["deletionTimestamp"] = at.into();
        }
        let record = RecordKey {
            source: "cluster".parse().unwrap(),
            kind: RecordKind::Job,
            id: "a-1".to_owned(),
        };
        read_pod(pod.to_string().as_bytes(), &record).map(|reading| reading.record)
    }

    #[test]
    fn a_pod_that_ended_or_is_being_deleted_is_over_and_a_lost_one_is_unknown() {
        for (phase, deleted) in [
            ("Succeeded", None),
            ("Failed", None),
            ("Running", Some("2026-11-22T05:00:00Z")),
            ("Pending", Some("2026-11-22T05:00:00Z")),
            ("Unknown", Some("2026-11-22T05:00:00Z")),
        ] {
            let pod = read("a-1", phase, deleted).unwrap().unwrap();
            assert!(pod.is_terminal(), "{phase} {deleted:?}");
        }
        for phase in ["Pending", "Running"] {
            assert!(!read("a-1", phase, None).unwrap().unwrap().is_over());
        }
        for lost in ["Unknown", "", "running"] {
            read("a-1", lost, None).unwrap_err();
        }
    }

    #[test]
    fn another_pod_of_the_same_name_is_not_the_pod() {
        assert_eq!(read("a-2", "Running", None), Ok(None));
    }
}
