//! The fold: whether a change may be admitted to the rows it names, and the rows after it.
//!
//! It is pure, and it is the last word: whatever a verb decided, no credential is admitted that is
//! wider or longer than its parent, lineage or task allow, or whose task, lineage or session is
//! over. The writer's batch, the simulation and `writ audit replay` all use this one function.

use std::collections::HashMap;

use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::grant::SecretPath;
use crate::domain::ids::{CredentialId, LineageId, SessionId, TaskId};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::lineage::Lineage;
use crate::domain::name::{GrantName, InstanceName, TaskName};
use crate::domain::session::Session;
use crate::domain::task::{Epoch, Task};
use crate::domain::time::Timestamp;
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::change::{Change, Expectation, Once, OnceKind, Write};

/// The rows that a batch of changes names. What is absent here does not exist.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    tasks: HashMap<TaskId, Task>,
    names: HashMap<TaskName, TaskId>,
    lineages: HashMap<LineageId, Lineage>,
    instances: HashMap<(TaskId, InstanceName), LineageId>,
    sessions: HashMap<SessionId, Session>,
    keys: HashMap<(LineageId, Option<Thumbprint>), SessionId>,
    credentials: HashMap<CredentialId, CredentialRecord>,
    once: HashMap<(OnceKind, Timestamp, Digest), Option<SessionId>>,
    spent: HashMap<(TaskId, GrantName), u32>,
    bars: HashMap<BarKey, Bar>,
    secrets: HashMap<SecretPath, u32>,
    policy_set: Option<Digest>,
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

    pub fn put_bar(&mut self, bar: Bar) {
        self.bars.insert(bar.key.clone(), bar);
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
        let after = After {
            rows: self,
            writes,
            now,
        };
        for expectation in expects {
            after.expect(expectation)?;
        }
        for (index, write) in writes.iter().enumerate() {
            after.allow(write, index)?;
        }
        Ok(())
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
        self.names.retain(|_, id| self.tasks.contains_key(id));
        self.spent
            .retain(|(task, _), _| self.tasks.contains_key(task));
        self.instances
            .retain(|_, id| self.lineages.contains_key(id));
        self.keys.retain(|_, id| self.sessions.contains_key(id));
        let live = self.tasks.len() + self.lineages.len() + self.sessions.len();
        live + self.credentials.len() + self.once.len() + self.bars.len()
    }
}

/// The rows as the change would leave them: its own writes first, then what was there.
struct After<'a> {
    rows: &'a Rows,
    writes: &'a [Write],
    now: Timestamp,
}

impl After<'_> {
    fn expect(&self, expectation: &Expectation) -> Result<(), Refusal> {
        match expectation {
            Expectation::TaskOpen { task, epoch } => {
                let task = self.rows.tasks.get(task).ok_or(Refusal::Moved)?;
                self.open(task)?;
                same_epoch(task.epoch, *epoch)
            }
            Expectation::LineageLive { lineage, epoch } => {
                let lineage = self.rows.lineages.get(lineage).ok_or(Refusal::Moved)?;
                live(lineage.is_live(), Refusal::LineageEnded)?;
                same_epoch(lineage.epoch, *epoch)
            }
            Expectation::SessionLive { session } => {
                let session = self.rows.sessions.get(session).ok_or(Refusal::Moved)?;
                live(session.is_live(), Refusal::SessionEnded)
            }
            Expectation::CredentialStanding {
                lineage,
                credential,
            } => self.standing(*lineage, *credential),
            Expectation::NotBarred { key } => self.not_barred(key),
            Expectation::PolicySet { digest } => live(
                self.rows.policy_set.is_none_or(|now| now == *digest),
                Refusal::PolicyChanged,
            ),
            Expectation::Before { at } => live(self.now < *at, Refusal::TooLate),
        }
    }

    fn allow(&self, write: &Write, index: usize) -> Result<(), Refusal> {
        match write {
            Write::Task(task) => self.allow_task(task),
            Write::Lineage(lineage) => self.allow_lineage(lineage),
            Write::Session(session) => self.allow_session(session),
            Write::Credential(credential) => self.allow_credential(credential),
            Write::Once(once) => self.allow_once(once, index),
            Write::Spend { task, grant, uses } => self.allow_spend(*task, grant, *uses),
            Write::Secret(version) => {
                let latest = self.rows.secrets.get(&version.path).copied().unwrap_or(0);
                live(version.version == latest.saturating_add(1), Refusal::Moved)
            }
            Write::Bar(_) | Write::Source(_) | Write::SecretDeleted { .. } | Write::Key(_) => {
                Ok(())
            }
        }
    }

    fn allow_task(&self, new: &Task) -> Result<(), Refusal> {
        let Some(old) = self.rows.tasks.get(&new.id) else {
            live(
                new.epoch == Epoch::FIRST && !self.rows.names.contains_key(&new.name),
                Refusal::Moved,
            )?;
            live(
                new.is_open() && new.deadline > self.now,
                Refusal::Illegal("a task opens alive"),
            )?;
            return self.not_barred(&BarKey::TaskName(new.name.clone()));
        };
        live(new.epoch == old.epoch.next(), Refusal::Moved)?;
        live(old.is_open(), Refusal::TaskOver)?;
        let same = (&old.name, &old.profile, old.opened_at, old.deadline)
            == (&new.name, &new.profile, new.opened_at, new.deadline);
        live(
            same,
            Refusal::Illegal("a task keeps its name, profile and deadline"),
        )?;
        live(
            new.grants.within(&old.grants).is_ok(),
            Refusal::Illegal("a task's grants never widen"),
        )
    }

    fn allow_lineage(&self, new: &Lineage) -> Result<(), Refusal> {
        let task = self
            .task(new.task)
            .ok_or(Refusal::Illegal("a lineage has a task"))?;
        live(
            new.deadline == task.deadline,
            Refusal::Illegal("a lineage ends with its task"),
        )?;
        live(
            new.grants.within(&task.grants).is_ok(),
            Refusal::Illegal("a lineage is within its task"),
        )?;
        let Some(old) = self.rows.lineages.get(&new.id) else {
            let instance = (new.task, new.instance.clone());
            live(
                new.epoch == Epoch::FIRST && !self.rows.instances.contains_key(&instance),
                Refusal::Moved,
            )?;
            self.open(task)?;
            return live(new.is_live(), Refusal::Illegal("a lineage opens alive"));
        };
        live(new.epoch == old.epoch.next(), Refusal::Moved)?;
        live(old.is_live(), Refusal::LineageEnded)?;
        let same = (&old.task, &old.instance, &old.identity, &old.bindings)
            == (&new.task, &new.instance, &new.identity, &new.bindings);
        live(
            same,
            Refusal::Illegal("a lineage keeps its task, instance, identity and pins"),
        )?;
        live(
            new.grants.within(&old.grants).is_ok(),
            Refusal::Illegal("a lineage's grants never widen"),
        )
    }

    fn allow_session(&self, new: &Session) -> Result<(), Refusal> {
        let lineage = self
            .lineage(new.lineage)
            .ok_or(Refusal::Illegal("a session has a lineage"))?;
        let ends = new.deadline == lineage.deadline && new.expires_at <= lineage.deadline;
        live(ends, Refusal::Illegal("a session ends with its task"))?;
        let Some(old) = self.rows.sessions.get(&new.id) else {
            let key = (new.lineage, new.key);
            live(
                new.epoch == Epoch::FIRST && !self.rows.keys.contains_key(&key),
                Refusal::Moved,
            )?;
            live(lineage.is_live(), Refusal::LineageEnded)?;
            return live(new.is_live(), Refusal::Illegal("a session opens alive"));
        };
        live(new.epoch == old.epoch.next(), Refusal::Moved)?;
        live(old.is_live(), Refusal::SessionEnded)?;
        live(
            (old.lineage, old.key) == (new.lineage, new.key),
            Refusal::Illegal("a session keeps its key"),
        )
    }

    fn allow_credential(&self, new: &CredentialRecord) -> Result<(), Refusal> {
        live(
            !self.rows.credentials.contains_key(&new.id),
            Refusal::Illegal("a credential is recorded once"),
        )?;
        let lineage = self
            .lineage(new.lineage)
            .ok_or(Refusal::Illegal("a credential has a lineage"))?;
        let session = self
            .session(new.session)
            .ok_or(Refusal::Illegal("a credential has a session"))?;
        let task = self
            .task(lineage.task)
            .ok_or(Refusal::Illegal("a credential has a task"))?;
        live(
            session.lineage == lineage.id,
            Refusal::Illegal("a credential's session is its lineage's"),
        )?;
        self.open(task)?;
        live(lineage.is_live(), Refusal::LineageEnded)?;
        live(session.is_live(), Refusal::SessionEnded)?;
        live(
            new.expires_at <= task.deadline,
            Refusal::Illegal("no credential outlives its task"),
        )?;
        live(new.expires_at > self.now, Refusal::TooLate)?;
        if let Some(parent) = new.parent {
            self.standing(lineage.id, parent)?;
            let ends = self
                .rows
                .credentials
                .get(&parent)
                .map(|parent| parent.expires_at);
            live(
                ends.is_some_and(|end| new.expires_at <= end),
                Refusal::Illegal("no credential outlives its parent"),
            )?;
        }
        let within = match &new.kind {
            CredentialKind::AccessToken(token) => token.within(&lineage.grants).is_ok(),
            CredentialKind::SecretLease(lease) => {
                lineage.grants.named(&lease.grant).is_some_and(|grant| {
                    grant
                        .secrets
                        .iter()
                        .any(|pattern| pattern.matches(&lease.path))
                })
            }
        };
        live(
            within,
            Refusal::Illegal("no credential is wider than its lineage's grant"),
        )
    }

    fn allow_once(&self, once: &Once, index: usize) -> Result<(), Refusal> {
        let key = (once.kind, once.until, once.digest);
        if let Some(session) = self.rows.once.get(&key) {
            return Err(Refusal::OnceTaken {
                kind: once.kind,
                session: *session,
            });
        }
        let same = |earlier: &Once| (earlier.kind, earlier.until, earlier.digest) == key;
        let again = self
            .writes
            .iter()
            .take(index)
            .any(|w| matches!(w, Write::Once(earlier) if same(earlier)));
        live(
            !again,
            Refusal::Illegal("a change uses a single-use key once"),
        )
    }

    fn allow_spend(&self, task: TaskId, grant: &GrantName, taken: u32) -> Result<(), Refusal> {
        let task = self
            .task(task)
            .ok_or(Refusal::Illegal("uses are a task's"))?;
        let rule = task
            .grants
            .named(grant)
            .ok_or(Refusal::Illegal("uses are a grant's"))?;
        let total = self.rows.spent(task.id, grant).saturating_add(taken);
        live(
            rule.uses.is_none_or(|limit| total <= limit),
            Refusal::UsesExhausted(grant.clone()),
        )
    }

    fn standing(&self, lineage: LineageId, credential: CredentialId) -> Result<(), Refusal> {
        let row = self
            .rows
            .credentials
            .get(&credential)
            .ok_or(Refusal::CredentialDead)?;
        live(
            row.lineage == lineage && row.expires_at > self.now,
            Refusal::CredentialDead,
        )?;
        self.not_barred(&BarKey::Credential(credential))
            .map_err(|_| Refusal::CredentialDead)
    }

    fn not_barred(&self, key: &BarKey) -> Result<(), Refusal> {
        let barred = self
            .rows
            .bars
            .get(key)
            .is_some_and(|bar| bar.until > self.now);
        live(!barred, Refusal::Barred(key.clone()))
    }

    fn open(&self, task: &Task) -> Result<(), Refusal> {
        live(
            task.is_open() && self.now < task.deadline,
            Refusal::TaskOver,
        )
    }

    fn task(&self, id: TaskId) -> Option<&Task> {
        let written = self.writes.iter().find_map(|write| {
            let Write::Task(task) = write else {
                return None;
            };
            (task.id == id).then_some(task)
        });
        written.or_else(|| self.rows.tasks.get(&id))
    }

    fn lineage(&self, id: LineageId) -> Option<&Lineage> {
        let written = self.writes.iter().find_map(|write| {
            let Write::Lineage(lineage) = write else {
                return None;
            };
            (lineage.id == id).then_some(lineage)
        });
        written.or_else(|| self.rows.lineages.get(&id))
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        let written = self.writes.iter().find_map(|write| {
            let Write::Session(session) = write else {
                return None;
            };
            (session.id == id).then_some(session)
        });
        written.or_else(|| self.rows.sessions.get(&id))
    }
}

fn live(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

fn same_epoch(stands: Epoch, expected: Epoch) -> Result<(), Refusal> {
    live(stands == expected, Refusal::Moved)
}
