//! The rules of the fold: what a change must find, and what it may leave behind. They look at the
//! rows as the change itself would leave them, so that it cannot issue under what it ends.

use crate::domain::credential::{CredentialKind, CredentialRecord, RecallClass};
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::grant::Grants;
use crate::domain::ids::{CredentialId, LineageId, SessionId, TaskId};
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::name::GrantName;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::session::Session;
use crate::domain::task::{Epoch, Task};
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Expectation, Once, SealedVersion, Write};
use crate::ledger::rows::{Refusal, Rows};

/// The rows as the change would leave them: its own writes first, then what was there.
pub(super) struct After<'a> {
    rows: &'a Rows,
    writes: &'a [Write],
    now: Timestamp,
}

impl<'a> After<'a> {
    pub(super) const fn new(rows: &'a Rows, writes: &'a [Write], now: Timestamp) -> Self {
        Self { rows, writes, now }
    }

    /// Every expectation, then every write.
    pub(super) fn check(&self, expects: &[Expectation]) -> Result<(), Refusal> {
        for expectation in expects {
            self.expect(expectation)?;
        }
        for (index, write) in self.writes.iter().enumerate() {
            let earlier = self.writes.get(..index).unwrap_or(&[]);
            live(
                !earlier.iter().any(|earlier| same_row(earlier, write)),
                Refusal::Illegal("a change writes a row once"),
            )?;
            self.allow(write)?;
        }
        Ok(())
    }

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

    fn allow(&self, write: &Write) -> Result<(), Refusal> {
        match write {
            Write::Task(task) => self.allow_task(task),
            Write::Lineage(lineage) => self.allow_lineage(lineage),
            Write::Session(session) => self.allow_session(session),
            Write::Credential(credential) => self.allow_credential(credential),
            Write::Once(once) => self.allow_once(once),
            Write::Spend { task, grant, uses } => self.allow_spend(*task, grant, *uses),
            Write::Secret(version) => {
                let latest = self.rows.secrets.get(&version.path).copied().unwrap_or(0);
                live(version.version == latest.saturating_add(1), Refusal::Moved)
            }
            Write::Freeze(freeze) => self.allow_freeze(freeze),
            Write::Answered(answered) => self.allow_answered(answered),
            Write::Reservation(reservation) => self.allow_reservation(reservation),
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
            same && (&old.agent, &old.opened_by) == (&new.agent, &new.opened_by),
            Refusal::Illegal("a task keeps its name, profile, deadline, agent and who opened it"),
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
        // A lineage may end however narrow its task has become.
        live(
            !new.is_live() || new.grants.within(&task.grants).is_ok(),
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
        live(!old.is_over(), Refusal::LineageEnded)?;
        let same = (&old.task, &old.instance, &old.identity, &old.bindings)
            == (&new.task, &new.instance, &new.identity, &new.bindings);
        live(
            same,
            Refusal::Illegal("a lineage keeps its task, instance, identity and pins"),
        )?;
        self.allow_state(old, new, task)?;
        live(
            new.grants.within(&old.grants).is_ok(),
            Refusal::Illegal("a lineage's grants never widen"),
        )
    }

    /// Whoever is constrained stays so, or becomes narrower for it. What loosens needs an open task.
    fn allow_state(&self, old: &Lineage, new: &Lineage, task: &Task) -> Result<(), Refusal> {
        let constrained = match (&old.state, &new.state) {
            (LineageState::Quarantined(_) | LineageState::StepUp(_), LineageState::Active) => {
                return self.allow_release(old, new, task);
            }
            (
                LineageState::Active | LineageState::Quarantined(_),
                LineageState::StepUp(new_one),
            ) => {
                let was_at_large = matches!(old.state, LineageState::Active);
                was_at_large && new_one.begun == new.epoch && new_one.approvals.is_empty()
            }
            (LineageState::StepUp(old_one), LineageState::StepUp(new_one)) => {
                self.open(task)?;
                let begins = new_one.begun == new.epoch && new_one.approvals.is_empty();
                (begins && new_one.risk > old_one.risk)
                    || new_one == old_one
                    || new_one.follows(old_one)
            }
            (_, LineageState::Active | LineageState::Quarantined(_) | LineageState::Ended(_)) => {
                true
            }
            (LineageState::Ended(_), LineageState::StepUp(_)) => false,
        };
        live(
            constrained,
            Refusal::Illegal(
                "a challenge begins without approvals and is not approved by who raised it",
            ),
        )?;
        live(
            old.released_at == new.released_at,
            Refusal::Illegal("only what was constrained is released"),
        )
    }

    /// Only a release loosens for good: into an open task, narrower than it was, and not with what it was given
    /// before.
    fn allow_release(&self, old: &Lineage, new: &Lineage, task: &Task) -> Result<(), Refusal> {
        self.open(task)?;
        live(
            new.grants.is_narrower_than(&old.grants),
            Refusal::Illegal("a lineage is released narrower than it was"),
        )?;
        live(
            new.released_at > old.released_at,
            Refusal::Illegal("what was given before a release does not come back"),
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
        live(lineage.carries(new.id), Refusal::Moved)?;
        live(session.is_live(), Refusal::SessionEnded)?;
        live(
            new.expires_at <= task.deadline,
            Refusal::Illegal("no credential outlives its task"),
        )?;
        live(new.expires_at > self.now, Refusal::TooLate)?;
        live(
            (new.recall == RecallClass::List) == matches!(new.kind, CredentialKind::X509Svid(_)),
            Refusal::Illegal("certificates are recalled by a list, and nothing else is"),
        )?;
        self.thawed(task, lineage)?;
        if let Some(parent) = new.parent {
            self.standing(lineage.id, parent)?;
            let parent = self.rows.credentials.get(&parent);
            within_parent(new, parent.ok_or(Refusal::CredentialDead)?)?;
        }
        // The task may have become narrower than the lineage that was opened in it.
        live(
            covers(&lineage.grants, &new.kind) && covers(&task.grants, &new.kind),
            Refusal::Illegal("no credential is wider than its lineage's and task's grant"),
        )
    }

    fn allow_once(&self, once: &Once) -> Result<(), Refusal> {
        let key = (once.kind, once.until, once.digest);
        match self.rows.once.get(&key) {
            Some(session) => Err(Refusal::OnceTaken {
                kind: once.kind,
                session: *session,
            }),
            None => Ok(()),
        }
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

    /// A use is reserved once, out of the task's pool, and consumed at most once, in its time and while
    /// everything that it was reserved under stands.
    fn allow_reservation(&self, new: &Reservation) -> Result<(), Refusal> {
        let lineage = self
            .lineage(new.lineage)
            .ok_or(Refusal::Illegal("a permit has a lineage"))?;
        let task = self
            .task(new.task)
            .ok_or(Refusal::Illegal("a permit has a task"))?;
        live(
            lineage.task == task.id,
            Refusal::Illegal("a permit's lineage is its task's"),
        )?;
        self.open(task)?;
        live(lineage.is_live(), Refusal::LineageEnded)?;
        live(self.now < new.expires_at, Refusal::TooLate)?;
        let Some(old) = self.rows.reservations.get(&new.id) else {
            return self.allow_reserving(new, task, lineage);
        };
        let given_since = lineage.released_at.is_none_or(|at| old.reserved_at > at);
        live(given_since, Refusal::CredentialDead)?;
        live(!old.is_consumed() && new.is_consumed(), Refusal::Moved)?;
        let same = Reservation {
            state: ReservationState::Reserved,
            ..new.clone()
        } == *old;
        live(same, Refusal::Illegal("a permit keeps what it is for"))
    }

    fn allow_reserving(
        &self,
        new: &Reservation,
        task: &Task,
        lineage: &Lineage,
    ) -> Result<(), Refusal> {
        live(
            !new.is_consumed(),
            Refusal::Illegal("only what was reserved is consumed"),
        )?;
        live(
            new.expires_at <= task.deadline,
            Refusal::Illegal("no permit outlives its task"),
        )?;
        live(
            counts(&lineage.grants, new) && counts(&task.grants, new),
            Refusal::Illegal("no permit is wider than its lineage's and task's grant"),
        )?;
        self.thawed(task, lineage)?;
        let pool = (new.task, &new.grant);
        let taken = self.writes.iter().filter_map(|write| {
            let Write::Spend { task, grant, uses } = write else {
                return None;
            };
            ((*task, grant) == pool).then_some(*uses)
        });
        let made = self.writes.iter().filter(
            |write| matches!(write, Write::Reservation(one) if (one.task, &one.grant) == pool),
        );
        live(
            made.count() as u64 <= taken.map(u64::from).sum(),
            Refusal::Illegal("a permit takes one of its task's uses"),
        )
    }

    /// A freeze goes on where its scope left off, and only one that holds is lifted.
    fn allow_freeze(&self, new: &Freeze) -> Result<(), Refusal> {
        let old = self.rows.freezes.get(&new.scope);
        let next = old.map_or(Epoch::FIRST, |old| old.epoch.next());
        live(new.epoch == next, Refusal::Moved)?;
        if new.lifted_at.is_none() {
            return live(new.until > self.now, Refusal::TooLate);
        }
        let same = old.is_some_and(|old| old.holds(self.now) && old.until == new.until);
        live(same, Refusal::Illegal("a freeze that holds is lifted"))
    }

    /// An order is carried out once under its key, for as long as the key is kept.
    fn allow_answered(&self, new: &Answered) -> Result<(), Refusal> {
        let kept = self.rows.answered.get(&new.key);
        live(
            kept.is_none_or(|until| *until <= self.now),
            Refusal::OrderGiven,
        )?;
        live(
            new.until > self.now,
            Refusal::Illegal("an order's key is kept for a while"),
        )
    }

    /// Whatever a verb decided, nothing is issued within a scope that is frozen.
    fn thawed(&self, task: &Task, lineage: &Lineage) -> Result<(), Refusal> {
        let holding = |scope: &FreezeScope| {
            self.freeze(scope)
                .is_some_and(|freeze| freeze.holds(self.now))
        };
        let mut scopes = FreezeScope::of(&task.profile, &task.name, &lineage.identity);
        match scopes.find(holding) {
            Some(scope) => Err(Refusal::Frozen(scope)),
            None => Ok(()),
        }
    }

    fn standing(&self, lineage: LineageId, credential: CredentialId) -> Result<(), Refusal> {
        let row = self
            .rows
            .credentials
            .get(&credential)
            .ok_or(Refusal::CredentialDead)?;
        let carried = self
            .lineage(lineage)
            .is_none_or(|row| row.carries(credential));
        live(
            row.lineage == lineage && row.expires_at > self.now && carried,
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

    fn freeze(&self, scope: &FreezeScope) -> Option<&Freeze> {
        let written = self.writes.iter().find_map(|write| {
            let Write::Freeze(freeze) = write else {
                return None;
            };
            (freeze.scope == *scope).then_some(freeze)
        });
        written.or_else(|| self.rows.freezes.get(scope))
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

/// Whether a credential is within these grants.
fn covers(grants: &Grants, kind: &CredentialKind) -> bool {
    match kind {
        CredentialKind::AccessToken(token) => token.within(grants).is_ok(),
        CredentialKind::JwtSvid(svid) => grants
            .named(&svid.grant)
            .is_some_and(|grant| grant.jwt_svids.contains(&svid.audience)),
        CredentialKind::X509Svid(svid) => grants
            .named(&svid.grant)
            .is_some_and(|grant| grant.x509_svid),
        CredentialKind::SecretLease(lease) => grants.named(&lease.grant).is_some_and(|grant| {
            grant
                .secrets
                .iter()
                .any(|pattern| pattern.matches(&lease.path))
        }),
    }
}

/// Whether these grants count the action for the service, and have it.
fn counts(grants: &Grants, new: &Reservation) -> bool {
    grants.named(&new.grant).is_some_and(|grant| {
        grant.counts_writes()
            && grant.acts.writes.contains(&new.action)
            && grant.audiences.contains(&new.audience)
    })
}

/// Neither longer nor wider than its parent: another audience, never another scope. A lease and an SVID
/// have no scopes, and are nobody's parents.
fn within_parent(new: &CredentialRecord, parent: &CredentialRecord) -> Result<(), Refusal> {
    live(
        new.expires_at <= parent.expires_at,
        Refusal::Illegal("no credential outlives its parent"),
    )?;
    let narrower = match (&new.kind, &parent.kind) {
        (CredentialKind::AccessToken(new), CredentialKind::AccessToken(parent)) => {
            new.scopes.is_subset(&parent.scopes)
        }
        (
            CredentialKind::SecretLease(_)
            | CredentialKind::JwtSvid(_)
            | CredentialKind::X509Svid(_),
            CredentialKind::AccessToken(_),
        ) => true,
        (
            _,
            CredentialKind::SecretLease(_)
            | CredentialKind::JwtSvid(_)
            | CredentialKind::X509Svid(_),
        ) => false,
    };
    live(
        narrower,
        Refusal::Illegal("no credential is wider than its parent"),
    )
}

/// Whether two writes of one change would write the same row, or claim the same name.
fn same_row(one: &Write, other: &Write) -> bool {
    match (one, other) {
        (Write::Task(one), Write::Task(other)) => one.id == other.id || one.name == other.name,
        (Write::Lineage(one), Write::Lineage(other)) => {
            one.id == other.id || (one.task, &one.instance) == (other.task, &other.instance)
        }
        (Write::Session(one), Write::Session(other)) => {
            one.id == other.id || (one.lineage, one.key) == (other.lineage, other.key)
        }
        (Write::Credential(one), Write::Credential(other)) => one.id == other.id,
        (Write::Once(one), Write::Once(other)) => {
            (one.kind, one.until, one.digest) == (other.kind, other.until, other.digest)
        }
        (
            Write::Spend { task, grant, .. },
            Write::Spend {
                task: other_task,
                grant: other_grant,
                ..
            },
        ) => (task, grant) == (other_task, other_grant),
        (
            Write::Secret(SealedVersion { path, .. }) | Write::SecretDeleted { path },
            Write::Secret(SealedVersion { path: other, .. }) | Write::SecretDeleted { path: other },
        ) => path == other,
        (Write::Freeze(one), Write::Freeze(other)) => one.scope == other.scope,
        (Write::Answered(one), Write::Answered(other)) => one.key == other.key,
        (Write::Reservation(one), Write::Reservation(other)) => one.id == other.id,
        (
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
            | Write::Reservation(_),
            _,
        ) => false,
    }
}
