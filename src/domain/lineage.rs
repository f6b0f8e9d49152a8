//! A lineage: one instance at work in one task under one identity. It owns the pins, so a record
//! that has moved since the lineage opened is seen at every decision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::constraint::{Approval, ChallengeId, Quarantine, StepUp, Unmovable};
use crate::domain::context::{Locator, RecordKey};
use crate::domain::grant::Grants;
use crate::domain::identity::Identity;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::name::InstanceName;
use crate::domain::task::{AlreadyOver, End, Epoch};
use crate::domain::time::Timestamp;

/// A lineage as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub id: LineageId,
    pub task: TaskId,
    pub instance: InstanceName,
    pub identity: Identity,
    pub state: LineageState,
    pub epoch: Epoch,
    pub opened_at: Timestamp,
    /// The task's deadline: until then a tombstone over this lineage is remembered.
    pub deadline: Timestamp,
    pub bindings: Vec<Binding>,
    /// What is left of the task's grants for this lineage; only ever narrower.
    pub grants: Grants,
    /// When it was last let go on with less: nothing that was given before stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub released_at: Option<Timestamp>,
}

/// A lineage's tie to one context record, with the values that must stay what they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub record: RecordKey,
    pub locate: Locator,
    pub pins: BTreeMap<String, String>,
}

/// Where a lineage stands. `Ended` is final: evidence does not reopen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LineageState {
    Active,
    /// Its risk has risen.
    StepUp(StepUp),
    /// Nothing is given and nothing is permitted until somebody has looked. Evidence does not clear it.
    Quarantined(Quarantine),
    Ended(End),
}

impl Lineage {
    /// Whether anything can be given or done under it.
    pub const fn is_live(&self) -> bool {
        match self.state {
            LineageState::Active | LineageState::StepUp(_) => true,
            LineageState::Quarantined(_) | LineageState::Ended(_) => false,
        }
    }

    /// What it is under while its risk is raised.
    pub const fn step_up(&self) -> Option<&StepUp> {
        match &self.state {
            LineageState::StepUp(under) => Some(under),
            LineageState::Active | LineageState::Quarantined(_) | LineageState::Ended(_) => None,
        }
    }

    /// What an approval of it would be for.
    pub fn challenge(&self) -> Option<ChallengeId> {
        self.step_up().map(|under| ChallengeId {
            lineage: self.id,
            begun: under.begun,
        })
    }

    /// Whether it has ended for good.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, LineageState::Ended(_))
    }

    /// Whether what was given under this id can stand, for all that the lineage knows. An id tells its
    /// moment to the millisecond; within that of the release it does not.
    pub fn carries(&self, credential: CredentialId) -> bool {
        self.is_live() && is_given_since(credential, self.released_at)
    }

    /// Ends the lineage for good, and with it everything it was given.
    pub fn end(self, end: End) -> Result<Self, AlreadyOver> {
        if self.is_over() {
            return Err(AlreadyOver);
        }
        Ok(self.moved(LineageState::Ended(end)))
    }

    /// Has it trusted less. Whatever was approved was approved at the risk of that time, and counts no more.
    ///
    /// # Errors
    /// It has ended, is in quarantine, or is at that risk or a higher one.
    pub fn raise(self, to: StepUp) -> Result<Self, Unmovable> {
        match &self.state {
            LineageState::StepUp(under) if under.risk >= to.risk => Err(Unmovable::AtThatRisk),
            LineageState::Active | LineageState::StepUp(_) => {
                let begun = self.epoch.next();
                let approvals = Vec::new();
                Ok(self.moved(LineageState::StepUp(StepUp {
                    begun,
                    approvals,
                    ..to
                })))
            }
            LineageState::Quarantined(_) => Err(Unmovable::Quarantined),
            LineageState::Ended(_) => Err(Unmovable::Over),
        }
    }

    /// Takes an approval of what it is under.
    ///
    /// # Errors
    /// It is under another challenge or none, or the approver is who raised the risk.
    pub fn approve(self, what: ChallengeId, approval: Approval) -> Result<Self, Unmovable> {
        if self.is_over() {
            return Err(Unmovable::Over);
        }
        let under = self.step_up().filter(|_| self.challenge() == Some(what));
        let under = under.cloned().ok_or(Unmovable::NoSuchChallenge)?;
        Ok(self.moved(LineageState::StepUp(under.approved(approval)?)))
    }

    /// Stops everything under it, with whatever it was given.
    ///
    /// # Errors
    /// It has ended, or is in quarantine already.
    pub fn quarantine(self, why: Quarantine) -> Result<Self, Unmovable> {
        match self.state {
            LineageState::Active | LineageState::StepUp(_) => {
                Ok(self.moved(LineageState::Quarantined(why)))
            }
            LineageState::Quarantined(_) => Err(Unmovable::Quarantined),
            LineageState::Ended(_) => Err(Unmovable::Over),
        }
    }

    /// Lets it go on with less than it had. What it was given before stays dead.
    ///
    /// # Errors
    /// Nothing constrains it, or these grants are not narrower than those it has.
    pub fn release(self, grants: Grants, now: Timestamp) -> Result<Self, Unmovable> {
        match self.state {
            LineageState::Quarantined(_) | LineageState::StepUp(_)
                if grants.is_narrower_than(&self.grants) =>
            {
                Ok(Self {
                    grants,
                    released_at: Some(now),
                    ..self.moved(LineageState::Active)
                })
            }
            LineageState::Quarantined(_) | LineageState::StepUp(_) => Err(Unmovable::NotNarrower),
            LineageState::Active => Err(Unmovable::AtLarge),
            LineageState::Ended(_) => Err(Unmovable::Over),
        }
    }

    fn moved(self, state: LineageState) -> Self {
        Self {
            state,
            epoch: self.epoch.next(),
            ..self
        }
    }
}

/// Whether a credential was given after a release, if there was one.
pub fn is_given_since(credential: CredentialId, release: Option<Timestamp>) -> bool {
    release.is_none_or(|at| credential.made_at() > at)
}
