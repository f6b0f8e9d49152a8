//! From a clearance to the change that reserves one use of an action, or consumes it. The use is taken from the
//! pool in the change that makes its reservation, and the key under which it was asked is noted there: no crash
//! stands between them.

use crate::decide::clearance::{Clearance, ClearanceParts};
use crate::domain::grant::Audience;
use crate::domain::ids::{ChangeId, CredentialId, ReservationId};
use crate::domain::name::ServerName;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::ledger::act::{expects, proof, told};
use crate::ledger::answered::{Answer, Repeat};
use crate::ledger::change::{Change, Expectation, Lane, Write};
use crate::ledger::entry::{Entry, Event, PermitDeed};
use crate::ledger::intent::Scene;

/// The change that reserves a use for one service, and the reservation; none where the clearance is of no use
/// that is to be reserved.
pub fn reserve(
    clearance: Clearance,
    shown: CredentialId,
    (audience, repeat): (Audience, Repeat),
    scene: Scene<'_>,
) -> Option<(Change, Reservation)> {
    let parts = clearance.into_parts();
    let one = Reservation {
        id: ReservationId::new(scene.now, scene.entropy),
        task: parts.standing.task.as_ref()?.id,
        lineage: parts.standing.lineage.as_ref()?.id,
        grant: parts.grant.clone(),
        audience,
        action: parts.act.action.clone(),
        kind: parts.act.resource.kind.clone(),
        resource: parts.act.resource.id.clone(),
        reserved_at: scene.now,
        expires_at: parts.reserved?.until(),
        state: ReservationState::Reserved,
    };
    let answer = Answer::Reserved(Box::new(one.clone()));
    // The key comes first: who asks again hears that, and not that nothing is left.
    let writes = vec![
        Write::Answered(repeat.answered(answer, scene.now)),
        Write::Spend {
            task: one.task,
            grant: one.grant.clone(),
            uses: 1,
        },
        Write::Reservation(one.clone()),
    ];
    Some((change(parts, shown, (&one, None, writes), scene), one))
}

/// The change by which a resource server consumes a reservation; none where it was consumed before.
pub fn consume(
    clearance: Clearance,
    shown: CredentialId,
    (one, by, repeat): (&Reservation, &ServerName, Repeat),
    scene: Scene<'_>,
) -> Option<Change> {
    let consumed = one.clone().consume(scene.now, by.clone()).ok()?;
    let answer = Answer::Consumed { permit: one.id };
    let writes = vec![
        Write::Answered(repeat.answered(answer, scene.now)),
        Write::Reservation(consumed),
    ];
    let parts = clearance.into_parts();
    Some(change(parts, shown, (one, Some(by), writes), scene))
}

fn change(
    parts: ClearanceParts,
    shown: CredentialId,
    (one, by, mut writes): (&Reservation, Option<&ServerName>, Vec<Write>),
    scene: Scene<'_>,
) -> Change {
    let mut expects = expects(&parts, shown);
    expects.push(Expectation::Before { at: one.expires_at });
    writes.extend(proof(&parts));
    let (subject, deed) = told(parts, shown);
    let said = Box::new(PermitDeed {
        permit: one.id,
        until: one.expires_at,
        by: by.cloned(),
        deed,
    });
    let event = match by {
        None => Event::PermitReserved(said),
        Some(_) => Event::PermitConsumed(said),
    };
    Change {
        id: ChangeId::new(scene.now, scene.entropy),
        realm: scene.realm,
        lane: Lane::Issue,
        expects,
        writes,
        entry: Entry {
            at: scene.now,
            subject,
            event,
        },
    }
}

#[cfg(test)]
#[path = "reserve_tests.rs"]
mod tests;
