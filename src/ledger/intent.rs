//! From a permit to an intent: the rows that are to be written, what they expect to be still true,
//! and the entry that says so. An intent is the only thing that can be minted.

use std::collections::BTreeSet;

use crate::decide::engine::Verb;
use crate::decide::permit::{Permit, PermitParts, Planned};
use crate::domain::credential::{
    CredentialKind, CredentialRecord, JwtSvid, RecallClass, SecretLease, X509Svid,
};
use crate::domain::grant::{Audience, Grant, TokenGrant};
use crate::domain::ids::{ChangeId, CredentialId, LineageId, Realm, SessionId, TaskId};
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::session::{EvidenceMark, Session, SessionState};
use crate::domain::standing::Rests;
use crate::domain::task::{Epoch, Task, TaskState};
use crate::domain::time::Timestamp;
use crate::domain::x509::{Serial, SubjectKey};
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Change, Expectation, Lane, Once, OnceKind, SealedVersion, Write};
use crate::ledger::entry::{Entry, Event, Justification, Subject};
use crate::seams::Entropy;

/// The moment and place in which an intent is opened.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub realm: Realm,
    pub now: Timestamp,
    pub entropy: &'a dyn Entropy,
    /// Audiences that ask at every use, so that a revocation reaches them at once.
    pub online: &'a BTreeSet<Audience>,
}

/// What is to be minted, with the change that must be durable before it may leave.
#[derive(Debug)]
pub struct Intent {
    change: Change,
    task: Task,
    lineage: Lineage,
    session: Session,
    credential: CredentialRecord,
    secret: Option<SealedVersion>,
    subject: Option<SubjectKey>,
}

/// An intent in its parts.
#[derive(Debug)]
pub struct IntentParts {
    pub change: Change,
    pub task: Task,
    pub lineage: Lineage,
    pub session: Session,
    pub credential: CredentialRecord,
    pub secret: Option<SealedVersion>,
    /// The key that is to be certified, where one is.
    pub subject: Option<SubjectKey>,
}

/// Opens an intent. `secret` is the version that is read, where the permit is to read one.
pub fn open(permit: Permit, secret: Option<SealedVersion>, scene: Scene<'_>) -> Intent {
    let parts = permit.into_parts();
    let mut draft = Draft {
        expects: Vec::new(),
        writes: Vec::new(),
    };
    let task = draft.task(&parts, scene);
    let lineage = draft.lineage(&parts, &task, scene);
    let session = draft.session(&parts, &lineage, scene);
    let credential = draft.credential(&parts, &session, secret.as_ref(), scene);
    draft.guards(&parts, &lineage);
    draft.single_use(&parts, &task, &session);
    let subject = match &parts.planned {
        Planned::X509Svid { key, .. } => Some(key.clone()),
        Planned::Token(_) | Planned::Secret { .. } | Planned::JwtSvid { .. } => None,
    };
    let entry = entry(parts, &task, &session, scene.now);
    let renews = matches!(entry.event, Event::Renewed(_));
    let lane = if renews { Lane::Renew } else { Lane::Issue };
    let change = Change {
        id: ChangeId::new(scene.now, scene.entropy),
        realm: scene.realm,
        lane,
        expects: draft.expects,
        writes: draft.writes,
        entry,
    };
    Intent {
        change,
        task,
        lineage,
        session,
        credential,
        secret,
        subject,
    }
}

impl Intent {
    /// Spends the intent.
    pub fn into_parts(self) -> IntentParts {
        let Self {
            change,
            task,
            lineage,
            session,
            credential,
            secret,
            subject,
        } = self;
        IntentParts {
            change,
            task,
            lineage,
            session,
            credential,
            secret,
            subject,
        }
    }
}

struct Draft {
    expects: Vec<Expectation>,
    writes: Vec<Write>,
}

impl Draft {
    fn task(&mut self, parts: &PermitParts, scene: Scene<'_>) -> Task {
        if let Some(task) = &parts.standing.task {
            self.expects.push(Expectation::TaskOpen {
                task: task.id,
                epoch: task.epoch,
            });
            return task.clone();
        }
        let task = Task {
            id: TaskId::new(scene.now, scene.entropy),
            name: parts.task_name.clone(),
            profile: parts.profile.clone(),
            state: TaskState::Open,
            epoch: Epoch::FIRST,
            opened_at: scene.now,
            deadline: parts.deadline,
            grants: parts.grants.clone(),
            agent: None,
            opened_by: None,
        };
        self.writes.push(Write::Task(task.clone()));
        task
    }

    fn lineage(&mut self, parts: &PermitParts, task: &Task, scene: Scene<'_>) -> Lineage {
        if let Some(lineage) = &parts.standing.lineage {
            self.expects.push(Expectation::LineageLive {
                lineage: lineage.id,
                epoch: lineage.epoch,
            });
            return lineage.clone();
        }
        let lineage = Lineage {
            id: LineageId::new(scene.now, scene.entropy),
            task: task.id,
            instance: parts.instance.clone(),
            identity: parts.identity.clone(),
            state: LineageState::Active,
            epoch: Epoch::FIRST,
            opened_at: scene.now,
            deadline: task.deadline,
            bindings: parts.bindings.clone(),
            grants: parts.grants.clone(),
            released_at: None,
        };
        self.writes.push(Write::Lineage(lineage.clone()));
        lineage
    }

    /// The session, opened or extended. What is taken with a token extends nothing, and neither does
    /// evidence that was shown before.
    fn session(&mut self, parts: &PermitParts, lineage: &Lineage, scene: Scene<'_>) -> Session {
        let fresh = parts.evidence.filter(|_| !parts.seen_before);
        let mark = |digest, issued_at| EvidenceMark {
            digest,
            issued_at,
            granted_until: parts.validity.until(),
        };
        if let Some(session) = &parts.standing.session {
            self.expects.push(Expectation::SessionLive {
                session: session.id,
            });
            let shown_again = parts.seen_before && parts.evidence.is_some();
            let moves = fresh.is_some() || session.is_moved_by(parts.session_until);
            if takes_by_token(parts.verb) || shown_again || !moves {
                return session.clone();
            }
            let mark =
                fresh.map_or_else(|| session.evidence.clone(), |e| mark(e.digest, e.issued_at));
            let renewed = session.clone().renewed(parts.session_until, mark);
            self.writes.push(Write::Session(renewed.clone()));
            return renewed;
        }
        let shown = parts.evidence.map_or_else(
            || mark(crate::domain::key::Digest::of(&[]), scene.now),
            |e| mark(e.digest, e.issued_at),
        );
        let granted = match &parts.planned {
            Planned::Token(token) => token.clone(),
            Planned::Secret { grant, .. }
            | Planned::JwtSvid { grant, .. }
            | Planned::X509Svid { grant, .. } => TokenGrant {
                name: grant.clone(),
                audiences: BTreeSet::new(),
                scopes: BTreeSet::new(),
            },
        };
        let session = Session {
            id: SessionId::new(scene.now, scene.entropy),
            lineage: lineage.id,
            key: parts.key,
            state: SessionState::Live,
            epoch: Epoch::FIRST,
            opened_at: scene.now,
            deadline: lineage.deadline,
            expires_at: parts.session_until,
            granted,
            evidence: shown,
        };
        self.writes.push(Write::Session(session.clone()));
        session
    }

    fn credential(
        &mut self,
        parts: &PermitParts,
        session: &Session,
        secret: Option<&SealedVersion>,
        scene: Scene<'_>,
    ) -> CredentialRecord {
        let (kind, recall) = match &parts.planned {
            Planned::Token(token) => {
                let online = token.audiences.is_subset(scene.online);
                let recall = if online {
                    RecallClass::Online
                } else {
                    RecallClass::Expiry
                };
                (CredentialKind::AccessToken(token.clone()), recall)
            }
            Planned::Secret { grant, path } => {
                let version = secret.map_or(0, |sealed| sealed.version);
                let lease = SecretLease {
                    grant: grant.clone(),
                    path: path.clone(),
                    version,
                };
                (CredentialKind::SecretLease(lease), RecallClass::None)
            }
            Planned::JwtSvid { grant, audience } => {
                let svid = JwtSvid {
                    grant: grant.clone(),
                    audience: audience.clone(),
                };
                (CredentialKind::JwtSvid(svid), RecallClass::Expiry)
            }
            Planned::X509Svid { grant, key, by } => {
                let svid = X509Svid {
                    grant: grant.clone(),
                    serial: Serial::new(scene.entropy),
                    authority: by.authority.clone(),
                    key: key.thumbprint(),
                };
                (CredentialKind::X509Svid(svid), RecallClass::List)
            }
        };
        let credential = CredentialRecord {
            id: CredentialId::new(scene.now, scene.entropy),
            lineage: session.lineage,
            session: session.id,
            parent: parts.parent.as_ref().map(|parent| parent.id),
            kind,
            recall,
            issued_at: parts.validity.from(),
            expires_at: parts.validity.until(),
        };
        self.writes.push(Write::Credential(credential.clone()));
        credential
    }

    /// What must still hold when the change is admitted, besides the rows' own states.
    fn guards(&mut self, parts: &PermitParts, lineage: &Lineage) {
        let workload = BarKey::Workload(parts.identity.id().clone());
        self.expects.push(Expectation::NotBarred { key: workload });
        if let Some(key) = parts.key {
            self.expects.push(Expectation::NotBarred {
                key: BarKey::SenderKey(key),
            });
        }
        // A certificate that is shown stands for the key of the session that it was made under.
        let session = parts.standing.session.as_ref();
        let of_session = session.and_then(|session| session.key);
        if let Some(key) = of_session.filter(|key| parts.key != Some(*key)) {
            let key = BarKey::SenderKey(key);
            self.expects.push(Expectation::NotBarred { key });
        }
        if let Planned::X509Svid { key, .. } = &parts.planned {
            let key = BarKey::SenderKey(key.thumbprint());
            self.expects.push(Expectation::NotBarred { key });
        }
        self.expects.push(Expectation::PolicySet {
            digest: parts.policy_set,
        });
        if let Some(at) = parts.good_until {
            self.expects.push(Expectation::Before { at });
        }
        if let Some(rests) = &parts.rests {
            self.rest_on(rests);
        }
        if let Some(parent) = &parts.parent {
            self.expects.push(Expectation::CredentialStanding {
                lineage: lineage.id,
                credential: parent.id,
            });
        }
    }

    /// Evidence that is a credential of ours counts only while that stands, with all it belongs to.
    fn rest_on(&mut self, rests: &Rests) {
        let Rests {
            task: (task, of_task),
            lineage: (lineage, of_lineage),
            session,
            credential,
            parent,
        } = *rests;
        self.expects.extend([
            Expectation::TaskOpen {
                task,
                epoch: of_task,
            },
            Expectation::LineageLive {
                lineage,
                epoch: of_lineage,
            },
            Expectation::SessionLive { session },
            Expectation::CredentialStanding {
                lineage,
                credential,
            },
        ]);
        // It may have expired, and what was taken with it with it; it must not have been revoked.
        self.expects.extend(parent.map(|parent| {
            let key = BarKey::Credential(parent);
            Expectation::NotBarred { key }
        }));
    }

    fn single_use(&mut self, parts: &PermitParts, task: &Task, session: &Session) {
        if let Some((until, digest)) = parts.evidence_once {
            let session = Some(session.id);
            self.writes.push(Write::Once(Once {
                kind: OnceKind::Evidence,
                until,
                digest,
                session,
            }));
        }
        if let Some((until, digest)) = parts.proof {
            self.writes.push(Write::Once(Once {
                kind: OnceKind::Proof,
                until,
                digest,
                session: None,
            }));
        }
        let grant = parts.planned.grant();
        let limited = parts
            .grants
            .named(grant)
            .is_some_and(Grant::counts_credentials);
        if parts.spends && limited {
            self.writes.push(Write::Spend {
                task: task.id,
                grant: grant.clone(),
                uses: 1,
            });
        }
    }
}

/// What is taken with a token extends no session.
const fn takes_by_token(verb: Verb) -> bool {
    match verb {
        Verb::Read | Verb::Identify | Verb::Certify | Verb::Check => true,
        Verb::Issue | Verb::Renew | Verb::Recertify => false,
    }
}

fn entry(parts: PermitParts, task: &Task, session: &Session, now: Timestamp) -> Entry {
    let subject = Subject {
        task: Some(task.id),
        task_name: Some(task.name.clone()),
        lineage: Some(session.lineage),
        session: Some(session.id),
        workload: Some(parts.identity.id().clone()),
    };
    let justification = Justification {
        identity: parts.identity,
        evidence: parts.evidence.map(|evidence| evidence.digest),
        policies: parts.policies,
        policy_set: parts.policy_set,
        facts: parts.facts,
    };
    let opens = parts.standing.session.is_none();
    let event = match &parts.planned {
        Planned::Secret { .. } => Event::SecretRead(justification),
        Planned::X509Svid { .. } if parts.verb == Verb::Recertify => Event::Renewed(justification),
        Planned::JwtSvid { .. } | Planned::X509Svid { .. } => Event::SvidIssued(justification),
        Planned::Token(_) if opens => Event::Issued(justification),
        Planned::Token(_) => Event::Renewed(justification),
    };
    Entry {
        at: now,
        subject,
        event,
    }
}
