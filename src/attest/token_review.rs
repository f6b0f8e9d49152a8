//! `TokenReview`: the cluster's own word about a token. The signature says who minted it; only the
//! cluster knows whether the account and the pod that it is bound to are still there.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::json;

use crate::attest::invalid;
use crate::domain::profile::Claims;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::outbound::Peer;

/// A cluster's API that is asked about tokens.
pub struct TokenReview {
    pub peer: Peer,
    /// The path of the API's root, without a final slash.
    pub root: String,
}

impl TokenReview {
    /// Whether the cluster takes the token, for this audience, as that of the account and the pod which
    /// the claims name.
    ///
    /// # Errors
    /// `evidence_invalid` when it does not; `issuer_unavailable` when the cluster cannot be asked.
    pub async fn check(
        &self,
        token: &str,
        audience: &str,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<(), Error> {
        let question = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": [audience] },
        });
        let path = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", self.root);
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let body = Bytes::from(question.to_string());
        let answer = self.peer.post(&path, headers, body, now.plus(DEADLINE));
        let answer = answer.await.and_then(|answer| answer.json::<Answer>());
        let status = answer.map_err(|why| unasked(&why))?.status;
        if !status.authenticated {
            return Err(invalid(&"the cluster does not take the token"));
        }
        if !status.audiences.iter().any(|one| one == audience) {
            return Err(invalid(&"the cluster takes the token for another audience"));
        }
        let account = claims.get("serviceaccount_uid");
        if account.is_none() || status.user.uid.as_ref() != account {
            return Err(invalid(&"the cluster knows another account of that name"));
        }
        match (status.user.extra.pod.as_slice(), claims.get("pod_uid")) {
            ([found], Some(named)) if found == named => Ok(()),
            _ => Err(invalid(&"the cluster knows another pod of that name")),
        }
    }
}

fn unasked(why: &impl std::fmt::Display) -> Error {
    Error::new(
        Code::IssuerUnavailable,
        "the cluster cannot be asked about the token now",
    )
    .with_internal(why)
    .with_retry_after(RETRY)
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    /// Absent where it is false, whatever the reason.
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
struct User {
    uid: Option<String>,
    #[serde(default)]
    extra: Extra,
}

#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default, rename = "authentication.kubernetes.io/pod-uid")]
    pod: Vec<String>,
}

const DEADLINE: Duration = Duration::from_secs(5);

const RETRY: Duration = Duration::from_secs(5);
