//! The loop over a backend that keeps its rows in memory and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::*;
use crate::domain::grant::Grants;
use crate::domain::ids::{ChangeId, TaskId};
use crate::domain::position::WriterId;
use crate::domain::task::{End, Epoch, Task, TaskState};
use crate::error::Code;
use crate::ledger::change::{Lane, Write};
use crate::ledger::entry::{Entry, Event, Life, Subject};
use crate::seams::{Clock as _, ManualClock, SystemEntropy};
use crate::store::view::View;
use crate::store::{CommitError, Receipt};

/// Rows in memory, and what is to go wrong.
#[derive(Default)]
struct Memory {
    rows: Mutex<Rows>,
    entries: Mutex<BTreeMap<u64, ChangeId>>,
    /// How many changes each commit had.
    commits: Mutex<Vec<usize>>,
    /// A change that cannot be written.
    poison: Mutex<Option<ChangeId>>,
    next_commit: Mutex<Option<Fate>>,
    unreachable: AtomicBool,
    /// Holds the writer before its next batch.
    gate: tokio::sync::Mutex<()>,
}

/// What happens to a commit that is not confirmed.
#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Fatal,
}

#[derive(Clone)]
struct Backing(Arc<Memory>);

struct Attempted {
    memory: Arc<Memory>,
    rows: Rows,
    written: Vec<(u64, ChangeId)>,
}

impl Backend for Backing {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Batch>, Down>> {
        Box::pin(async move {
            drop(self.0.gate.lock().await);
            let batch = Attempted {
                memory: Arc::clone(&self.0),
                rows: self.0.rows.lock().unwrap().clone(),
                written: vec![],
            };
            Ok(Box::new(batch) as Box<dyn Batch>)
        })
    }

    fn recorded(&self, at: Position) -> BoxFuture<'_, Result<bool, Down>> {
        Box::pin(async move {
            if self.0.unreachable.load(Ordering::SeqCst) {
                return Err(Down("unreachable".to_owned()));
            }
            Ok(self.0.entries.lock().unwrap().contains_key(&at.n))
        })
    }
}

impl Batch for Attempted {
    fn lock(&mut self, _keys: Keys) -> BoxFuture<'_, Result<Ledgers, Down>> {
        Box::pin(async move {
            let mut ledgers = Ledgers::default();
            *ledgers.of(Realm::DEFAULT) = self.rows.clone();
            Ok(ledgers)
        })
    }

    fn claim<'a>(
        &'a mut self,
        _once: &'a [(Realm, Once)],
    ) -> BoxFuture<'a, Result<Vec<(Realm, Once)>, Down>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn write<'a>(
        &'a mut self,
        admitted: &'a [Placed<'a>],
        after: &'a Ledgers,
    ) -> BoxFuture<'a, Result<(), Down>> {
        Box::pin(async move {
            let poison = *self.memory.poison.lock().unwrap();
            if admitted.iter().any(|p| Some(p.change.id) == poison) {
                return Err(Down("it cannot be written".to_owned()));
            }
            self.rows = after.get(Realm::DEFAULT).unwrap().clone();
            self.written = admitted.iter().map(|p| (p.at.n, p.change.id)).collect();
            Ok(())
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), CommitFault>> {
        Box::pin(async move {
            let memory = &self.memory;
            memory.commits.lock().unwrap().push(self.written.len());
            let fate = memory.next_commit.lock().unwrap().take();
            let down = || Down("the line went dead".to_owned());
            match fate {
                Some(Fate::Lost) => return Err(CommitFault::InDoubt(down())),
                Some(Fate::Fatal) => return Err(CommitFault::Fatal(down())),
                Some(Fate::Kept) | None => {}
            }
            *memory.rows.lock().unwrap() = self.rows.clone();
            memory.entries.lock().unwrap().extend(self.written.clone());
            if fate.is_some() {
                return Err(CommitFault::InDoubt(down()));
            }
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

struct Rig {
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    view: Arc<View>,
    lanes: Arc<Lanes>,
    signals: Signals,
}

impl Rig {
    fn new(settings: &Settings) -> Self {
        let memory = Arc::new(Memory::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let view = Arc::new(View::new(100));
        let seat = Seat {
            backend: Arc::new(Backing(Arc::clone(&memory))),
            view: Arc::clone(&view),
            clock: Arc::<ManualClock>::clone(&clock),
            policy_set: Arc::new(ArcSwap::from_pointee(Digest::of(&[]))),
            id: WriterId(1),
        };
        let (lanes, writer, signals) = Writer::new(seat, settings);
        drop(tokio::spawn(writer.run()));
        Self {
            memory,
            clock,
            view,
            lanes: Arc::new(lanes),
            signals,
        }
    }

    /// Puts the changes in their lanes, in order, and gives their answers.
    async fn all(&self, changes: Vec<Change>) -> Vec<Result<Receipt, CommitError>> {
        let commits = changes.into_iter().map(|change| self.lanes.commit(change));
        futures_util::future::join_all(commits).await
    }

    async fn one(&self, change: Change) -> Result<Receipt, CommitError> {
        self.lanes.commit(change).await
    }

    fn life(&self, task: &Task) -> Option<Life> {
        self.view.task(task.id).map(|seen| seen.life)
    }
}

fn task(n: usize) -> Task {
    Task {
        id: TaskId::new(NOW, &SystemEntropy),
        name: format!("ci/{n}").parse().unwrap(),
        profile: "p".parse().unwrap(),
        state: TaskState::Open,
        epoch: Epoch::FIRST,
        opened_at: NOW,
        deadline: NOW.plus(Duration::from_hours(1)),
        grants: Grants::default(),
        agent: None,
        opened_by: None,
    }
}

fn change(lane: Lane, writes: Vec<Write>) -> Change {
    Change {
        id: ChangeId::new(NOW, &SystemEntropy),
        realm: Realm::DEFAULT,
        lane,
        expects: vec![],
        writes,
        entry: Entry {
            at: NOW,
            subject: Subject::default(),
            event: Event::SessionRevoked {
                by: "ada".to_owned(),
            },
        },
    }
}

fn open(task: &Task) -> Change {
    change(Lane::Issue, vec![Write::Task(task.clone())])
}

fn revoke(task: &Task) -> Change {
    let over = task.clone().end(End::new(Code::TaskRevoked, NOW)).unwrap();
    change(Lane::Revoke, vec![Write::Task(over)])
}

fn openings(count: usize) -> Vec<Change> {
    (0..count).map(|n| open(&task(n))).collect()
}

#[tokio::test]
async fn what_waits_shares_a_commit() {
    let rig = Rig::new(&Settings::default());
    let held = rig.memory.gate.lock().await;
    let mut changes = openings(64);
    changes.push(open(&task(0)));
    let (outcomes, ()) = tokio::join!(rig.all(changes), async {
        tokio::task::yield_now().await;
        drop(held);
    });
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        64
    );
    let commits = rig.memory.commits.lock().unwrap().clone();
    assert_eq!(commits.iter().sum::<usize>(), 64);
    assert!(commits.len() <= 2, "{commits:?}");
}

#[tokio::test]
async fn a_revocation_overtakes_what_waits_and_has_a_place_when_issues_have_none() {
    let settings = Settings {
        issue_lane: 4,
        batch: 2,
        ..Settings::default()
    };
    let rig = Rig::new(&settings);
    let doomed = task(100);
    rig.one(open(&doomed)).await.unwrap();
    let held = rig.memory.gate.lock().await;
    let mut changes = openings(12);
    changes.push(revoke(&doomed));
    let (outcomes, ()) = tokio::join!(rig.all(changes), async {
        tokio::task::yield_now().await;
        drop(held);
    });
    let full = |o: &&Result<Receipt, CommitError>| matches!(o, Err(CommitError::Overloaded { .. }));
    assert!(outcomes.iter().filter(full).count() >= 6, "{outcomes:?}");
    let revoked = outcomes.last().unwrap().as_ref().unwrap().position().n;
    // Before it: the opening, and at most the batch that was already taken.
    assert!(revoked <= 4, "{revoked}");
    assert_eq!(rig.life(&doomed), Some(Life::Over));
}

#[tokio::test]
async fn records_that_follow_wait_for_a_place_and_take_none_from_an_issue() {
    let rig = Rig::new(&Settings {
        note_lane: 2,
        batch: 4,
        ..Settings::default()
    });
    let held = rig.memory.gate.lock().await;
    let mut sent = 0;
    let next = loop {
        let mut place = Box::pin(rig.lanes.place());
        match futures_util::poll!(&mut place) {
            Poll::Ready(place) => place.unwrap().put(change(Lane::Note, vec![])),
            Poll::Pending => break place,
        }
        sent += 1;
        tokio::task::yield_now().await;
    };
    // One batch is at the gate, and the lane is full.
    assert!(sent < 10, "{sent}");
    let (issued, ()) = tokio::join!(rig.all(openings(9)), async {
        tokio::task::yield_now().await;
        drop(held);
    });
    assert!(issued.iter().all(Result::is_ok), "{issued:?}");
    next.await.unwrap().put(change(Lane::Note, vec![]));
    rig.one(open(&task(100))).await.unwrap();
    let commits = rig.memory.commits.lock().unwrap().clone();
    // The last record may stand behind the issue that was asked for after it.
    assert!(commits.iter().sum::<usize>() >= sent + 10, "{commits:?}");
}

#[tokio::test]
async fn a_change_that_cannot_be_written_fails_alone() {
    let rig = Rig::new(&Settings::default());
    let held = rig.memory.gate.lock().await;
    let changes = openings(33);
    *rig.memory.poison.lock().unwrap() = Some(changes[20].id);
    let (outcomes, ()) = tokio::join!(rig.all(changes), async {
        tokio::task::yield_now().await;
        drop(held);
    });
    let mut numbers = BTreeSet::new();
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(receipt) => assert!(numbers.insert(receipt.position().n)),
            Err(error) => assert!(n == 20 && matches!(error, CommitError::Down(_)), "{error}"),
        }
    }
    assert_eq!(numbers, (1..=32).collect());
}

#[tokio::test]
async fn a_commit_in_doubt_that_was_kept_is_answered_as_admitted() {
    let rig = Rig::new(&Settings::default());
    let (first, second) = (task(1), task(2));
    *rig.memory.next_commit.lock().unwrap() = Some(Fate::Kept);
    assert_eq!(rig.one(open(&first)).await.unwrap().position().n, 1);
    assert_eq!(rig.life(&first), Some(Life::Live));
    assert_eq!(rig.one(open(&second)).await.unwrap().position().n, 2);
}

#[tokio::test]
async fn a_commit_in_doubt_that_was_lost_takes_no_number() {
    let rig = Rig::new(&Settings::default());
    let (first, second) = (task(1), task(2));
    *rig.memory.next_commit.lock().unwrap() = Some(Fate::Lost);
    let lost = rig.one(open(&first)).await;
    assert!(matches!(lost, Err(CommitError::Down(_))), "{lost:?}");
    assert_eq!(rig.life(&first), None);
    assert_eq!(rig.one(open(&second)).await.unwrap().position().n, 1);
}

#[tokio::test]
async fn while_nobody_knows_revocations_hold_and_permits_do_not() {
    let rig = Rig::new(&Settings::default());
    let (doomed, hoped) = (task(1), task(2));
    rig.one(open(&doomed)).await.unwrap();
    *rig.memory.next_commit.lock().unwrap() = Some(Fate::Kept);
    rig.memory.unreachable.store(true, Ordering::SeqCst);
    let held = rig.memory.gate.lock().await;
    let changes = vec![revoke(&doomed), open(&hoped)];
    let (outcomes, ()) = tokio::join!(rig.all(changes), async {
        tokio::task::yield_now().await;
        drop(held);
        while rig.life(&doomed) != Some(Life::Over) {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.life(&hoped), None);
        // The callers' patience ends before the doubt does.
        for _ in 0..60 {
            rig.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    });
    for outcome in outcomes {
        assert!(matches!(outcome, Err(CommitError::InDoubt)), "{outcome:?}");
    }
    assert_eq!(rig.life(&hoped), None);
    rig.memory.unreachable.store(false, Ordering::SeqCst);
    let ((), next) = tokio::join!(
        async {
            while rig.life(&hoped).is_none() {
                rig.clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        },
        rig.one(open(&task(3)))
    );
    assert_eq!(next.unwrap().position().n, 4);
    assert!(rig.clock.now() > NOW);
}

#[tokio::test]
async fn a_disk_that_cannot_be_known_ends_the_writer_and_keeps_the_revocation() {
    let rig = Rig::new(&Settings::default());
    let doomed = task(1);
    rig.one(open(&doomed)).await.unwrap();
    *rig.memory.next_commit.lock().unwrap() = Some(Fate::Fatal);
    let outcome = rig.one(revoke(&doomed)).await;
    assert!(matches!(outcome, Err(CommitError::InDoubt)), "{outcome:?}");
    assert!(rig.signals.fatal.is_cancelled());
    assert_eq!(rig.life(&doomed), Some(Life::Over));
    let after = rig.one(open(&task(2))).await;
    assert!(matches!(after, Err(CommitError::Down(_))), "{after:?}");
    rig.signals.done.cancelled().await;
    assert_eq!(rig.memory.entries.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_writer_that_is_closed_answers_what_it_took() {
    let rig = Rig::new(&Settings::default());
    let held = rig.memory.gate.lock().await;
    let (outcomes, ()) = tokio::join!(rig.all(openings(10)), async {
        tokio::task::yield_now().await;
        rig.signals.closing.cancel();
        drop(held);
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    rig.signals.done.cancelled().await;
    assert!(!rig.signals.fatal.is_cancelled());
    let after = rig.one(open(&task(11))).await;
    assert!(matches!(after, Err(CommitError::Down(_))), "{after:?}");
}

const NOW: Timestamp = Timestamp::from_micros(1_900_000_000_000_000);
