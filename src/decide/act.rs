//! One action on one resource: decided as everything else is, on the same invariants, bindings and policies,
//! and within what the lineage is granted at this moment.

use std::collections::BTreeSet;

use crate::decide::case::{Case, fact_mark};
use crate::decide::clearance::{Clearance, ClearanceParts};
use crate::decide::denial::{Denial, Ends, Refusal};
use crate::decide::engine::{PolicySet, Target};
use crate::decide::{good_until, grants, invariants, judge, uses};
use crate::domain::action::{Act, Difference, Effect};
use crate::domain::grant::{Audience, Beyond, Grant, Grants};
use crate::domain::name::GrantName;
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;
use crate::error::Code;

/// An action that is asked about.
#[derive(Debug)]
pub struct Question<'a> {
    pub act: &'a Act,
    /// The services that ask, or that it is asked for.
    pub audiences: &'a BTreeSet<Audience>,
    pub aim: Aim<'a>,
}

/// What is wanted of an action.
#[derive(Debug, Clone, Copy)]
pub enum Aim<'a> {
    /// To know whether it may be done now. This uses nothing up, so what is counted may not.
    Evaluate,
    /// One use of it, by the end of the token that was shown.
    Reserve { ends: Timestamp },
    /// To do it, by a use that was reserved; none, if there is no such reservation in the task.
    Consume(Option<&'a Reservation>),
    /// To hear again that it was done, by the same.
    Recall(&'a Reservation),
}

/// Decides one action on one resource, for a lineage that stands.
///
/// # Errors
/// Denied or undetermined, with the field that decided.
pub fn clear(
    case: &Case<'_>,
    question: &Question<'_>,
    policies: &PolicySet,
    now: Timestamp,
) -> Result<Clearance, Refusal> {
    let Question { act, audiences, .. } = *question;
    invariants(case, now)?;
    let grants = grants(case)?;
    let (grant, effect) = within(case, act, audiences, &grants)?;
    let target = Target::Act { grant, act, effect };
    let permits = judge(case, target, policies, now)?;
    let counted = effect == Effect::Writes && grants.named(grant).is_some_and(Grant::counts_writes);
    let reserved = uses::check(case, question, (grant, counted), now)?;
    Ok(Clearance::new(ClearanceParts {
        grant: grant.clone(),
        act: act.clone(),
        effect,
        reserved,
        identity: case.identity.clone(),
        key: case.key,
        proof: case.proof,
        policies: permits,
        policy_set: policies.digest(),
        facts: case.facts.known().map(fact_mark).collect(),
        good_until: good_until(case, now),
        standing: case.standing.clone(),
    }))
}

/// The grant that has the action on the resource. What is the context's, and not what the context says,
/// ends the lineage: whoever asks for another account than the case's is not at work on the case.
fn within<'a>(
    case: &Case<'_>,
    act: &Act,
    audiences: &BTreeSet<Audience>,
    grants: &'a Grants,
) -> Result<(&'a GrantName, Effect), Refusal> {
    let look = |kind, name: &str| {
        let known = case.facts.known();
        let mut records = known.filter_map(|fact| fact.record.as_ref());
        let record = records.find(|record| record.kind() == kind)?;
        record.field(name).map(str::to_owned)
    };
    let denied = |beyond| match beyond {
        Beyond::Action => Denial::new(
            Code::ActionRefused,
            "no grant of the task has this action for the service that asks",
        )
        .field("action"),
        Beyond::Resource => Denial::new(
            Code::ResourceRefused,
            "no grant of the task has this resource",
        )
        .field("resource"),
        Beyond::Misplaced(Difference {
            field,
            required,
            observed,
        }) => {
            let text = "what was given in one place is asked about in another";
            Denial::new(Code::PlaceMismatch, text)
                .field(field)
                .because(required.unwrap_or_default(), observed)
        }
        Beyond::Differs(Difference {
            field,
            required,
            observed,
        }) => {
            let text = format!("the resource belongs to another `{field}` than the task's");
            let ends = if required.is_some() {
                Ends::Lineage
            } else {
                Ends::Nothing
            };
            Denial::new(Code::ResourceMismatch, text)
                .field(field)
                .because(required.as_deref().unwrap_or("(absent)"), observed)
                .ends(ends)
        }
    };
    let found = grants.act(audiences, act, &look);
    found.map_err(|beyond| denied(beyond).into())
}
