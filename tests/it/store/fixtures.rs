//! Jobs to work with: a task, its lineage and session, and the changes that a verb would build.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ::domain::context::{Locator, RecordKey, RecordKind};
use writ::domain::credential::{CredentialKind, CredentialRecord, RecallClass};
use writ::domain::grant::{Grant, Grants, TokenGrant};
use writ::domain::identity::{Identity, TrustDomain};
use writ::domain::ids::{ChangeId, CredentialId, LineageId, Realm, SessionId, TaskId};
use writ::domain::key::{Digest, Thumbprint};
use writ::domain::lineage::{Binding, Lineage, LineageState};
use writ::domain::name::{GrantName, TaskName};
use writ::domain::session::{EvidenceMark, Session, SessionState};
use writ::domain::task::{End, Epoch, Task, TaskState};
use writ::domain::time::Timestamp;
use writ::error::Code;
use writ::ledger::change::{Change, Expectation, Lane, Once, OnceKind, Write};
use writ::ledger::entry::{Entry, Event, Justification, Subject};
use writ::seams::SystemEntropy;

use super::NOW;

/// One job at work.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) lineage: Lineage,
    pub(super) session: Session,
}

pub(super) const REALM: Realm = Realm::DEFAULT;

/// When the tasks here end.
pub(super) fn deadline() -> Timestamp {
    NOW.plus(Duration::from_hours(1))
}

pub(super) fn policies() -> Digest {
    Digest::of(&[b"policies in force"])
}

pub(super) fn grant() -> GrantName {
    "deploy".parse().unwrap()
}

/// The run that a job named `run` is bound to.
pub(super) fn record(run: &str) -> RecordKey {
    RecordKey {
        source: "github".parse().unwrap(),
        kind: RecordKind::Pipeline,
        id: run.to_owned(),
    }
}

fn grants() -> Grants {
    let grant_of = Grant {
        audiences: BTreeSet::from(["https://api.example".parse().unwrap()]),
        scopes: BTreeSet::from(["read".parse().unwrap(), "write".parse().unwrap()]),
        secrets: BTreeSet::from(["prod/*".parse().unwrap()]),
        jwt_svids: BTreeSet::new(),
        x509_svid: true,
        acts: writ::domain::action::Acts::default(),
        uses: Some(3),
    };
    Grants::new(BTreeMap::from([(grant(), grant_of)]))
}

impl Job {
    /// A job of run `run`, instance `instance`.
    pub(super) fn new(run: &str, instance: &str) -> Self {
        let task = Task {
            id: TaskId::new(NOW, &SystemEntropy),
            name: name(run),
            profile: "deploy".parse().unwrap(),
            state: TaskState::Open,
            epoch: Epoch::FIRST,
            opened_at: NOW,
            deadline: deadline(),
            grants: grants(),
            agent: None,
            opened_by: None,
        };
        Self::in_task(task, run, instance)
    }

    /// Another instance in the same task.
    pub(super) fn beside(&self, instance: &str) -> Self {
        let run = self.task.name.as_str().replace("github/", "");
        Self::in_task(self.task.clone(), &run, instance)
    }

    fn in_task(task: Task, run: &str, instance: &str) -> Self {
        let lineage = Lineage {
            id: LineageId::new(NOW, &SystemEntropy),
            task: task.id,
            instance: instance.parse().unwrap(),
            identity: identity(),
            state: LineageState::Active,
            epoch: Epoch::FIRST,
            opened_at: NOW,
            deadline: task.deadline,
            bindings: vec![Binding {
                record: record(run),
                locate: Locator::default(),
                pins: BTreeMap::from([("head_sha".to_owned(), "c0ffee".to_owned())]),
            }],
            grants: task.grants.clone(),
            released_at: None,
        };
        let session = Session {
            id: SessionId::new(NOW, &SystemEntropy),
            lineage: lineage.id,
            key: Some(Thumbprint::from_bytes([7; 32])),
            state: SessionState::Live,
            epoch: Epoch::FIRST,
            opened_at: NOW,
            deadline: task.deadline,
            expires_at: task.deadline,
            granted: TokenGrant {
                name: "deploy".parse().unwrap(),
                audiences: [].into(),
                scopes: [].into(),
            },
            evidence: EvidenceMark {
                digest: Digest::of(&[b"evidence"]),
                issued_at: NOW,
                granted_until: NOW.plus(Duration::from_mins(5)),
            },
        };
        Self {
            task,
            lineage,
            session,
        }
    }

    pub(super) fn credential(&self) -> CredentialRecord {
        CredentialRecord {
            id: CredentialId::new(NOW, &SystemEntropy),
            lineage: self.lineage.id,
            session: self.session.id,
            parent: None,
            kind: CredentialKind::AccessToken(TokenGrant {
                name: grant(),
                audiences: BTreeSet::from(["https://api.example".parse().unwrap()]),
                scopes: BTreeSet::from(["read".parse().unwrap()]),
            }),
            recall: RecallClass::Online,
            issued_at: NOW,
            expires_at: NOW.plus(Duration::from_mins(5)),
        }
    }

    /// Opens task, lineage and session, and issues under them.
    pub(super) fn open(&self) -> Change {
        self.issuing(
            vec![],
            vec![
                Write::Task(self.task.clone()),
                Write::Lineage(self.lineage.clone()),
                Write::Session(self.session.clone()),
                Write::Credential(self.credential()),
            ],
        )
    }

    /// Opens lineage and session in a task that is open.
    pub(super) fn join(&self) -> Change {
        self.issuing(
            vec![self.task_open()],
            vec![
                Write::Lineage(self.lineage.clone()),
                Write::Session(self.session.clone()),
                Write::Credential(self.credential()),
            ],
        )
    }

    /// Issues one more credential.
    pub(super) fn issue(&self) -> Change {
        let expects = vec![self.task_open(), self.lineage_live(), self.session_live()];
        self.issuing(expects, vec![Write::Credential(self.credential())])
    }

    /// Ends the task.
    pub(super) fn revoke(&self) -> Change {
        let ended = End::new(Code::TaskRevoked, NOW);
        let task = self.task.clone().end(ended).unwrap();
        let event = Event::TaskRevoked {
            by: "ada".to_owned(),
            reason: None,
        };
        self.change(Lane::Revoke, event, vec![], vec![Write::Task(task)])
    }

    pub(super) fn issuing(&self, expects: Vec<Expectation>, writes: Vec<Write>) -> Change {
        self.change(Lane::Issue, issued(), expects, writes)
    }

    pub(super) fn change(
        &self,
        lane: Lane,
        event: Event,
        expects: Vec<Expectation>,
        writes: Vec<Write>,
    ) -> Change {
        Change {
            id: ChangeId::new(NOW, &SystemEntropy),
            realm: REALM,
            lane,
            expects,
            writes,
            entry: Entry {
                at: NOW,
                subject: Subject {
                    task: Some(self.task.id),
                    task_name: Some(self.task.name.clone()),
                    lineage: Some(self.lineage.id),
                    session: Some(self.session.id),
                    workload: Some(identity().id().clone()),
                },
                event,
            },
        }
    }

    pub(super) fn task_open(&self) -> Expectation {
        Expectation::TaskOpen {
            task: self.task.id,
            epoch: self.task.epoch,
        }
    }

    pub(super) fn lineage_live(&self) -> Expectation {
        Expectation::LineageLive {
            lineage: self.lineage.id,
            epoch: self.lineage.epoch,
        }
    }

    pub(super) fn session_live(&self) -> Expectation {
        Expectation::SessionLive {
            session: self.session.id,
        }
    }
}

pub(super) fn name(run: &str) -> TaskName {
    TaskName::new(&"github".parse().unwrap(), run).unwrap()
}

pub(super) fn identity() -> Identity {
    let domain: TrustDomain = "example.org".parse().unwrap();
    Identity::new(
        domain.id(&["github", "repo", "812345"]).unwrap(),
        BTreeMap::from([("repository_id".to_owned(), "812345".to_owned())]),
    )
}

pub(super) fn issued() -> Event {
    Event::Issued(Justification {
        identity: identity(),
        evidence: None,
        policies: vec!["permit-deploy".to_owned()],
        policy_set: policies(),
        facts: vec![],
    })
}

/// A single-use key of a piece of evidence.
pub(super) fn evidence(label: &str, session: Option<SessionId>) -> Once {
    Once {
        kind: OnceKind::Evidence,
        until: NOW.plus(Duration::from_mins(10)),
        digest: Digest::of(&[label.as_bytes()]),
        session,
    }
}
