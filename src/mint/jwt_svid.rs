//! JWT-SVIDs (JWT-SVID §3): the workload's identity for one audience, with an issuer and keys of their
//! own, so that no access token is ever taken for one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::credential::{CredentialRecord, JwtSvid};
use crate::domain::grant::Audience;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;
use crate::domain::task::Task;

/// The issuer of JWT-SVIDs, below the broker's own.
pub fn issuer(broker: &str) -> String {
    format!("{}/svid", broker.trim_end_matches('/'))
}

/// The claims of a JWT-SVID.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    iss: String,
    sub: &'a SpiffeId,
    /// Exactly one: whoever is shown the token must not be able to show it to another.
    aud: [&'a Audience; 1],
    exp: i64,
    iat: i64,
    jti: CredentialId,
    /// What it was made for, under a name that nobody else gives meaning to (RFC 7519 §4.3).
    #[serde(flatten)]
    task: BTreeMap<String, TaskClaim<'a>>,
}

#[derive(Debug, Serialize)]
struct TaskClaim<'a> {
    id: TaskId,
    name: &'a TaskName,
    lineage: LineageId,
}

impl<'a> Claims<'a> {
    pub fn new(
        broker: &str,
        svid: &'a JwtSvid,
        credential: &CredentialRecord,
        task: &'a Task,
        lineage: &'a Lineage,
    ) -> Self {
        let iss = issuer(broker);
        let claim = TaskClaim {
            id: task.id,
            name: &task.name,
            lineage: lineage.id,
        };
        Self {
            task: [(format!("{iss}/task"), claim)].into(),
            iss,
            sub: lineage.identity.id(),
            aud: [&svid.audience],
            exp: credential.expires_at.seconds(),
            iat: credential.issued_at.seconds(),
            jti: credential.id,
        }
    }
}
