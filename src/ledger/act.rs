//! From a clearance to its change: an entry that says what was permitted and why, and, where the answer
//! waits for it, what must still be true when it is recorded.

use crate::decide::clearance::{Clearance, ClearanceParts};
use crate::domain::ids::{ChangeId, CredentialId};
use crate::domain::profile::Recorded;
use crate::domain::standing::Standing;
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Change, Expectation, Lane, Once, OnceKind, Write};
use crate::ledger::entry::{Deed, Entry, Event, Justification, Subject};
use crate::ledger::intent::Scene;

/// The change that records a clearance for the holder of a token. A record that follows its answer expects
/// nothing: what it says was so, whatever has come since.
pub fn record(
    clearance: Clearance,
    shown: CredentialId,
    when: Recorded,
    scene: Scene<'_>,
) -> Change {
    let parts = clearance.into_parts();
    let (lane, expects) = match when {
        Recorded::BeforeAnswer => (Lane::Issue, expects(&parts, shown)),
        Recorded::AfterAnswer => (Lane::Note, Vec::new()),
    };
    let proof = proof(&parts);
    let (subject, deed) = told(parts, shown);
    Change {
        id: ChangeId::new(scene.now, scene.entropy),
        realm: scene.realm,
        lane,
        expects,
        writes: proof.into_iter().collect(),
        entry: Entry {
            at: scene.now,
            subject,
            event: Event::Acted(Box::new(deed)),
        },
    }
}

/// The proof of possession that is spent with it.
pub(super) fn proof(parts: &ClearanceParts) -> Option<Write> {
    parts.proof.map(|(until, digest)| {
        Write::Once(Once {
            kind: OnceKind::Proof,
            until,
            digest,
            session: None,
        })
    })
}

/// What must still be true of whoever acts.
pub(super) fn expects(parts: &ClearanceParts, shown: CredentialId) -> Vec<Expectation> {
    let Standing {
        task,
        lineage,
        session,
    } = &parts.standing;
    let mut expects = Vec::new();
    expects.extend(task.iter().map(|task| Expectation::TaskOpen {
        task: task.id,
        epoch: task.epoch,
    }));
    expects.extend(lineage.iter().map(|lineage| Expectation::LineageLive {
        lineage: lineage.id,
        epoch: lineage.epoch,
    }));
    expects.extend(session.iter().map(|session| Expectation::SessionLive {
        session: session.id,
    }));
    let workload = BarKey::Workload(parts.identity.id().clone());
    let key = parts.key.map(BarKey::SenderKey);
    let bars = [workload, BarKey::Credential(shown)].into_iter().chain(key);
    expects.extend(bars.map(|key| Expectation::NotBarred { key }));
    expects.push(Expectation::PolicySet {
        digest: parts.policy_set,
    });
    expects.extend(parts.good_until.map(|at| Expectation::Before { at }));
    expects
}

/// Who acts, what is done, and why it may be.
pub(super) fn told(parts: ClearanceParts, shown: CredentialId) -> (Subject, Deed) {
    let Standing {
        task,
        lineage,
        session,
    } = parts.standing;
    let subject = Subject {
        task: task.as_ref().map(|task| task.id),
        task_name: task.map(|task| task.name),
        lineage: lineage.map(|lineage| lineage.id),
        session: session.map(|session| session.id),
        workload: Some(parts.identity.id().clone()),
    };
    let deed = Deed {
        credential: shown,
        grant: parts.grant,
        action: parts.act.action,
        effect: parts.effect,
        kind: parts.act.resource.kind,
        id: parts.act.resource.id,
        because: Justification {
            identity: parts.identity,
            evidence: None,
            policies: parts.policies,
            policy_set: parts.policy_set,
            facts: parts.facts,
        },
    };
    (subject, deed)
}
