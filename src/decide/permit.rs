//! A permit: the proof, by type, that a case was decided and permitted. Only this module's parent
//! makes one; opening an intent consumes it.

use crate::attest::EvidenceRef;
use crate::decide::engine::Verb;
use crate::domain::credential::CredentialRecord;
use crate::domain::grant::{Audience, Grants, SecretPath, TokenGrant};
use crate::domain::identity::Identity;
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::lineage::Binding;
use crate::domain::name::{GrantName, InstanceName, ProfileName, TaskName};
use crate::domain::standing::{Rests, Standing};
use crate::domain::time::Timestamp;
use crate::domain::validity::Validity;
use crate::domain::x509::{SignedBy, SubjectKey};
use crate::ledger::entry::FactMark;

/// A case that was permitted. It cannot be copied and is used once.
#[derive(Debug)]
pub struct Permit(PermitParts);

/// What a permit allows, in all its parts.
#[derive(Debug)]
pub struct PermitParts {
    pub verb: Verb,
    pub profile: ProfileName,
    pub task_name: TaskName,
    pub instance: InstanceName,
    pub identity: Identity,
    /// Ties and pins for a lineage that opens.
    pub bindings: Vec<Binding>,
    pub grants: Grants,
    pub planned: Planned,
    /// A use of the grant is spent.
    pub spends: bool,
    pub deadline: Timestamp,
    pub validity: Validity,
    pub session_until: Timestamp,
    pub key: Option<Thumbprint>,
    pub evidence: Option<EvidenceRef>,
    pub seen_before: bool,
    pub evidence_once: Option<(Timestamp, Digest)>,
    pub proof: Option<(Timestamp, Digest)>,
    pub parent: Option<CredentialRecord>,
    /// What the evidence rests on, where it is a credential of ours.
    pub rests: Option<Rests>,
    pub policies: Vec<String>,
    pub policy_set: Digest,
    pub facts: Vec<FactMark>,
    /// When the first of the facts stops being good enough.
    pub good_until: Option<Timestamp>,
    pub standing: Standing,
}

/// What is to be minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    Token(TokenGrant),
    Secret {
        grant: GrantName,
        path: SecretPath,
    },
    JwtSvid {
        grant: GrantName,
        audience: Audience,
    },
    X509Svid {
        grant: GrantName,
        key: SubjectKey,
        by: SignedBy,
    },
}

impl Planned {
    /// The grant that it is under.
    pub const fn grant(&self) -> &GrantName {
        match self {
            Self::Token(token) => &token.name,
            Self::Secret { grant, .. }
            | Self::JwtSvid { grant, .. }
            | Self::X509Svid { grant, .. } => grant,
        }
    }
}

impl Permit {
    pub(in crate::decide) const fn new(parts: PermitParts) -> Self {
        Self(parts)
    }

    /// The secret that is to be read, if one is.
    pub const fn secret(&self) -> Option<&SecretPath> {
        match &self.0.planned {
            Planned::Secret { path, .. } => Some(path),
            Planned::Token(_) | Planned::JwtSvid { .. } | Planned::X509Svid { .. } => None,
        }
    }

    /// Spends the permit.
    pub fn into_parts(self) -> PermitParts {
        self.0
    }
}
