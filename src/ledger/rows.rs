//! The fold: whether a change may be admitted to the rows it names, and the rows after it.
//!
//! It is pure, and it is the last word: whatever a verb decided, no credential is admitted that is
//! wider or longer than its parent, lineage or task allow, or whose task, lineage or session is
//! over. The writer's batch, the simulation and `writ audit replay` all use this one function.

use std::collections::HashMap;

use crate::domain::credential::CredentialRecord;
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::grant::SecretPath;
use crate::domain::ids::{CredentialId, LineageId, ReservationId, SessionId, TaskId};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::lineage::Lineage;
use crate::domain::name::{GrantName, InstanceName, TaskName};
use crate::domain::reservation::Reservation;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::ledger::after::After;
use crate::ledger::answered::Answered;
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::change::{Change, Expectation, Once, OnceKind, Write};

/// The rows that a batch of changes names. What is absent here does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    pub(super) tasks: HashMap<TaskId, Task>,
    pub(super) names: HashMap<TaskName, TaskId>,
    pub(super) lineages: HashMap<LineageId, Lineage>,
    pub(super) instances: HashMap<(TaskId, InstanceName), LineageId>,
    pub(super) sessions: HashMap<SessionId, Session>,
    pub(super) keys: HashMap<(LineageId, Option<Thumbprint>), SessionId>,
    pub(super) credentials: HashMap<CredentialId, CredentialRecord>,
    pub(super) once: HashMap<(OnceKind, Timestamp, Digest), Option<SessionId>>,
    pub(super) spent: HashMap<(TaskId, GrantName), u32>,
    pub(super) reservations: HashMap<ReservationId, Reservation>,
    pub(super) bars: HashMap<BarKey, Bar>,
    pub(super) secrets: HashMap<SecretPath, u32>,
    pub(super) freezes: HashMap<FreezeScope, Freeze>,
    /// Until when the key of an order is kept.
    pub(super) answered: HashMap<Digest, Timestamp>,
    pub(super) policy_set: Option<Digest>,
}

/// The expectation or rule that a change failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the task is over")]
    TaskOver,
    #[error("the lineage has ended")]
    LineageEnded,
    #[error("the session has ended")]
    SessionEnded,
    #[error("the parent credential no longer stands")]
    CredentialDead,
    #[error("{} is barred", .0.kind())]
    Barred(BarKey),
    #[error("{0} is frozen")]
    Frozen(FreezeScope),
    #[error("the policies have changed")]
    PolicyChanged,
    #[error("what was decided on has ended")]
    TooLate,
    /// The single-use key was used; the session is the one it opened.
    #[error("the single-use key was used before")]
    OnceTaken {
        kind: OnceKind,
        session: Option<SessionId>,
    },
    #[error("an order with this key was carried out before")]
    OrderGiven,
    #[error("the grant `{0}` has no use left")]
    UsesExhausted(GrantName),
    /// Somebody else moved the row, or claimed its name, first: decide again.
    #[error("another change came first")]
    Moved,
    /// A rule that no verb may try to break.
    #[error("not allowed: {0}")]
    Illegal(&'static str),
}

impl Rows {
    pub fn put_task(&mut self, task: Task) {
        self.names.insert(task.name.clone(), task.id);
        self.tasks.insert(task.id, task);
    }

    pub fn put_lineage(&mut self, lineage: Lineage) {
        self.instances
            .insert((lineage.task, lineage.instance.clone()), lineage.id);
        self.lineages.insert(lineage.id, lineage);
    }

    pub fn put_session(&mut self, session: Session) {
        self.keys.insert((session.lineage, session.key), session.id);
        self.sessions.insert(session.id, session);
    }

    pub fn put_credential(&mut self, credential: CredentialRecord) {
        self.credentials.insert(credential.id, credential);
    }

    pub fn put_once(&mut self, once: &Once) {
        self.once
            .insert((once.kind, once.until, once.digest), once.session);
    }

    pub fn put_spent(&mut self, task: TaskId, grant: GrantName, used: u32) {
        self.spent.insert((task, grant), used);
    }

    pub fn put_reservation(&mut self, reservation: Reservation) {
        self.reservations.insert(reservation.id, reservation);
    }

    /// A bar is only ever extended: one that holds longer stays.
    pub fn put_bar(&mut self, bar: Bar) {
        let longer = |known: &Bar| known.until >= bar.until;
        if !self.bars.get(&bar.key).is_some_and(longer) {
            self.bars.insert(bar.key.clone(), bar);
        }
    }

    pub fn put_freeze(&mut self, freeze: Freeze) {
        self.freezes.insert(freeze.scope.clone(), freeze);
    }

    pub fn put_answered(&mut self, answered: &Answered) {
        self.answered.insert(answered.key, answered.until);
    }

    pub fn put_secret(&mut self, path: SecretPath, latest: u32) {
        self.secrets.insert(path, latest);
    }

    pub const fn set_policy_set(&mut self, digest: Digest) {
        self.policy_set = Some(digest);
    }

    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    pub fn lineage(&self, id: LineageId) -> Option<&Lineage> {
        self.lineages.get(&id)
    }

    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub fn credentials(&self) -> impl Iterator<Item = &CredentialRecord> {
        self.credentials.values()
    }

    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.values()
    }

    /// How often a grant of a task has been used.
    pub fn spent(&self, task: TaskId, grant: &GrantName) -> u32 {
        self.spent.get(&(task, grant.clone())).copied().unwrap_or(0)
    }

    /// Checks every expectation and every write, then applies the writes; on refusal nothing is
    /// applied.
    pub fn admit(&mut self, change: &Change, now: Timestamp) -> Result<(), Refusal> {
        self.check(&change.expects, &change.writes, now)?;
        for write in &change.writes {
            self.apply(write.clone());
        }
        Ok(())
    }

    /// The checks of [`Rows::admit`], on the parts of a change as they are read back from a leaf.
    pub fn check(
        &self,
        expects: &[Expectation],
        writes: &[Write],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        After::new(self, writes, now).check(expects)
    }

    /// Applies a write that was checked.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Task(task) => self.put_task(task),
            Write::Lineage(lineage) => self.put_lineage(lineage),
            Write::Session(session) => self.put_session(session),
            Write::Credential(credential) => self.put_credential(credential),
            Write::Once(once) => self.put_once(&once),
            Write::Spend { task, grant, uses } => {
                *self.spent.entry((task, grant)).or_default() += uses;
            }
            Write::Bar(bar) => self.put_bar(bar),
            Write::Secret(version) => self.put_secret(version.path, version.version),
            // A deleted path keeps its number, so that a version is never told twice.
            Write::SecretDeleted { .. } | Write::Source(_) | Write::Key(_) => {}
            Write::Freeze(freeze) => self.put_freeze(freeze),
            Write::Answered(answered) => self.put_answered(&answered),
            Write::Reservation(reservation) => self.put_reservation(reservation),
        }
    }

    /// Drops what ended by its own deadline or expiry at `horizon` or before, and says how many rows
    /// are left. Nothing that is judged at a later time can rest on what is dropped.
    pub fn forget(&mut self, horizon: Timestamp) -> usize {
        self.tasks.retain(|_, task| task.deadline > horizon);
        self.lineages
            .retain(|_, lineage| lineage.deadline > horizon);
        self.sessions
            .retain(|_, session| session.deadline > horizon);
        self.credentials
            .retain(|_, credential| credential.expires_at > horizon);
        self.once.retain(|(_, until, _), _| *until > horizon);
        self.bars.retain(|_, bar| bar.until > horizon);
        self.answered.retain(|_, until| *until > horizon);
        self.names.retain(|_, id| self.tasks.contains_key(id));
        self.spent
            .retain(|(task, _), _| self.tasks.contains_key(task));
        self.reservations
            .retain(|_, one| self.tasks.contains_key(&one.task));
        self.instances
            .retain(|_, id| self.lineages.contains_key(id));
        self.keys.retain(|_, id| self.sessions.contains_key(id));
        let live = self.tasks.len() + self.lineages.len() + self.sessions.len();
        let keys = self.once.len() + self.answered.len();
        live + self.credentials.len() + keys + self.bars.len()
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
