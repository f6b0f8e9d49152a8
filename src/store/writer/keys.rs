//! What a batch names: the keys of every row that the fold will look at. Sets, so that a backend
//! locks in one order whatever the changes' order was.

use std::collections::BTreeSet;

use crate::domain::grant::SecretPath;
use crate::domain::ids::{CredentialId, LineageId, Realm, ReservationId, SessionId, TaskId};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::lineage::Lineage;
use crate::domain::name::{GrantName, InstanceName, TaskName};
use crate::domain::reservation::Reservation;
use crate::domain::task::Epoch;
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Change, Expectation, Once, Write};

/// The keys of the rows that a batch names. The id of a row that a change makes is not among them: it
/// was drawn at random a moment ago. What the row claims besides, its name or instance or key, is; and
/// a row that is there all the same fails the batch.
#[derive(Debug, Default)]
pub(in crate::store) struct Keys {
    pub(in crate::store) tasks: BTreeSet<(Realm, TaskId)>,
    pub(in crate::store) names: BTreeSet<(Realm, TaskName)>,
    pub(in crate::store) lineages: BTreeSet<(Realm, LineageId)>,
    pub(in crate::store) instances: BTreeSet<(Realm, TaskId, InstanceName)>,
    pub(in crate::store) sessions: BTreeSet<(Realm, SessionId)>,
    pub(in crate::store) held_by: BTreeSet<(Realm, LineageId, Option<Thumbprint>)>,
    pub(in crate::store) credentials: BTreeSet<(Realm, LineageId, CredentialId)>,
    pub(in crate::store) spent: BTreeSet<(Realm, TaskId, GrantName)>,
    pub(in crate::store) reservations: BTreeSet<(Realm, TaskId, ReservationId)>,
    pub(in crate::store) bars: BTreeSet<(Realm, BarKey)>,
    pub(in crate::store) secrets: BTreeSet<(Realm, SecretPath)>,
    pub(in crate::store) answered: BTreeSet<(Realm, Digest)>,
    /// Whether the freezes are: all of them, because they are few.
    pub(in crate::store) freezes: bool,
}

impl Keys {
    /// The keys that these changes name.
    pub(super) fn of<'a>(changes: impl Iterator<Item = &'a Change>) -> Self {
        let mut keys = Self::default();
        for change in changes {
            for expectation in &change.expects {
                keys.expectation(change.realm, expectation);
            }
            let made = Made::by(change);
            for write in &change.writes {
                keys.write(change.realm, write, &made);
            }
        }
        keys
    }

    fn expectation(&mut self, realm: Realm, expectation: &Expectation) {
        match expectation {
            Expectation::TaskOpen { task, .. } => {
                self.tasks.insert((realm, *task));
            }
            Expectation::LineageLive { lineage, .. } => {
                self.lineages.insert((realm, *lineage));
            }
            Expectation::SessionLive { session } => {
                self.sessions.insert((realm, *session));
            }
            Expectation::CredentialStanding {
                lineage,
                credential,
            } => self.parent(realm, *lineage, *credential),
            Expectation::NotBarred { key } => {
                self.bars.insert((realm, key.clone()));
            }
            Expectation::PolicySet { .. } | Expectation::Before { .. } => {}
        }
    }

    fn write(&mut self, realm: Realm, write: &Write, made: &Made) {
        match write {
            Write::Task(task) => {
                if task.epoch == Epoch::FIRST {
                    self.names.insert((realm, task.name.clone()));
                    self.bars
                        .insert((realm, BarKey::TaskName(task.name.clone())));
                } else {
                    self.tasks.insert((realm, task.id));
                }
            }
            Write::Lineage(lineage) => {
                if lineage.epoch == Epoch::FIRST {
                    self.opened_lineage(realm, lineage, made);
                } else {
                    self.lineages.insert((realm, lineage.id));
                }
            }
            Write::Session(session) => {
                let lineage_made = made.lineages.contains(&session.lineage);
                if session.epoch != Epoch::FIRST {
                    self.sessions.insert((realm, session.id));
                } else if !lineage_made {
                    self.held_by.insert((realm, session.lineage, session.key));
                }
                if !lineage_made {
                    self.lineages.insert((realm, session.lineage));
                }
            }
            Write::Credential(credential) => {
                self.freezes = true;
                if !made.sessions.contains(&credential.session) {
                    self.sessions.insert((realm, credential.session));
                }
                if !made.lineages.contains(&credential.lineage) {
                    self.lineages.insert((realm, credential.lineage));
                }
                if let Some(parent) = credential.parent {
                    self.parent(realm, credential.lineage, parent);
                }
            }
            Write::Spend { task, grant, .. } => {
                self.tasks.insert((realm, *task));
                self.spent.insert((realm, *task, grant.clone()));
            }
            Write::Secret(version) => {
                self.secrets.insert((realm, version.path.clone()));
            }
            Write::Once(_)
            | Write::Bar(_)
            | Write::Source(_)
            | Write::SecretDeleted { .. }
            | Write::Key(_) => {}
            Write::Freeze(_) => self.freezes = true,
            Write::Reservation(one) => self.reservation(realm, one),
            Write::Answered(answered) => {
                self.answered.insert((realm, answered.key));
            }
        }
    }

    fn reservation(&mut self, realm: Realm, one: &Reservation) {
        self.tasks.insert((realm, one.task));
        self.lineages.insert((realm, one.lineage));
        self.reservations.insert((realm, one.task, one.id));
        self.freezes = true;
    }

    /// Nothing hangs on a task that the same change makes.
    fn opened_lineage(&mut self, realm: Realm, lineage: &Lineage, made: &Made) {
        if !made.tasks.contains(&lineage.task) {
            self.tasks.insert((realm, lineage.task));
            let instance = lineage.instance.clone();
            self.instances.insert((realm, lineage.task, instance));
        }
    }

    fn parent(&mut self, realm: Realm, lineage: LineageId, credential: CredentialId) {
        self.lineages.insert((realm, lineage));
        self.credentials.insert((realm, lineage, credential));
        self.bars.insert((realm, BarKey::Credential(credential)));
    }
}

/// The rows that one change makes.
#[derive(Default)]
struct Made {
    tasks: Vec<TaskId>,
    lineages: Vec<LineageId>,
    sessions: Vec<SessionId>,
}

impl Made {
    fn by(change: &Change) -> Self {
        let mut made = Self::default();
        for write in &change.writes {
            match write {
                Write::Task(task) if task.epoch == Epoch::FIRST => made.tasks.push(task.id),
                Write::Lineage(lineage) if lineage.epoch == Epoch::FIRST => {
                    made.lineages.push(lineage.id);
                }
                Write::Session(session) if session.epoch == Epoch::FIRST => {
                    made.sessions.push(session.id);
                }
                Write::Task(_)
                | Write::Lineage(_)
                | Write::Session(_)
                | Write::Credential(_)
                | Write::Once(_)
                | Write::Spend { .. }
                | Write::Bar(_)
                | Write::Source(_)
                | Write::Secret(_)
                | Write::SecretDeleted { .. }
                | Write::Key(_)
                | Write::Freeze(_)
                | Write::Answered(_)
                | Write::Reservation(_) => {}
            }
        }
        made
    }
}

/// The single-use keys that these changes use.
pub(super) fn once_keys<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<(Realm, Once)> {
    changes
        .flat_map(|change| change.writes.iter().map(move |write| (change.realm, write)))
        .filter_map(|(realm, write)| match write {
            Write::Once(once) => Some((realm, once.clone())),
            Write::Task(_)
            | Write::Lineage(_)
            | Write::Session(_)
            | Write::Credential(_)
            | Write::Spend { .. }
            | Write::Bar(_)
            | Write::Source(_)
            | Write::Secret(_)
            | Write::SecretDeleted { .. }
            | Write::Key(_)
            | Write::Freeze(_)
            | Write::Answered(_)
            | Write::Reservation(_) => None,
        })
        .collect()
}
