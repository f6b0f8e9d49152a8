//! Replay: folds the log's leaves again, by the same function that admitted them, and names the
//! first entry that could not have been allowed.
//!
//! The tree proves that the log was not changed after it was signed; replay proves that what was
//! signed was lawful: that every credential in it was within its grant, parent and task, and that
//! nothing it rested on was over. It starts from nothing, because the log holds everything.
//!
//! **Order.** Entries are folded in the tree's order. A store merges entries so that one comes after
//! every entry whose rows it read: for one writer at a time that is the order of its commits.
//!
//! **Time.** An entry is judged at its own `at`: when its verb decided, a moment before the commit.
//! What had not ended at the commit had not ended then either, so an honest entry passes; a bar
//! binds whoever decided while it held. Time in the log does not run back by more than [`LAG`]: an
//! entry dated earlier is judged as of then, or anybody could revive an expired task by a date.
//!
//! **Memory.** Rows are dropped once their deadline is past, as the store's sweep drops them. So a
//! later entry may end a row that is no longer here. It gives nothing to anybody and is passed over.
//!
//! The policy set in force is not a row; that a decision was made under the right policies is what
//! the entry's justification says, and is not derived here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::domain::ids::Realm;
use crate::domain::time::Timestamp;
use crate::ledger::change::{Expectation, Write};
use crate::ledger::entry::{Event, FORMAT, Leaf};
use crate::ledger::rows::{Refusal, Rows};

/// The fold so far.
#[derive(Debug)]
pub struct Replay {
    realms: BTreeMap<Realm, Rows>,
    latest: Timestamp,
    tally: Replayed,
    /// Writes since rows were last dropped, and how many were left then.
    since: usize,
    kept: usize,
}

/// What was derived again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    pub entries: u64,
    pub credentials: u64,
}

/// An entry that could not have been allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {index}: {why}")]
pub struct Illegal {
    pub index: u64,
    pub why: Why,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("the leaf has format {0}, which this release does not know")]
    Format(u16),
    #[error("the leaf cannot be read: {0}")]
    Unreadable(String),
    #[error("the leaf is not as its format is written")]
    Spelling,
    #[error("a credential is recorded under `{0}`")]
    Hidden(&'static str),
    #[error("a permit is reserved or consumed under `{0}`")]
    PermitHidden(&'static str),
    #[error("as of {at}: {refusal}")]
    Refused { at: Timestamp, refusal: Refusal },
}

impl Default for Replay {
    /// Nothing: the state before the first entry of a log.
    fn default() -> Self {
        Self {
            realms: BTreeMap::new(),
            latest: Timestamp::EPOCH,
            tally: Replayed::default(),
            since: 0,
            kept: 0,
        }
    }
}

impl Replay {
    /// Folds the next entry of the tree. After an illegal one the fold is not to be continued.
    pub fn step(&mut self, index: u64, leaf: &[u8]) -> Result<(), Illegal> {
        self.fold(leaf).map_err(|why| Illegal { index, why })
    }

    /// What was derived.
    pub fn finish(self) -> Replayed {
        self.tally
    }

    fn fold(&mut self, bytes: &[u8]) -> Result<(), Why> {
        let mut leaf = read(bytes)?;
        let credentials = leaf.writes.iter().filter(|write| is_credential(write));
        let credentials = u64::try_from(credentials.count()).unwrap_or(u64::MAX);
        if credentials > 0 && !gives(&leaf.event) {
            return Err(Why::Hidden(leaf.event.name()));
        }
        if leaf
            .writes
            .iter()
            .any(|write| is_unsaid(write, &leaf.event))
        {
            return Err(Why::PermitHidden(leaf.event.name()));
        }
        self.latest = self.latest.max(leaf.at);
        let at = leaf.at.max(self.horizon());
        let rows = self.realms.entry(leaf.realm).or_default();
        if let Err(refusal) = judge(rows, &leaf, at) {
            // What ended is dropped late, so it may still hold a name that was free again.
            rows.forget(at);
            judge(rows, &leaf, at).map_err(|_| Why::Refused { at, refusal })?;
        }
        leaf.writes.retain(|write| !is_late(rows, write, at));
        self.since += leaf.writes.len();
        for write in leaf.writes {
            rows.apply(write);
        }
        self.tally.entries += 1;
        self.tally.credentials += credentials;
        self.sweep();
        Ok(())
    }

    /// No entry is judged as of an earlier time.
    fn horizon(&self) -> Timestamp {
        self.latest.minus(LAG)
    }

    /// Drops what is over whenever as much was written as was kept: that costs a constant per write
    /// and keeps at most twice what is live.
    fn sweep(&mut self) {
        if self.since < self.kept.max(SWEEP_AFTER) {
            return;
        }
        let horizon = self.horizon();
        self.since = 0;
        self.kept = self
            .realms
            .values_mut()
            .map(|rows| rows.forget(horizon))
            .sum();
    }
}

/// Reads a leaf of the known format. It has one spelling: a field that is passed over when it is read
/// cannot be hidden in it.
fn read(bytes: &[u8]) -> Result<Leaf, Why> {
    let unreadable = |e: serde_json::Error| Why::Unreadable(e.to_string());
    let stamp: Stamp = serde_json::from_slice(bytes).map_err(unreadable)?;
    if stamp.format != FORMAT {
        return Err(Why::Format(stamp.format));
    }
    let leaf: Leaf = serde_json::from_slice(bytes).map_err(unreadable)?;
    if serde_json::to_vec(&leaf).map_err(unreadable)? == bytes {
        return Ok(leaf);
    }
    Err(Why::Spelling)
}

/// What a leaf of any format says of itself.
#[derive(Deserialize)]
struct Stamp {
    format: u16,
}

/// Whether the change could be admitted as of `at`, apart from ending what is no longer here.
fn judge(rows: &Rows, leaf: &Leaf, at: Timestamp) -> Result<(), Refusal> {
    let late = |write: &&Write| is_late(rows, write, at);
    if !leaf.writes.iter().any(|write| late(&write)) {
        return rows.check(&leaf.expects, &leaf.writes, at);
    }
    let writes: Vec<Write> = leaf.writes.iter().filter(|w| !late(w)).cloned().collect();
    let here = |expects: &&Expectation| is_here(rows, expects);
    let expects: Vec<Expectation> = leaf.expects.iter().filter(here).cloned().collect();
    rows.check(&expects, &writes, at)
}

/// Whether a write only ends a row whose deadline is past and that was dropped.
fn is_late(rows: &Rows, write: &Write, at: Timestamp) -> bool {
    match write {
        Write::Task(task) => !task.is_open() && task.deadline <= at && rows.task(task.id).is_none(),
        Write::Lineage(lineage) => {
            lineage.is_over() && lineage.deadline <= at && rows.lineage(lineage.id).is_none()
        }
        Write::Session(session) => {
            !session.is_live() && session.deadline <= at && rows.session(session.id).is_none()
        }
        Write::Credential(_)
        | Write::Once(_)
        | Write::Spend { .. }
        | Write::Bar(_)
        | Write::Source(_)
        | Write::Secret(_)
        | Write::SecretDeleted { .. }
        | Write::Key(_)
        | Write::Freeze(_)
        | Write::Answered(_)
        | Write::Reservation(_) => false,
    }
}

/// Whether the row that an expectation names is here, if it names one.
fn is_here(rows: &Rows, expectation: &Expectation) -> bool {
    match expectation {
        Expectation::TaskOpen { task, .. } => rows.task(*task).is_some(),
        Expectation::LineageLive { lineage, .. } => rows.lineage(*lineage).is_some(),
        Expectation::SessionLive { session } => rows.session(*session).is_some(),
        Expectation::CredentialStanding { .. }
        | Expectation::NotBarred { .. }
        | Expectation::PolicySet { .. }
        | Expectation::Before { .. } => true,
    }
}

const fn is_credential(write: &Write) -> bool {
    matches!(write, Write::Credential(_))
}

/// Whether it reserves or consumes a permit of which the entry says something else.
fn is_unsaid(write: &Write, event: &Event) -> bool {
    let Write::Reservation(row) = write else {
        return false;
    };
    if let Event::PermitReserved(said) = event {
        return row.is_consumed() || said.permit != row.id;
    }
    if let Event::PermitConsumed(said) = event {
        return !row.is_consumed() || said.permit != row.id;
    }
    true
}

/// Whether an entry that says this may hand something out.
const fn gives(event: &Event) -> bool {
    match event {
        Event::Issued(_) | Event::Renewed(_) | Event::SecretRead(_) | Event::SvidIssued(_) => true,
        Event::Acted(_)
        | Event::PermitReserved(_)
        | Event::PermitConsumed(_)
        | Event::Denied(_)
        | Event::Undetermined(_)
        | Event::TaskOpened { .. }
        | Event::TaskClosed { .. }
        | Event::TaskRevoked { .. }
        | Event::LineageRevoked { .. }
        | Event::RiskRaised { .. }
        | Event::Approved { .. }
        | Event::Quarantined { .. }
        | Event::Released { .. }
        | Event::SessionRevoked { .. }
        | Event::CredentialRevoked { .. }
        | Event::BarSet { .. }
        | Event::ContextEnded { .. }
        | Event::SecretStored { .. }
        | Event::SecretDeleted { .. }
        | Event::KeyMoved { .. }
        | Event::ServerCertified { .. }
        | Event::Frozen { .. }
        | Event::FreezeLifted { .. }
        | Event::RulesReplaced { .. } => false,
    }
}

/// How far apart the times of neighbouring entries may honestly run backwards: the longest that a
/// decided change waits for its commit, and the difference between two replicas' clocks.
pub const LAG: Duration = Duration::from_mins(1);
/// Below this many writes dropping rows is not worth a look at all of them.
const SWEEP_AFTER: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::action::{Acts, Effect, ResourceRule};
    use crate::domain::credential::{CredentialKind, CredentialRecord, RecallClass, SecretLease};
    use crate::domain::grant::{Grant, Grants, TokenGrant};
    use crate::domain::identity::Identity;
    use crate::domain::ids::{ChangeId, CredentialId, LineageId, ReservationId, SessionId, TaskId};
    use crate::domain::key::Digest;
    use crate::domain::lineage::{Lineage, LineageState};
    use crate::domain::reservation::{Reservation, ReservationState};
    use crate::domain::session::{EvidenceMark, Session, SessionState};
    use crate::domain::task::{End, Epoch, Task, TaskState};
    use crate::error::Code;
    use crate::ledger::bar::{Bar, BarKey};
    use crate::ledger::change::{Change, Lane, Once, OnceKind};
    use crate::ledger::entry::{Deed, Entry, Justification, PermitDeed, Refused, Subject};

    /// Verbs over rows, without a store: whatever the fold admits is logged.
    struct World {
        rows: Rows,
        now: Timestamp,
        made: u128,
        log: Vec<Vec<u8>>,
        threads: Vec<Thread>,
    }

    /// A task with one lineage, its session and the newest token.
    #[derive(Clone, Copy)]
    struct Thread {
        task: TaskId,
        lineage: LineageId,
        session: SessionId,
        token: CredentialId,
    }

    const DEADLINE: Duration = Duration::from_hours(1);
    const TOKEN: Duration = Duration::from_mins(5);

    fn set<T: std::str::FromStr + Ord>(items: &[&str]) -> BTreeSet<T>
    where
        T::Err: std::fmt::Debug,
    {
        items.iter().map(|i| i.parse().unwrap()).collect()
    }

    fn grants(scopes: &[&str]) -> Grants {
        let grant = Grant {
            audiences: set(&["https://api"]),
            scopes: set(scopes),
            secrets: set(&["ci/*"]),
            jwt_svids: BTreeSet::new(),
            x509_svid: true,
            acts: Acts {
                writes: set(&["restart"]),
                resources: set_of_hosts(),
                ..Acts::default()
            },
            uses: Some(3),
        };
        Grants::new([("deploy".parse().unwrap(), grant)].into())
    }

    fn set_of_hosts() -> BTreeSet<ResourceRule> {
        let hosts = ResourceRule {
            kind: "host".parse().unwrap(),
            id: None,
            properties: BTreeMap::new(),
        };
        [hosts].into()
    }

    fn said(of: &Reservation, consumed: bool) -> Event {
        let Event::Issued(because) = gave(Event::Issued) else {
            panic!("another event");
        };
        let deed = Deed {
            credential: CredentialId::from_bytes([1; 16]),
            grant: of.grant.clone(),
            action: of.action.clone(),
            effect: Effect::Writes,
            kind: of.kind.clone(),
            id: of.resource.clone(),
            because,
        };
        let said = Box::new(PermitDeed {
            permit: of.id,
            until: of.expires_at,
            by: None,
            deed,
        });
        if consumed {
            Event::PermitConsumed(said)
        } else {
            Event::PermitReserved(said)
        }
    }

    fn gave(event: fn(Justification) -> Event) -> Event {
        event(Justification {
            identity: Identity::new("spiffe://example.org/ci".parse().unwrap(), BTreeMap::new()),
            evidence: Some(Digest::from_bytes([1; 32])),
            policies: vec!["default".to_owned()],
            policy_set: Digest::from_bytes([2; 32]),
            facts: Vec::new(),
        })
    }

    fn denied() -> Event {
        Event::Denied(Refused {
            verb: "renew".to_owned(),
            code: Code::ContextMismatch,
            field: Some("pipeline.status".to_owned()),
            required: None,
            observed: Some("completed".to_owned()),
            public: "the run is over".to_owned(),
            internal: None,
            identity: None,
            evidence: None,
            policies: Vec::new(),
            judged: None,
            facts: Vec::new(),
            about: Vec::new(),
            from: None,
            ended_lineage: true,
        })
    }

    fn closed() -> Event {
        Event::TaskClosed {
            by: "operator".to_owned(),
            reason: None,
        }
    }

    impl World {
        fn new() -> Self {
            Self {
                rows: Rows::default(),
                now: Timestamp::from_micros(1_700_000_000_000_000),
                made: 0,
                log: Vec::new(),
                threads: Vec::new(),
            }
        }

        fn bytes(&mut self) -> [u8; 16] {
            self.made += 1;
            self.made.to_be_bytes()
        }

        fn change(
            &mut self,
            event: Event,
            expects: Vec<Expectation>,
            writes: Vec<Write>,
        ) -> Change {
            Change {
                id: ChangeId::from_bytes(self.bytes()),
                realm: Realm::DEFAULT,
                lane: Lane::Issue,
                expects,
                writes,
                entry: Entry {
                    at: self.now,
                    subject: Subject::default(),
                    event,
                },
            }
        }

        /// Admits a change that was decided `lag` ago, or drops it.
        fn commit(&mut self, lag: Duration, mut change: Change) -> bool {
            change.entry.at = self.now.minus(lag);
            let admitted = self.rows.admit(&change, self.now).is_ok();
            if admitted {
                self.log.push(change.leaf().unwrap());
            }
            admitted
        }

        /// Logs what the fold did not admit.
        fn plant(&mut self, change: &Change) {
            self.log.push(change.leaf().unwrap());
        }

        fn token(&mut self, lineage: LineageId, session: SessionId) -> CredentialRecord {
            let token = TokenGrant {
                name: "deploy".parse().unwrap(),
                audiences: set(&["https://api"]),
                scopes: set(&["read"]),
            };
            CredentialRecord {
                id: CredentialId::from_bytes(self.bytes()),
                lineage,
                session,
                parent: None,
                kind: CredentialKind::AccessToken(token),
                recall: RecallClass::Expiry,
                issued_at: self.now,
                expires_at: self.now.plus(TOKEN),
            }
        }

        fn task(&mut self, name: &str) -> Task {
            Task {
                id: TaskId::from_bytes(self.bytes()),
                name: name.parse().unwrap(),
                profile: "ci".parse().unwrap(),
                state: TaskState::Open,
                epoch: Epoch::FIRST,
                opened_at: self.now,
                deadline: self.now.plus(DEADLINE),
                grants: grants(&["read", "write"]),
                agent: None,
                opened_by: None,
            }
        }

        fn lineage(&mut self, task: &Task) -> Lineage {
            Lineage {
                id: LineageId::from_bytes(self.bytes()),
                task: task.id,
                instance: "job-1".parse().unwrap(),
                identity: Identity::new(
                    "spiffe://example.org/ci".parse().unwrap(),
                    BTreeMap::new(),
                ),
                state: LineageState::Active,
                epoch: Epoch::FIRST,
                opened_at: self.now,
                deadline: task.deadline,
                bindings: Vec::new(),
                grants: grants(&["read"]),
                released_at: None,
            }
        }

        fn session(&mut self, lineage: &Lineage) -> Session {
            Session {
                id: SessionId::from_bytes(self.bytes()),
                lineage: lineage.id,
                key: None,
                state: SessionState::Live,
                epoch: Epoch::FIRST,
                opened_at: self.now,
                deadline: lineage.deadline,
                expires_at: lineage.deadline,
                granted: TokenGrant {
                    name: "deploy".parse().unwrap(),
                    audiences: [].into(),
                    scopes: [].into(),
                },
                evidence: EvidenceMark {
                    digest: Digest::from_bytes([3; 32]),
                    issued_at: self.now,
                    granted_until: self.now.plus(TOKEN),
                },
            }
        }

        fn open(&mut self, lag: Duration, name: &str) {
            let task = self.task(name);
            let lineage = self.lineage(&task);
            let session = self.session(&lineage);
            let token = self.token(lineage.id, session.id);
            let thread = Thread {
                task: task.id,
                lineage: lineage.id,
                session: session.id,
                token: token.id,
            };
            let mut digest = [0; 32];
            digest[..16].copy_from_slice(&self.bytes());
            let once = Once {
                kind: OnceKind::Evidence,
                until: self.now.plus(TOKEN),
                digest: Digest::from_bytes(digest),
                session: Some(session.id),
            };
            let change = self.change(
                gave(Event::Issued),
                vec![
                    Expectation::Before { at: task.deadline },
                    Expectation::PolicySet {
                        digest: Digest::from_bytes([2; 32]),
                    },
                ],
                vec![
                    Write::Task(task),
                    Write::Lineage(lineage),
                    Write::Session(session),
                    Write::Credential(token),
                    Write::Once(once),
                ],
            );
            if self.commit(lag, change) {
                self.threads.push(thread);
            }
        }

        fn standing(&self, thread: Thread) -> Vec<Expectation> {
            let task = self.rows.task(thread.task);
            let lineage = self.rows.lineage(thread.lineage);
            vec![
                Expectation::TaskOpen {
                    task: thread.task,
                    epoch: task.map_or(Epoch::FIRST, |task| task.epoch),
                },
                Expectation::LineageLive {
                    lineage: thread.lineage,
                    epoch: lineage.map_or(Epoch::FIRST, |lineage| lineage.epoch),
                },
                Expectation::SessionLive {
                    session: thread.session,
                },
            ]
        }

        /// Renews the thread's token. What it would take is returned, for others to alter.
        fn renewal(&mut self, thread: Thread) -> (Change, CredentialRecord) {
            let token = self.token(thread.lineage, thread.session);
            let expects = self.standing(thread);
            let writes = vec![Write::Credential(token.clone())];
            (self.change(gave(Event::Renewed), expects, writes), token)
        }

        fn read_secret(&mut self, thread: Thread) -> Change {
            let kind = CredentialKind::SecretLease(SecretLease {
                grant: "deploy".parse().unwrap(),
                path: "ci/db".parse().unwrap(),
                version: 1,
            });
            let ends = self
                .rows
                .credentials()
                .find(|row| row.id == thread.token)
                .map_or(self.now, |row| row.expires_at);
            let lease = CredentialRecord {
                parent: Some(thread.token),
                kind,
                expires_at: ends,
                ..self.token(thread.lineage, thread.session)
            };
            let spend = Write::Spend {
                task: thread.task,
                grant: "deploy".parse().unwrap(),
                uses: 1,
            };
            let mut expects = self.standing(thread);
            expects.push(Expectation::CredentialStanding {
                lineage: thread.lineage,
                credential: thread.token,
            });
            let writes = vec![Write::Credential(lease), spend];
            self.change(gave(Event::SecretRead), expects, writes)
        }

        /// One use, reserved.
        fn reserve(&mut self, thread: Thread) -> (Change, Reservation) {
            let one = Reservation {
                id: ReservationId::from_bytes(self.bytes()),
                task: thread.task,
                lineage: thread.lineage,
                grant: "deploy".parse().unwrap(),
                audience: "https://api".parse().unwrap(),
                action: "restart".parse().unwrap(),
                kind: "host".parse().unwrap(),
                resource: "db-7".parse().unwrap(),
                reserved_at: self.now,
                expires_at: self.now.plus(Duration::from_mins(1)),
                state: ReservationState::Reserved,
            };
            let spend = Write::Spend {
                task: thread.task,
                grant: one.grant.clone(),
                uses: 1,
            };
            let (expects, writes) = (
                self.standing(thread),
                vec![spend, Write::Reservation(one.clone())],
            );
            (self.change(said(&one, false), expects, writes), one)
        }

        /// The same, consumed.
        fn consume(&mut self, one: &Reservation) -> Change {
            let by = "billing".parse().unwrap();
            let consumed = one.clone().consume(self.now, by).unwrap();
            let writes = vec![Write::Reservation(consumed)];
            self.change(said(one, true), Vec::new(), writes)
        }

        fn close(&mut self, thread: Thread) -> Option<Change> {
            let end = End::new(Code::TaskClosed, self.now);
            let over = self.rows.task(thread.task)?.clone().end(end).ok()?;
            Some(self.change(closed(), Vec::new(), vec![Write::Task(over)]))
        }

        fn end_lineage(&mut self, thread: Thread) -> Option<Change> {
            let end = End::new(Code::ContextMismatch, self.now);
            let row = self.rows.lineage(thread.lineage)?.clone();
            let expects = vec![Expectation::LineageLive {
                lineage: row.id,
                epoch: row.epoch,
            }];
            let over = row.end(end).ok()?;
            Some(self.change(denied(), expects, vec![Write::Lineage(over)]))
        }

        fn end_session(&mut self, thread: Thread) -> Option<Change> {
            let end = End::new(Code::SessionEnded, self.now);
            let over = self.rows.session(thread.session)?.clone().end(end).ok()?;
            let by = "operator".to_owned();
            let event = Event::SessionRevoked { by };
            Some(self.change(event, Vec::new(), vec![Write::Session(over)]))
        }

        fn bar(&mut self, thread: Thread) -> Change {
            let key = BarKey::Credential(thread.token);
            let bar = Bar {
                key: key.clone(),
                at: self.now,
                until: self.now.plus(DEADLINE),
                by: None,
                reason: None,
            };
            let event = Event::BarSet {
                key,
                by: "operator".to_owned(),
                reason: None,
            };
            self.change(event, Vec::new(), vec![Write::Bar(bar)])
        }

        /// One random verb.
        fn act(&mut self, action: u8, pick: usize, lag: Duration) {
            let picked = self.threads.get(pick % self.threads.len().max(1)).copied();
            let change = match (action, picked) {
                (0..2, _) | (_, None) => {
                    // Names come back, as those of a rerun job do.
                    let name = format!("github/{}", pick % 40);
                    return self.open(lag, &name);
                }
                (2..5, Some(thread)) => {
                    let (change, token) = self.renewal(thread);
                    if self.commit(lag, change) {
                        let index = pick % self.threads.len();
                        self.threads[index].token = token.id;
                    }
                    return;
                }
                (5..7, Some(thread)) => Some(self.read_secret(thread)),
                (7, Some(thread)) => self.close(thread),
                (8, Some(thread)) => self.end_lineage(thread),
                (9, Some(thread)) => self.end_session(thread),
                (10, Some(thread)) => Some(self.bar(thread)),
                (14, Some(thread)) => {
                    let (change, one) = self.reserve(thread);
                    if self.commit(lag, change) && !pick.is_multiple_of(3) {
                        let consumed = self.consume(&one);
                        self.commit(Duration::ZERO, consumed);
                    }
                    return;
                }
                (11, Some(_)) => {
                    // The store's sweep; it may come late.
                    self.rows.forget(self.now);
                    None
                }
                (_, Some(_)) => Some(self.change(denied(), Vec::new(), Vec::new())),
            };
            if let Some(change) = change {
                self.commit(lag, change);
            }
        }
    }

    fn replayed(log: &[Vec<u8>]) -> Result<Replayed, Illegal> {
        let mut replay = Replay::default();
        for (index, leaf) in (0..).zip(log) {
            replay.step(index, leaf)?;
        }
        Ok(replay.finish())
    }

    fn credentials(log: &[Vec<u8>]) -> u64 {
        let needle = br#""write":"credential""#;
        let has = |leaf: &&Vec<u8>| leaf.windows(needle.len()).any(|w| w == needle);
        log.iter().filter(has).count() as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn whatever_verbs_do_the_log_of_it_is_lawful(
            acts in proptest::collection::vec((0..15_u8, any::<usize>(), 0..5_u64, 0..900_u64), 1..150),
        ) {
            let mut world = World::new();
            for (action, pick, lag, pause) in acts {
                world.now = world.now.plus(Duration::from_secs(pause));
                world.act(action, pick, Duration::from_secs(lag));
            }
            let expected = Replayed {
                entries: world.log.len() as u64,
                credentials: credentials(&world.log),
            };
            prop_assert_eq!(replayed(&world.log), Ok(expected));
        }
    }

    /// A lawful log with one open thread, and what `plant` adds to it; then lawful entries again.
    fn with(plant: impl FnOnce(&mut World, Thread)) -> Result<Replayed, Illegal> {
        let mut world = World::new();
        for i in 0..20 {
            world.open(Duration::ZERO, &format!("github/{i}"));
        }
        let thread = world.threads[7];
        let before = world.log.len();
        plant(&mut world, thread);
        assert!(world.log.len() > before, "nothing was planted");
        world.open(Duration::ZERO, "github/after");
        replayed(&world.log)
    }

    /// What replay says of a planted renewal.
    fn renewed(alter: impl FnOnce(&mut World, Thread, &mut CredentialRecord)) -> Why {
        let verdict = with(|world, thread| {
            let (mut change, mut token) = world.renewal(thread);
            alter(world, thread, &mut token);
            change.entry.at = world.now;
            change.writes = vec![Write::Credential(token)];
            change.expects.clear();
            world.plant(&change);
        });
        let illegal = verdict.unwrap_err();
        assert!(illegal.index >= 20, "{illegal}");
        illegal.why
    }

    fn refusal(why: Why) -> Refusal {
        let Why::Refused { refusal, .. } = why else {
            panic!("not refused by the fold: {why}");
        };
        refusal
    }

    #[test]
    fn a_credential_that_is_longer_or_wider_than_allowed_is_named() {
        let longer = renewed(|_, _, token| token.expires_at = token.expires_at.plus(DEADLINE));
        assert_eq!(
            refusal(longer),
            Refusal::Illegal("no credential outlives its task")
        );
        let wider = renewed(|_, _, token| {
            token.kind = CredentialKind::AccessToken(TokenGrant {
                name: "deploy".parse().unwrap(),
                audiences: set(&["https://api"]),
                scopes: set(&["read", "write"]),
            });
        });
        assert_eq!(
            refusal(wider),
            Refusal::Illegal("no credential is wider than its lineage's and task's grant")
        );
        let than_parent = renewed(|_, thread, token| {
            token.parent = Some(thread.token);
            token.expires_at = token.expires_at.plus(TOKEN);
        });
        assert_eq!(
            refusal(than_parent),
            Refusal::Illegal("no credential outlives its parent")
        );
        let twice = renewed(|_, thread, token| token.id = thread.token);
        assert_eq!(
            refusal(twice),
            Refusal::Illegal("a credential is recorded once")
        );
    }

    #[test]
    fn a_credential_under_something_that_is_over_is_named() {
        let commit = |world: &mut World, change: Option<Change>| {
            assert!(world.commit(Duration::ZERO, change.unwrap()));
        };
        let task = renewed(|world, thread, _| {
            let change = world.close(thread);
            commit(world, change);
        });
        assert_eq!(refusal(task), Refusal::TaskOver);
        let lineage = renewed(|world, thread, _| {
            let change = world.end_lineage(thread);
            commit(world, change);
        });
        assert_eq!(refusal(lineage), Refusal::LineageEnded);
        let session = renewed(|world, thread, _| {
            let change = world.end_session(thread);
            commit(world, change);
        });
        assert_eq!(refusal(session), Refusal::SessionEnded);
        let parent = renewed(|world, thread, token| {
            token.parent = Some(thread.token);
            let change = Some(world.bar(thread));
            commit(world, change);
        });
        assert_eq!(refusal(parent), Refusal::CredentialDead);
        let expired = renewed(|world, _, token| {
            world.now = world.now.plus(DEADLINE);
            token.expires_at = world.now.plus(TOKEN);
        });
        assert_eq!(refusal(expired), Refusal::TaskOver);
    }

    #[test]
    fn a_date_in_the_past_does_not_revive_a_task() {
        let illegal = with(|world, thread| {
            let (change, _) = world.renewal(thread);
            world.now = world.now.plus(DEADLINE + LAG);
            world.open(Duration::ZERO, "github/later");
            world.plant(&change);
        });
        let Err(Illegal { index: 21, why }) = illegal else {
            panic!("{illegal:?}");
        };
        assert_eq!(refusal(why), Refusal::TaskOver);
    }

    #[test]
    fn single_use_and_uses_are_counted_again() {
        let spent = with(|world, thread| {
            for _ in 0..3 {
                let change = world.read_secret(thread);
                assert!(world.commit(Duration::ZERO, change));
            }
            let change = world.read_secret(thread);
            world.plant(&change);
        });
        let illegal = spent.unwrap_err();
        assert_eq!(illegal.index, 23);
        assert_eq!(
            refusal(illegal.why),
            Refusal::UsesExhausted("deploy".parse().unwrap())
        );

        let once = Once {
            kind: OnceKind::Proof,
            until: Timestamp::from_micros(i64::MAX),
            digest: Digest::from_bytes([9; 32]),
            session: None,
        };
        let twice = with(|world, thread| {
            for _ in 0..2 {
                let (mut change, _) = world.renewal(thread);
                change.writes.push(Write::Once(once.clone()));
                world.plant(&change);
            }
        });
        let illegal = twice.unwrap_err();
        assert_eq!(illegal.index, 21);
        assert!(matches!(refusal(illegal.why), Refusal::OnceTaken { .. }));
    }

    #[test]
    fn a_permit_is_not_consumed_twice_nor_late_nor_out_of_an_empty_pool() {
        let planted = |how: fn(&mut World, Thread, Reservation)| {
            let verdict = with(|world, thread| {
                let (change, one) = world.reserve(thread);
                assert!(world.commit(Duration::ZERO, change));
                how(world, thread, one);
            });
            refusal(verdict.unwrap_err().why)
        };
        let twice = planted(|world, _, one| {
            for _ in 0..2 {
                let change = world.consume(&one);
                world.plant(&change);
            }
        });
        assert_eq!(twice, Refusal::Moved);
        let late = planted(|world, _, one| {
            world.now = one.expires_at;
            let change = world.consume(&one);
            world.plant(&change);
        });
        assert_eq!(late, Refusal::TooLate);
        let overdrawn = planted(|world, thread, _| {
            for _ in 0..3 {
                let (change, _) = world.reserve(thread);
                world.plant(&change);
            }
        });
        assert_eq!(overdrawn, Refusal::UsesExhausted("deploy".parse().unwrap()));
        let unpaid = planted(|world, thread, _| {
            let (mut change, _) = world.reserve(thread);
            change.writes.remove(0);
            world.plant(&change);
        });
        let text = "a permit takes one of its task's uses";
        assert_eq!(unpaid, Refusal::Illegal(text));
    }

    #[test]
    fn a_permit_does_not_hide_under_another_event() {
        let hidden = with(|world, thread| {
            let (mut change, _) = world.reserve(thread);
            change.entry.event = denied();
            world.plant(&change);
        });
        let why = Why::PermitHidden("denied");
        assert_eq!(hidden, Err(Illegal { index: 20, why }));
        // Nor is one said to be reserved that is consumed, or another than the one that is.
        let misnamed = with(|world, thread| {
            let (change, one) = world.reserve(thread);
            assert!(world.commit(Duration::ZERO, change));
            let mut change = world.consume(&one);
            change.entry.event = said(&one, false);
            world.plant(&change);
        });
        let why = Why::PermitHidden("permit_reserved");
        assert_eq!(misnamed, Err(Illegal { index: 21, why }));
    }

    #[test]
    fn a_credential_does_not_hide_under_another_event() {
        let hidden = with(|world, thread| {
            let (mut change, _) = world.renewal(thread);
            change.entry.event = denied();
            world.plant(&change);
        });
        let why = Why::Hidden("denied");
        assert_eq!(hidden, Err(Illegal { index: 20, why }));
    }

    #[test]
    fn a_leaf_that_replay_would_misread_is_named() {
        let planted = |alter: fn(String) -> String| {
            let illegal = with(|world, thread| {
                let (change, _) = world.renewal(thread);
                let text = String::from_utf8(change.leaf().unwrap()).unwrap();
                world.log.push(alter(text).into_bytes());
            });
            let illegal = illegal.unwrap_err();
            assert_eq!(illegal.index, 20);
            illegal.why
        };
        let later = planted(|leaf| leaf.replacen(r#""format":1"#, r#""format":2"#, 1));
        assert_eq!(later, Why::Format(2));
        let spaced = planted(|leaf| leaf.replacen('{', "{ ", 1));
        assert_eq!(spaced, Why::Spelling);
        let more = planted(|leaf| leaf.replacen('{', r#"{"write":"credential","#, 1));
        assert_eq!(more, Why::Spelling);
        let broken = planted(|leaf| leaf.replacen('}', "", 1));
        assert!(matches!(broken, Why::Unreadable(_)), "{broken}");
        let unknown = planted(|leaf| leaf.replacen("credential", "blessing", 1));
        assert!(matches!(unknown, Why::Unreadable(_)), "{unknown}");
    }

    #[test]
    fn what_is_remembered_is_bounded_by_what_is_live() {
        let (mut world, mut replay) = (World::new(), Replay::default());
        for i in 0..2_000_u64 {
            world.now = world.now.plus(Duration::from_mins(1));
            world.open(Duration::ZERO, &format!("github/{i}"));
            world.rows.forget(world.now);
            replay.step(i, &world.log.pop().unwrap()).unwrap();
        }
        let rows = replay.realms.get_mut(&Realm::DEFAULT).unwrap();
        let kept = rows.forget(Timestamp::EPOCH);
        assert!(kept < 2_000, "{kept} rows are kept");
    }

    /// A task's name is used again after its deadline; then the ends of the old rows are logged.
    fn ended_late(world: &mut World, thread: Thread) {
        world.now = world.now.plus(DEADLINE);
        let ends = [
            world.close(thread),
            world.end_lineage(thread),
            world.end_session(thread),
        ];
        world.rows.forget(world.now);
        world.open(Duration::ZERO, "github/7");
        for change in ends.into_iter().flatten() {
            world.plant(&change);
        }
    }

    #[test]
    fn what_expired_may_be_ended_after_it_was_dropped() {
        let verdict = with(ended_late);
        assert_eq!(verdict.map(|replayed| replayed.entries), Ok(25));
    }

    #[test]
    fn ending_what_expired_does_not_free_a_name_that_is_in_use() {
        let verdict = with(|world, thread| {
            ended_late(world, thread);
            let task = world.task("github/7");
            let change = world.change(gave(Event::Issued), Vec::new(), vec![Write::Task(task)]);
            world.plant(&change);
        });
        let illegal = verdict.unwrap_err();
        assert_eq!(illegal.index, 24);
        assert_eq!(refusal(illegal.why), Refusal::Moved);
    }
}
