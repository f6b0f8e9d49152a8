//! Access tokens in the shape of RFC 9068, with the task and lineage that they belong to.

use serde::{Deserialize, Serialize};

use crate::domain::credential::CredentialRecord;
use crate::domain::details::TaskDetail;
use crate::domain::grant::{Audience, TokenGrant};
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, SessionId, TaskId};
use crate::domain::key::Thumbprint;
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;
use crate::domain::session::Session;
use crate::domain::task::Task;

/// The media type in the header (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";

/// The claims of an access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: SpiffeId,
    pub client_id: SpiffeId,
    /// Always a list, so that one audience has one reading.
    pub aud: Vec<Audience>,
    /// Seconds.
    pub exp: i64,
    /// Seconds.
    pub iat: i64,
    pub jti: CredentialId,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub scope: String,
    pub task: TaskId,
    pub task_name: TaskName,
    pub lineage: LineageId,
    pub session: SessionId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cnf: Option<Confirmation>,
    /// What the token is for, where a request named it (RFC 9396 §9.1).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub authorization_details: Vec<TaskDetail>,
}

/// The key that the token is bound to (RFC 9449 §6.1). One member only: readers refuse two.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Confirmation {
    pub jkt: Thumbprint,
}

impl Claims {
    pub fn new(
        issuer: &str,
        grant: &TokenGrant,
        credential: &CredentialRecord,
        task: &Task,
        lineage: &Lineage,
        session: &Session,
    ) -> Self {
        Self {
            iss: issuer.to_owned(),
            sub: lineage.identity.id().clone(),
            client_id: lineage.identity.id().clone(),
            aud: grant.audiences.iter().cloned().collect(),
            exp: credential.expires_at.seconds(),
            iat: credential.issued_at.seconds(),
            jti: credential.id,
            scope: grant.scope_text(),
            task: task.id,
            task_name: task.name.clone(),
            lineage: lineage.id,
            session: session.id,
            cnf: session.key.map(|jkt| Confirmation { jkt }),
            authorization_details: TaskDetail::of(lineage).into_iter().collect(),
        }
    }
}
