//! What an operator may do. Roles are no ladder: whoever approves is kept apart from whoever acts, and only
//! `admin` reaches everything.

use std::collections::BTreeSet;
use std::fmt;

/// One role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks at everything that is no secret, and changes nothing.
    Viewer,
    /// Works on tasks: opens, ends and revokes them.
    Operator,
    /// Answers what others ask for.
    Approver,
    /// Secrets, the broker's keys, and all of the above.
    Admin,
}

/// The roles of one operator: none, if their groups have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has this role may do what takes `needed`.
    pub fn covers(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Viewer
    }
}

impl Roles {
    /// All that there are.
    pub fn all() -> Self {
        Role::ALL.into_iter().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them covers what is needed.
    pub fn cover(&self, needed: Role) -> bool {
        self.0.iter().any(|role| role.covers(needed))
    }

    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Role::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_approves_does_not_act_and_whoever_acts_does_not_approve() {
        use Role::{Admin, Approver, Operator, Viewer};
        for (held, reached) in [
            (vec![], vec![]),
            (vec![Viewer], vec![Viewer]),
            (vec![Operator], vec![Viewer, Operator]),
            (vec![Approver], vec![Viewer, Approver]),
            (vec![Operator, Approver], vec![Viewer, Operator, Approver]),
            (vec![Admin], Role::ALL.to_vec()),
        ] {
            let roles: Roles = held.iter().copied().collect();
            let covered: Vec<_> = Role::ALL.into_iter().filter(|r| roles.cover(*r)).collect();
            assert_eq!(covered, reached, "{held:?}");
        }
    }
}
