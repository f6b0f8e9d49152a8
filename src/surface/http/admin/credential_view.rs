//! Credentials as operators see them: what each is good for, and what a revocation does to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::when::When;
use crate::broker::revoke::Recall;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::ids::{CredentialId, LineageId, SessionId};
use crate::domain::name::GrantName;

/// A credential under a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    pub id: CredentialId,
    pub lineage: LineageId,
    pub session: SessionId,
    /// The token that a secret was read with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<CredentialId>,
    pub grant: GrantName,
    #[serde(flatten)]
    pub good_for: GoodFor,
    pub issued_at: When,
    pub expires_at: When,
    #[serde(flatten)]
    pub recall: RecallView,
}

/// What kind it is, and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GoodFor {
    AccessToken {
        audiences: BTreeSet<Audience>,
        scopes: BTreeSet<Scope>,
    },
    SecretLease {
        path: SecretPath,
        version: u32,
    },
    JwtSvid {
        audience: Audience,
    },
}

/// What it is once it has been revoked: in a revocation's answer what it is now, in a task's what it
/// would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RecallView {
    /// Refused wherever it is shown.
    Dead,
    /// Whoever verifies it offline takes it until then.
    UnusableBy { unusable_by: When },
    /// It was read and cannot be taken back: rotate it.
    Exposed,
}

impl From<&(CredentialRecord, Recall)> for CredentialView {
    fn from((record, recall): &(CredentialRecord, Recall)) -> Self {
        Self {
            id: record.id,
            lineage: record.lineage,
            session: record.session,
            parent: record.parent,
            grant: record.kind.grant().clone(),
            good_for: GoodFor::from(&record.kind),
            issued_at: record.issued_at.into(),
            expires_at: record.expires_at.into(),
            recall: RecallView::from(*recall),
        }
    }
}

impl From<&CredentialKind> for GoodFor {
    fn from(kind: &CredentialKind) -> Self {
        match kind {
            CredentialKind::AccessToken(token) => Self::AccessToken {
                audiences: token.audiences.clone(),
                scopes: token.scopes.clone(),
            },
            CredentialKind::SecretLease(lease) => Self::SecretLease {
                path: lease.path.clone(),
                version: lease.version,
            },
            CredentialKind::JwtSvid(svid) => Self::JwtSvid {
                audience: svid.audience.clone(),
            },
        }
    }
}

impl From<Recall> for RecallView {
    fn from(recall: Recall) -> Self {
        match recall {
            Recall::Dead => Self::Dead,
            Recall::UnusableBy(at) => Self::UnusableBy {
                unusable_by: at.into(),
            },
            Recall::Exposed => Self::Exposed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn each_recall_has_its_own_word_and_only_one_has_a_time() {
        let at = Timestamp::from_micros(1_000_000);
        let written = |recall| serde_json::to_value(RecallView::from(recall)).unwrap();
        assert_eq!(written(Recall::Dead), json!({"state": "dead"}));
        assert_eq!(written(Recall::Exposed), json!({"state": "exposed"}));
        assert_eq!(
            written(Recall::UnusableBy(at)),
            json!({"state": "unusable_by", "unusable_by": "1970-01-01T00:00:01Z"})
        );
    }
}
