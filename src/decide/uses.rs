//! Actions whose uses are counted: evaluating one uses nothing up and so permits nothing. A use is reserved
//! first, and consumed when the action is done; how many are left is the fold's to know.

use crate::decide::act::{Aim, Question};
use crate::decide::case::Case;
use crate::decide::denial::{Denial, Refusal};
use crate::domain::action::Act;
use crate::domain::name::GrantName;
use crate::domain::reservation::{Reservation, ReservationStanding, ReservationState};
use crate::domain::time::Timestamp;
use crate::domain::validity::Validity;
use crate::error::Code;

/// Holds what is wanted of an action against whether its uses are counted, under the grant that has it. Says
/// until when a use may be reserved, where one is.
pub(super) fn check(
    case: &Case<'_>,
    question: &Question<'_>,
    (grant, counted): (&GrantName, bool),
    now: Timestamp,
) -> Result<Option<Validity>, Refusal> {
    match (question.aim, counted) {
        (Aim::Evaluate, false) => Ok(None),
        (Aim::Evaluate, true) => {
            let text = "the uses of this action are counted: reserve one, and consume it to act";
            Err(refuse(Code::PermitRequired, text, "permit"))
        }
        (Aim::Reserve { ends }, true) => reserved(case, ends, now).map(Some),
        (Aim::Consume(None), true) => {
            let text = "there is no such permit in this task: reserve one";
            Err(refuse(Code::PermitRequired, text, "permit"))
        }
        (Aim::Consume(Some(one)), true) => {
            fits(case, question, grant, one)?;
            unused(one, now).map(|()| None)
        }
        (Aim::Recall(one), true) => fits(case, question, grant, one).map(|()| None),
        (Aim::Reserve { .. } | Aim::Consume(_) | Aim::Recall(_), false) => {
            let text = "the uses of this action are not counted: it takes no permit";
            Err(refuse(Code::ActionRefused, text, "action"))
        }
    }
}

/// No longer than the profile lets it, the token that it is taken with, and the task.
fn reserved(case: &Case<'_>, ends: Timestamp, now: Timestamp) -> Result<Validity, Refusal> {
    let task = case.standing.task.as_ref();
    let ends = [Some(ends), task.map(|task| task.deadline)];
    let ends: Vec<_> = ends.into_iter().flatten().collect();
    Validity::clamp(now, case.profile.lifetimes.permit, &ends).ok_or_else(|| {
        let text = "nothing is left of the task's time";
        Denial::new(Code::TaskExpired, text).into()
    })
}

/// Whether it was reserved by this lineage, under this grant, for this action on this resource, at a service
/// that asks.
fn fits(
    case: &Case<'_>,
    question: &Question<'_>,
    grant: &GrantName,
    one: &Reservation,
) -> Result<(), Refusal> {
    let lineage = case.standing.lineage.as_ref();
    let refuse = |field| {
        let text = "the permit is not for this: reserve one that is";
        let denial = Denial::new(Code::PermitMismatch, text).field(field);
        Refusal::from(denial.because(about(one), said(question.act)))
    };
    let Some(lineage) = lineage.filter(|lineage| lineage.id == one.lineage) else {
        return Err(refuse("lineage"));
    };
    if lineage.released_at.is_some_and(|at| one.reserved_at <= at) {
        let text = "the permit is from before a quarantine, and nothing of that stands";
        return Err(self::refuse(Code::PermitExpired, text, "permit"));
    }
    if !one.is_for(question.act) {
        return Err(refuse("permit"));
    }
    if !question.audiences.contains(&one.audience) || *grant != one.grant {
        return Err(refuse("audience"));
    }
    Ok(())
}

fn unused(one: &Reservation, now: Timestamp) -> Result<(), Refusal> {
    match one.standing(now) {
        ReservationStanding::Reserved => Ok(()),
        ReservationStanding::Consumed => {
            let text = "the permit has been used: the next step takes another";
            Err(used(Code::PermitSpent, text, one).into())
        }
        ReservationStanding::Lapsed => {
            let text = "the permit was not used in its time: the use is spent all the same";
            Err(used(Code::PermitExpired, text, one).into())
        }
    }
}

/// What became of it, for the operator.
fn used(code: Code, text: &'static str, one: &Reservation) -> Denial {
    let became = match &one.state {
        ReservationState::Consumed { at, by } => format!("consumed at {at} by {by}"),
        ReservationState::Reserved => format!("lapsed at {}", one.expires_at),
    };
    let required = format!("{}, not used, in its time", one.id);
    Denial::new(code, text)
        .field("permit")
        .because(required, became)
}

fn refuse(code: Code, text: &'static str, field: &'static str) -> Refusal {
    Denial::new(code, text).field(field).into()
}

fn about(one: &Reservation) -> String {
    let (action, kind, resource) = (&one.action, &one.kind, one.resource.as_str());
    format!("{action} {kind} {resource} at {}", one.audience)
}

fn said(act: &Act) -> String {
    format!("{} {}", act.action, act.resource)
}
