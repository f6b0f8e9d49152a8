//! What constrains a lineage that has not ended: who wanted it, since when, and how it is let go on. It is
//! never let go on with more than it had.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::action::Acts;
use crate::domain::grant::{Grant, Grants, Scope};
use crate::domain::name::{ActionName, GrantName};
use crate::domain::time::Timestamp;

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
    #[error("it is not in quarantine")]
    AtLarge,
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
