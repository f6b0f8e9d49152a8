//! What constrains a lineage that has not ended: who wanted it, since when, and how it is let go on. It is
//! never let go on with more than it had.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::action::Acts;
use crate::domain::grant::{Grant, Grants, Scope};
use crate::domain::ids::LineageId;
use crate::domain::name::{ActionName, GrantName};
use crate::domain::task::Epoch;
use crate::domain::time::Timestamp;

/// How far a lineage is trusted less than before. Without a word it is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    Medium,
    High,
}

/// The text is no risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a risk that is raised is `medium` or `high`")]
pub struct BadRisk;

/// The risk of a lineage has risen: what the policies do not allow at that risk waits for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    pub risk: Risk,
    pub since: Timestamp,
    /// The epoch in which it began: with the lineage it names the challenge.
    pub begun: Epoch,
    /// Who raised it. They do not approve as well.
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// One of each approver, the last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approvals: Vec<Approval>,
}

/// Somebody's word that a lineage may act for a while in spite of its risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub by: String,
    pub at: Timestamp,
    pub until: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// What an approval is for: one lineage, from one rise of its risk to whatever constrains it next. Its text is
/// `ch-`, the digits of the lineage's id, and the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChallengeId {
    pub lineage: LineageId,
    pub begun: Epoch,
}

/// The text names no challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a challenge looks like ch-018f2b3c4d5e7f60a1b2c3d4e5f60718-2")]
pub struct BadChallenge;

/// Why a lineage may do nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub since: Timestamp,
    /// Who ordered or reported it. They do not let it go on as well.
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The lineage is not where it would have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmovable {
    #[error("it has ended")]
    Over,
    #[error("it is in quarantine")]
    Quarantined,
    #[error("it is at that risk already, or at a higher one")]
    AtThatRisk,
    #[error("nothing constrains it")]
    AtLarge,
    #[error("the challenge is not the one that it is under")]
    NoSuchChallenge,
    #[error("whoever raised the risk does not approve")]
    OwnChallenge,
    #[error("it would not be narrower than it is")]
    NotNarrower,
}

/// What is taken away from grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    pub grants: BTreeSet<GrantName>,
    pub actions: BTreeSet<ActionName>,
    pub scopes: BTreeSet<Scope>,
    /// Every action that changes something.
    pub writes: bool,
}

/// Something that is to be taken away is not there: whoever named it thinks of something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    #[error("there is no grant `{0}`")]
    Grant(GrantName),
    #[error("no grant has the action `{0}`")]
    Action(ActionName),
    #[error("no grant has the scope `{}`", .0.as_str())]
    Scope(Scope),
}

impl StepUp {
    /// Until when enough approvals hold at once; none where they do not now.
    pub fn approved_until(&self, quorum: u32, now: Timestamp) -> Option<Timestamp> {
        let holding = self.approvals.iter().map(|one| one.until);
        let mut holding: Vec<_> = holding.filter(|until| *until > now).collect();
        holding.sort_unstable_by(|one, other| other.cmp(one));
        let last = usize::try_from(quorum).ok()?.checked_sub(1)?;
        holding.get(last).copied()
    }

    /// With one more approval; of one approver the last counts.
    pub(in crate::domain) fn approved(mut self, approval: Approval) -> Result<Self, Unmovable> {
        if approval.by == self.by {
            return Err(Unmovable::OwnChallenge);
        }
        self.approvals.retain(|one| one.by != approval.by);
        self.approvals.push(approval);
        Ok(self)
    }

    /// Whether it is this one after one more approval by somebody else than who raised the risk.
    pub fn follows(&self, before: &Self) -> bool {
        let last = self.approvals.last().cloned();
        last.is_some_and(|last| before.clone().approved(last).as_ref() == Ok(self))
    }
}

impl Risk {
    pub const ALL: [Self; 2] = [Self::Medium, Self::High];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl FromStr for Risk {
    type Err = BadRisk;

    fn from_str(text: &str) -> Result<Self, BadRisk> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.as_str() == text).ok_or(BadRisk)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lineage = self.lineage.to_string();
        let digits = lineage
            .trim_start_matches(|c| c != '_')
            .trim_start_matches('_');
        write!(f, "ch-{digits}-{}", self.begun.number())
    }
}

impl FromStr for ChallengeId {
    type Err = BadChallenge;

    fn from_str(text: &str) -> Result<Self, BadChallenge> {
        let rest = text.strip_prefix("ch-").ok_or(BadChallenge)?;
        let (digits, begun) = rest.split_once('-').ok_or(BadChallenge)?;
        let plain = begun.bytes().all(|b| b.is_ascii_digit()) && !begun.starts_with('0');
        let begun = begun.parse().ok().filter(|_| plain).ok_or(BadChallenge)?;
        let lineage = format!("lin_{digits}").parse().map_err(|_| BadChallenge)?;
        Ok(Self {
            lineage,
            begun: Epoch::from_number(begun),
        })
    }
}

impl Narrowing {
    /// What is left of the grants.
    ///
    /// # Errors
    /// Something that is to be taken away is not there.
    pub fn of(&self, grants: &Grants) -> Result<Grants, NotThere> {
        self.is_there(grants)?;
        let kept = grants
            .iter()
            .filter(|(name, _)| !self.grants.contains(*name));
        let kept = kept.map(|(name, grant)| (name.clone(), self.of_one(grant)));
        Ok(Grants::new(kept.collect()))
    }

    fn is_there(&self, grants: &Grants) -> Result<(), NotThere> {
        let absent = |found: bool, what: NotThere| if found { Ok(()) } else { Err(what) };
        for name in &self.grants {
            absent(grants.named(name).is_some(), NotThere::Grant(name.clone()))?;
        }
        for action in &self.actions {
            let mut all = grants.iter();
            let found = all.any(|(_, grant)| grant.acts.effect(action).is_some());
            absent(found, NotThere::Action(action.clone()))?;
        }
        for scope in &self.scopes {
            let found = grants.iter().any(|(_, grant)| grant.scopes.contains(scope));
            absent(found, NotThere::Scope(scope.clone()))?;
        }
        Ok(())
    }

    fn of_one(&self, grant: &Grant) -> Grant {
        let Acts {
            reads,
            writes,
            resources,
        } = &grant.acts;
        let none = BTreeSet::new();
        let writes = if self.writes { &none } else { writes };
        let (reads, writes) = (reads - &self.actions, writes - &self.actions);
        let resources = if reads.is_empty() && writes.is_empty() {
            BTreeSet::new()
        } else {
            resources.clone()
        };
        Grant {
            scopes: &grant.scopes - &self.scopes,
            acts: Acts {
                reads,
                writes,
                resources,
            },
            ..grant.clone()
        }
    }
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;
