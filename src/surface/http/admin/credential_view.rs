//! Credentials as operators see them: what each is good for, and what a revocation does to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::when::When;
use crate::broker::outstanding::CredentialState;
use crate::domain::credential::{CredentialKind, CredentialRecord, RecallClass};
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::ids::{CredentialId, LineageId, SessionId};
use crate::domain::key::Thumbprint;
use crate::domain::name::GrantName;
use crate::domain::x509::Serial;

/// A credential under a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    #[schema(value_type = String)]
    pub id: CredentialId,
    #[schema(value_type = String)]
    pub lineage: LineageId,
    #[schema(value_type = String)]
    pub session: SessionId,
    /// The token that a secret was read with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub parent: Option<CredentialId>,
    #[schema(value_type = String)]
    pub grant: GrantName,
    #[serde(flatten)]
    pub good_for: GoodFor,
    pub issued_at: When,
    pub expires_at: When,
    pub state: StateView,
    /// Why it is stuck.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    pub once_revoked: RecallView,
}

/// What kind it is, and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GoodFor {
    AccessToken {
        #[schema(value_type = Vec<String>)]
        audiences: BTreeSet<Audience>,
        #[schema(value_type = Vec<String>)]
        scopes: BTreeSet<Scope>,
    },
    SecretLease {
        #[schema(value_type = String)]
        path: SecretPath,
        version: u32,
    },
    JwtSvid {
        #[schema(value_type = String)]
        audience: Audience,
    },
    X509Svid {
        #[schema(value_type = String)]
        serial: Serial,
        /// The thumbprint of the certified key.
        #[schema(value_type = String)]
        key: Thumbprint,
    },
}

/// Where it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateView {
    Live,
    /// Its time is over.
    Expired,
    /// Refused wherever it is shown.
    Revoked,
    /// Revoked here, and not yet on the list of what is: whoever reads the list takes it. A second at most.
    Propagating,
    /// The same, and the list should have said so by now: `why` tells what hinders it.
    Stuck,
    /// Revoked, and on the list of what is: whoever reads the list refuses it, with a copy that is five
    /// minutes old at most.
    Listed,
    /// Revoked, and yet taken until it expires by whoever verifies it offline.
    ExpiresAt,
    /// It was read and cannot be taken back: rotate it.
    Exposed,
}

/// What a revocation makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecallView {
    Revoked,
    Listed,
    ExpiresAt,
    Exposed,
}

impl From<&(CredentialRecord, CredentialState)> for CredentialView {
    fn from((record, state): &(CredentialRecord, CredentialState)) -> Self {
        Self {
            id: record.id,
            lineage: record.lineage,
            session: record.session,
            parent: record.parent,
            grant: record.kind.grant().clone(),
            good_for: GoodFor::from(&record.kind),
            issued_at: record.issued_at.into(),
            expires_at: record.expires_at.into(),
            state: StateView::from(*state),
            why: match state {
                CredentialState::Stuck(why) => Some(why.as_str().to_owned()),
                CredentialState::Live
                | CredentialState::Expired
                | CredentialState::Revoked
                | CredentialState::Propagating
                | CredentialState::Listed
                | CredentialState::ExpiresAt
                | CredentialState::Exposed => None,
            },
            once_revoked: RecallView::from(record.recall),
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
            CredentialKind::X509Svid(svid) => Self::X509Svid {
                serial: svid.serial,
                key: svid.key,
            },
        }
    }
}

impl From<CredentialState> for StateView {
    fn from(state: CredentialState) -> Self {
        match state {
            CredentialState::Live => Self::Live,
            CredentialState::Expired => Self::Expired,
            CredentialState::Revoked => Self::Revoked,
            CredentialState::Propagating => Self::Propagating,
            CredentialState::Stuck(_) => Self::Stuck,
            CredentialState::Listed => Self::Listed,
            CredentialState::ExpiresAt => Self::ExpiresAt,
            CredentialState::Exposed => Self::Exposed,
        }
    }
}

impl From<RecallClass> for RecallView {
    fn from(recall: RecallClass) -> Self {
        match recall {
            RecallClass::Online => Self::Revoked,
            RecallClass::List => Self::Listed,
            RecallClass::Expiry => Self::ExpiresAt,
            RecallClass::None => Self::Exposed,
        }
    }
}
