//! Which policies can speak about a request. Cedar evaluates every policy it is given, so what a
//! policy's scope rules out is left out before: by action, by the resource's type, and by the one
//! entity that the scope names. What selection has settled is then not evaluated again: the policy is
//! kept without that part of its scope.
//!
//! This is exact: a policy is skipped only if its scope is false for the request, and a false scope
//! can neither match nor fail. `judging_selected_policies_is_judging_all` holds it to that.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    ResourceConstraint,
};
use serde_json::json;

use crate::decide::load::Rule;

/// All policies, by what they can apply to.
pub(super) struct Selection(Vec<(Class, Candidates)>);

/// Requests of one action by one type of principal on one type of resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) principal: EntityTypeName,
    pub(super) action: EntityUid,
    pub(super) resource: EntityTypeName,
}

/// The policies of a class: those for anybody, and those that name one entity in their scope.
#[derive(Default)]
struct Candidates {
    general: PolicySet,
    by_principal: HashMap<EntityUid, PolicySet>,
    by_resource: HashMap<EntityUid, PolicySet>,
}

/// A checked policy cannot be arranged: the engine contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("policy {id}: {reason}")]
pub(super) struct Unfit {
    id: String,
    reason: String,
}

impl Selection {
    pub(super) fn new(
        classes: impl IntoIterator<Item = Class>,
        rules: &[Rule],
    ) -> Result<Self, Unfit> {
        let mut selection: Vec<_> = classes
            .into_iter()
            .map(|class| (class, Candidates::default()))
            .collect();
        for rule in rules {
            let key = Key::of(&rule.policy);
            let settled = key.settle(rule).map_err(|e| Unfit::new(rule, &*e))?;
            for (class, candidates) in &mut selection {
                if !class.admits(&rule.policy) {
                    continue;
                }
                let part = match &key {
                    Key::Principal(entity) => {
                        candidates.by_principal.entry(entity.clone()).or_default()
                    }
                    Key::Resource(entity) => {
                        candidates.by_resource.entry(entity.clone()).or_default()
                    }
                    Key::Anybody => &mut candidates.general,
                };
                part.add(settled.clone())
                    .map_err(|e| Unfit::new(rule, &e))?;
            }
        }
        Ok(Self(selection))
    }

    /// The parts of the policy set that have to be evaluated; a request of no known class has none,
    /// so that nothing permits it. `principals` and `resources` are the request's own and every named
    /// entity that these are in.
    pub(super) fn parts(
        &self,
        class: &Class,
        principals: &[EntityUid],
        resources: &[EntityUid],
    ) -> Vec<&PolicySet> {
        let Some((_, candidates)) = self.0.iter().find(|(known, _)| known == class) else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        if !candidates.general.is_empty() {
            parts.push(&candidates.general);
        }
        for (naming, present) in [
            (&candidates.by_principal, principals),
            (&candidates.by_resource, resources),
        ] {
            if !naming.is_empty() {
                parts.extend(present.iter().filter_map(|entity| naming.get(entity)));
            }
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
        // An entity can be in one of another type.
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
            PrincipalConstraint::Eq(entity) => *entity.type_name() == self.principal,
            PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => {
                kind == self.principal
            }
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::In(_) => true,
            ResourceConstraint::Eq(entity) => *entity.type_name() == self.resource,
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => {
                kind == self.resource
            }
        };
        action && principal && resource
    }
}

/// An entity that the request must be about, be by, or be in for the policy to apply.
enum Key {
    Resource(EntityUid),
    Principal(EntityUid),
    Anybody,
}

impl Key {
    fn of(policy: &Policy) -> Self {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Eq(entity)
            | PrincipalConstraint::In(entity)
            | PrincipalConstraint::IsIn(_, entity) => Some(Self::Principal(entity)),
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        };
        match policy.resource_constraint() {
            ResourceConstraint::Eq(entity)
            | ResourceConstraint::In(entity)
            | ResourceConstraint::IsIn(_, entity) => Self::Resource(entity),
            ResourceConstraint::Any | ResourceConstraint::Is(_) => {
                principal.unwrap_or(Self::Anybody)
            }
        }
    }

    /// The policy without what its class and key have settled: the action and the resource, and the
    /// principal unless the resource is the key and the principal may be anybody's.
    fn settle(&self, rule: &Rule) -> Result<Policy, Box<dyn std::error::Error>> {
        let principal_is_open = match (self, rule.policy.principal_constraint()) {
            (Self::Anybody | Self::Principal(_), _)
            | (Self::Resource(_), PrincipalConstraint::Any | PrincipalConstraint::Is(_)) => false,
            (
                Self::Resource(_),
                PrincipalConstraint::Eq(_)
                | PrincipalConstraint::In(_)
                | PrincipalConstraint::IsIn(..),
            ) => true,
        };
        let mut form = rule.form.clone();
        let settled: &[&str] = if principal_is_open {
            &["action", "resource"]
        } else {
            &["principal", "action", "resource"]
        };
        for part in settled {
            *form.get_mut(*part).ok_or("it has no scope")? = json!({"op": "All"});
        }
        Ok(Policy::from_json(Some(rule.policy.id().clone()), form)?)
    }
}

impl Unfit {
    fn new(rule: &Rule, reason: &(impl std::fmt::Display + ?Sized)) -> Self {
        Self {
            id: rule.id(),
            reason: reason.to_string(),
        }
    }
}
