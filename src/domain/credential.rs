//! What was handed out, as it is recorded: always with its task's lineage, its parent, its expiry
//! and how soon "revoked" is true where it counts.

use serde::{Deserialize, Serialize};
use writ_keys::KeyId;

use crate::domain::grant::{Audience, SecretPath, TokenGrant};
use crate::domain::ids::{CredentialId, LineageId, SessionId};
use crate::domain::key::Thumbprint;
use crate::domain::name::GrantName;
use crate::domain::time::Timestamp;
use crate::domain::x509::Serial;

/// A credential's row. Appended once, never updated: what ends it is its lineage, session, task, a
/// bar, or time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    pub id: CredentialId,
    pub lineage: LineageId,
    pub session: SessionId,
    pub parent: Option<CredentialId>,
    pub kind: CredentialKind,
    pub recall: RecallClass,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What kind of credential, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CredentialKind {
    AccessToken(TokenGrant),
    SecretLease(SecretLease),
    JwtSvid(JwtSvid),
    X509Svid(X509Svid),
}

/// Which version of which secret was read, under which grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretLease {
    pub grant: GrantName,
    pub path: SecretPath,
    pub version: u32,
}

/// Whom a JWT-SVID was made for, under which grant. Its subject is the lineage's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtSvid {
    pub grant: GrantName,
    pub audience: Audience,
}

impl JwtSvid {
    /// Whether it is made for AWS STS, which makes sessions of it.
    pub fn is_for_aws(&self) -> bool {
        self.audience.as_str() == AWS_STS
    }
}

/// A certificate: its serial number, who signed it, for which key, under which grant. Its only name is
/// the lineage's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct X509Svid {
    pub grant: GrantName,
    pub serial: Serial,
    pub authority: KeyId,
    pub key: Thumbprint,
}

/// How soon a revocation is true where the credential is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecallClass {
    /// Asked at use: every audience is registered as verifying by introspection.
    Online,
    /// Verified offline, with a list of what is revoked: whoever reads the list knows within its life.
    List,
    /// Verified offline: only its expiry ends it.
    Expiry,
    /// Already read: it has to be rotated.
    None,
}

impl CredentialKind {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AccessToken(_) => "access_token",
            Self::SecretLease(_) => "secret_lease",
            Self::JwtSvid(_) => "jwt_svid",
            Self::X509Svid(_) => "x509_svid",
        }
    }

    /// The key that it certifies.
    pub const fn certified_key(&self) -> Option<Thumbprint> {
        match self {
            Self::X509Svid(svid) => Some(svid.key),
            Self::AccessToken(_) | Self::SecretLease(_) | Self::JwtSvid(_) => None,
        }
    }

    pub const fn grant(&self) -> &GrantName {
        match self {
            Self::AccessToken(token) => &token.name,
            Self::SecretLease(lease) => &lease.grant,
            Self::JwtSvid(svid) => &svid.grant,
            Self::X509Svid(svid) => &svid.grant,
        }
    }
}

/// The audience that AWS's own guides give to an OIDC provider.
const AWS_STS: &str = "sts.amazonaws.com";
