//! A clearance: the proof, by type, that one action on one resource was decided and permitted. Only this
//! module's parent makes one; recording it consumes it.

use crate::domain::action::{Act, Effect};
use crate::domain::identity::Identity;
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::name::GrantName;
use crate::domain::standing::Standing;
use crate::domain::time::Timestamp;
use crate::domain::validity::Validity;
use crate::ledger::entry::FactMark;

/// An action that was permitted, once. It cannot be copied.
#[derive(Debug)]
pub struct Clearance(ClearanceParts);

/// What a clearance is about, in all its parts.
#[derive(Debug)]
pub struct ClearanceParts {
    pub grant: GrantName,
    pub act: Act,
    pub effect: Effect,
    /// Until when a use of it is reserved, where one is.
    pub reserved: Option<Validity>,
    pub identity: Identity,
    pub key: Option<Thumbprint>,
    /// The proof of possession that is spent with it.
    pub proof: Option<(Timestamp, Digest)>,
    pub policies: Vec<String>,
    pub policy_set: Digest,
    pub facts: Vec<FactMark>,
    /// When the first of the facts stops being good enough.
    pub good_until: Option<Timestamp>,
    pub standing: Standing,
}

impl Clearance {
    pub(in crate::decide) const fn new(parts: ClearanceParts) -> Self {
        Self(parts)
    }

    /// What the action does.
    pub const fn effect(&self) -> Effect {
        self.0.effect
    }

    /// Spends the clearance.
    pub fn into_parts(self) -> ClearanceParts {
        self.0
    }
}
