//! Which policies can speak about a request. Cedar evaluates every policy it is given, so what a
//! policy's scope rules out is left out before: by action, by the resource's type, and by the one
//! entity that the scope names.
//!
//! Leaving out is exact: a policy is skipped only if its scope is false for the request, and a false
//! scope can neither match nor fail. `judging_selected_policies_is_judging_all` holds it to that.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PolicySetError,
    PrincipalConstraint, ResourceConstraint,
};

/// All policies, by what they can apply to.
pub(super) struct Selection(HashMap<Class, Candidates>);

/// Requests of one action on one type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) action: EntityUid,
    pub(super) resource: EntityTypeName,
}

/// The policies of a class: those for anybody, and those that name one entity in their scope.
#[derive(Default)]
struct Candidates {
    general: PolicySet,
    naming: HashMap<EntityUid, PolicySet>,
}

impl Selection {
    pub(super) fn new<'a>(
        classes: impl IntoIterator<Item = Class>,
        policies: impl Iterator<Item = &'a Policy> + Clone,
    ) -> Result<Self, Box<PolicySetError>> {
        let mut selection = HashMap::new();
        for class in classes {
            let mut candidates = Candidates::default();
            for policy in policies.clone().filter(|policy| class.admits(policy)) {
                let part = match named(policy) {
                    Some(entity) => candidates.naming.entry(entity).or_default(),
                    None => &mut candidates.general,
                };
                part.add(policy.clone())?;
            }
            selection.insert(class, candidates);
        }
        Ok(Self(selection))
    }

    /// The parts of the policy set that have to be evaluated; a request of no known class has none,
    /// so that nothing permits it. `present` are the request's principal and resource and everything
    /// that these are in.
    pub(super) fn parts<'a>(
        &self,
        class: &Class,
        present: impl Iterator<Item = &'a EntityUid>,
    ) -> Vec<&PolicySet> {
        let Some(candidates) = self.0.get(class) else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        if !candidates.general.is_empty() {
            parts.push(&candidates.general);
        }
        if !candidates.naming.is_empty() {
            parts.extend(present.filter_map(|entity| candidates.naming.get(entity)));
        }
        parts
    }
}

impl Class {
    /// Whether the policy's scope can be true for some request of this class. The schema has no
    /// action groups, so an action is named or it is not meant.
    fn admits(&self, policy: &Policy) -> bool {
        let action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => action == self.action,
            ActionConstraint::In(actions) => actions.contains(&self.action),
        };
        let resource = match policy.resource_constraint() {
            // A resource can be in an entity of another type.
            ResourceConstraint::Any | ResourceConstraint::In(_) => true,
            ResourceConstraint::Eq(resource) => *resource.type_name() == self.resource,
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => {
                kind == self.resource
            }
        };
        action && resource
    }
}

/// An entity that the request must be by, be about, or be in for the policy to apply.
fn named(policy: &Policy) -> Option<EntityUid> {
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Eq(entity)
        | ResourceConstraint::In(entity)
        | ResourceConstraint::IsIn(_, entity) => Some(entity),
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    };
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Eq(entity)
        | PrincipalConstraint::In(entity)
        | PrincipalConstraint::IsIn(_, entity) => Some(entity),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    };
    resource.or(principal)
}
