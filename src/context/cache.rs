//! The newest fact of each record, the hint that expired it, and the gate that lets one caller read
//! while the others wait for its answer.

use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use papaya::HashMap;
use tokio::sync::Mutex;

use crate::context::fact::Fact;
use crate::context::{ContextSource, Reading, Unreadable};
use crate::domain::context::{Locator, Record, RecordKey};
use crate::domain::name::SourceName;
use crate::domain::profile::Via;
use crate::domain::time::Timestamp;
use crate::seams::Clock;
use crate::telemetry::span::Mark;
use crate::telemetry::trace;

/// The newest facts, bounded.
///
/// Hints are remembered as long as evidence from before them could pass for news. Where more come
/// than there is room for, the oldest are remembered as one: nothing that a source proved before it
/// is taken. Whoever can invent hints can make evidence go stale, and cannot make memory grow.
pub struct FactCache {
    slots: HashMap<RecordKey, Arc<Slot>>,
    /// Per source, the latest hint that was forgotten.
    floors: HashMap<SourceName, Timestamp>,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

/// One record.
struct Slot {
    known: SyncMutex<Known>,
    gate: Mutex<()>,
}

/// The newest fact of a record, and the hints that came about it.
struct Known {
    fact: Option<Fact>,
    /// No hint has come since the fact was observed.
    current: bool,
    /// How many hints have come: a read that began before the last one is no news.
    hints: u64,
    /// When the last hint came.
    expired_at: Timestamp,
}

impl FactCache {
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            slots: HashMap::new(),
            floors: HashMap::new(),
            capacity,
            clock,
        }
    }

    /// The newest fact, if it is no older than `max_age` and no hint has come since.
    pub fn fresh(&self, key: &RecordKey, max_age: Duration, now: Timestamp) -> Option<Fact> {
        let slot = Arc::clone(self.slots.pin().get(key)?);
        let known = slot.known();
        known.fresh(max_age, now)
    }

    /// Takes what evidence proves, as of its issue, unless a newer fact or a later hint stands
    /// against it.
    pub fn take_proof(&self, fact: Fact) {
        let floor = self.floors.pin().get(&fact.key.source).copied();
        if floor.is_some_and(|floor| fact.observed_at < floor) {
            return;
        }
        let slot = self.slot(&fact.key);
        let mut known = slot.known();
        if fact.observed_at >= known.expired_at {
            known.offer(fact);
        }
    }

    /// Expires whatever is known of a record: a hint came at `now`.
    pub fn expire(&self, key: &RecordKey, now: Timestamp) {
        let slot = self.slot(key);
        let mut known = slot.known();
        known.current = false;
        known.hints += 1;
        known.expired_at = known.expired_at.max(now);
        drop(known);
        if self.slots.len() > self.capacity.saturating_mul(2) {
            self.forget(now);
        }
    }

    /// Reads a record at its source, unless another caller brings a fresh fact meanwhile. A thousand
    /// callers cost one read.
    pub async fn read(
        &self,
        source: &dyn ContextSource,
        key: &RecordKey,
        locate: &Locator,
        max_age: Duration,
    ) -> Result<Fact, Unreadable> {
        self.read_unless(source, key, locate, max_age, |_| true)
            .await
    }

    /// The same for who counts only what came by its source: fresh evidence proves a part of the record, and
    /// is no reason not to read the rest.
    pub async fn pull(
        &self,
        source: &dyn ContextSource,
        key: &RecordKey,
        locate: &Locator,
        max_age: Duration,
    ) -> Result<Fact, Unreadable> {
        let pulled = |fact: &Fact| fact.via == Via::Pull;
        self.read_unless(source, key, locate, max_age, pulled).await
    }

    async fn read_unless(
        &self,
        source: &dyn ContextSource,
        key: &RecordKey,
        locate: &Locator,
        max_age: Duration,
        counts: fn(&Fact) -> bool,
    ) -> Result<Fact, Unreadable> {
        let slot = self.slot(key);
        let _turn = slot.gate.lock().await;
        for _ in 0..READS {
            let now = self.clock.now();
            if let Some(fact) = slot.known().fresh(max_age, now).filter(counts) {
                trace::mark(|| Mark::Cached(true));
                return Ok(fact);
            }
            trace::mark(|| Mark::Cached(false));
            let hints = slot.known().hints;
            let Reading { record, version } = source.read(key, locate, now).await?;
            let fact = Fact {
                key: key.clone(),
                record,
                via: Via::Pull,
                observed_at: now,
                version,
            };
            let mut known = slot.known();
            let terminal = fact.record.as_ref().is_some_and(Record::is_terminal);
            let hinted = known.hints != hints || !self.holds(key, &slot);
            if hinted && !terminal {
                continue;
            }
            known.offer(fact.clone());
            // Not simply what was read: a terminal state or a newer version stands against it. Evidence that
            // came meanwhile and does not count stands against nothing.
            let stands = known.fresh(max_age, now);
            let over = |known: &Fact| known.record.as_ref().is_some_and(Record::is_terminal);
            return match stands {
                Some(known) if counts(&known) || over(&known) => Ok(known),
                Some(_) => Ok(fact),
                None => Err(Unreadable(
                    "the source's answer is older than what is known of the record".to_owned(),
                )),
            };
        }
        Err(Unreadable(
            "hints came faster than the record could be read".to_owned(),
        ))
    }

    /// Forgets what was heard of longest ago where there is more than the capacity. What is forgotten
    /// of a hint that still counts is remembered as its source's floor.
    pub fn forget(&self, now: Timestamp) {
        let slots = self.slots.pin();
        let excess = slots.len().saturating_sub(self.capacity);
        if excess == 0 {
            return;
        }
        let mut ages: Vec<(Timestamp, RecordKey)> = slots
            .iter()
            .map(|(key, slot)| (slot.known().last_heard(), key.clone()))
            .collect();
        if let Some(last) = excess.min(ages.len()).checked_sub(1) {
            ages.select_nth_unstable(last);
        }
        for (_, key) in ages.into_iter().take(excess) {
            let Some(slot) = slots.get(&key) else {
                continue;
            };
            // The floor is raised first: at no moment is the hint known to neither.
            let expired_at = slot.known().expired_at;
            if now.since(expired_at) <= HINT_MEMORY {
                self.floors.pin().update_or_insert(
                    key.source.clone(),
                    |floor| (*floor).max(expired_at),
                    expired_at,
                );
            }
            slots.remove(&key);
        }
    }

    /// Whether hints about the record still come to this slot: it may have been forgotten meanwhile.
    fn holds(&self, key: &RecordKey, slot: &Arc<Slot>) -> bool {
        self.slots
            .pin()
            .get(key)
            .is_some_and(|held| Arc::ptr_eq(held, slot))
    }

    fn slot(&self, key: &RecordKey) -> Arc<Slot> {
        let slots = self.slots.pin();
        Arc::clone(slots.get_or_insert_with(key.clone(), || Arc::new(Slot::empty())))
    }
}

impl Slot {
    const fn empty() -> Self {
        let known = Known {
            fact: None,
            current: false,
            hints: 0,
            expired_at: Timestamp::from_micros(i64::MIN),
        };
        Self {
            known: SyncMutex::new(known),
            gate: Mutex::const_new(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn fresh(&self, max_age: Duration, now: Timestamp) -> Option<Fact> {
        let fact = self.fact.as_ref()?;
        let terminal = fact.record.as_ref().is_some_and(Record::is_terminal);
        let within = self.current && now.since(fact.observed_at) <= max_age;
        // What is over stays over, however long ago it was read.
        (terminal || within).then(|| fact.clone())
    }

    fn last_heard(&self) -> Timestamp {
        let fact = self.fact.as_ref().map(|fact| fact.observed_at);
        fact.map_or(self.expired_at, |at| at.max(self.expired_at))
    }

    /// Keeps the fact if it is news: state moves forward by the source's version, and from a
    /// terminal state nowhere.
    fn offer(&mut self, new: Fact) {
        if self.fact.as_ref().is_none_or(|old| supersedes(&new, old)) {
            self.fact = Some(new);
            self.current = true;
        }
    }
}

fn supersedes(new: &Fact, old: &Fact) -> bool {
    if old.record.as_ref().is_some_and(Record::is_terminal) {
        return false;
    }
    // What is over is news whenever it is read, whatever the clocks and versions say.
    if new.record.as_ref().is_some_and(Record::is_terminal) {
        return true;
    }
    if new.observed_at < old.observed_at {
        return false;
    }
    match (&new.version, &old.version) {
        (Some(new), Some(old)) => new >= old,
        _ => true,
    }
}

/// A hint that comes during a read asks for another one. A run's first webhooks often do.
const READS: usize = 3;

/// Longer than any fact is fresh: see the greatest `max_age` of a binding.
const HINT_MEMORY: Duration = Duration::from_mins(30);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::domain::context::{Job, RecordKind, RunStatus};
    use crate::seams::ManualClock;

    struct Scripted {
        answers: SyncMutex<Vec<Result<Reading, Unreadable>>>,
        asked: AtomicUsize,
    }

    impl ContextSource for Scripted {
        fn read<'a>(
            &'a self,
            _: &'a RecordKey,
            _: &'a Locator,
            _: Timestamp,
        ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = self.answers.lock().unwrap().remove(0);
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer
            })
        }
    }

    fn key() -> RecordKey {
        RecordKey {
            source: "github".parse().unwrap(),
            kind: RecordKind::Job,
            id: "1/2/1/3".to_owned(),
        }
    }

    fn job(status: RunStatus, version: &str) -> Reading {
        Reading {
            record: Some(Record::Job(Job {
                status,
                conclusion: None,
            })),
            version: Some(version.to_owned()),
        }
    }

    fn source(answers: Vec<Result<Reading, Unreadable>>) -> Scripted {
        Scripted {
            answers: SyncMutex::new(answers),
            asked: AtomicUsize::new(0),
        }
    }

    fn cache() -> (FactCache, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000_000)));
        (
            FactCache::new(10, Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
        )
    }

    const AGE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_thousand_waiting_callers_cost_one_read() {
        let (cache, _clock) = cache();
        let source = source(vec![Ok(job(RunStatus::InProgress, "1"))]);
        let (key, locate) = (key(), Locator::default());
        let reads = (0..1_000).map(|_| cache.read(&source, &key, &locate, AGE));
        let facts = futures_util::future::join_all(reads).await;
        assert!(facts.iter().all(Result::is_ok));
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_hint_expires_the_fact_at_once_and_a_read_brings_it_back() {
        let (cache, clock) = cache();
        let source = source(vec![
            Ok(job(RunStatus::InProgress, "1")),
            Ok(job(RunStatus::InProgress, "1")),
        ]);
        cache
            .read(&source, &key(), &Locator::default(), AGE)
            .await
            .unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(cache.fresh(&key(), AGE, clock.now()).is_some());
        cache.expire(&key(), clock.now());
        assert!(cache.fresh(&key(), AGE, clock.now()).is_none());
        cache
            .read(&source, &key(), &Locator::default(), AGE)
            .await
            .unwrap();
        assert!(cache.fresh(&key(), AGE, clock.now()).is_some());
    }

    #[tokio::test]
    async fn evidence_from_before_a_hint_is_no_news() {
        let (cache, clock) = cache();
        cache.expire(&key(), clock.now());
        let record = job(RunStatus::InProgress, "1").record;
        let observed_at = clock.now().minus(Duration::from_secs(1));
        cache.take_proof(Fact {
            key: key(),
            record,
            via: Via::IssuerProof,
            observed_at,
            version: None,
        });
        assert!(cache.fresh(&key(), AGE, clock.now()).is_none());
    }

    #[tokio::test]
    async fn invented_hints_cannot_grow_the_memory_nor_let_old_evidence_in() {
        let (cache, clock) = cache();
        cache.expire(&key(), clock.now());
        let before = clock.now().minus(Duration::from_secs(1));
        for run in 0..1_000 {
            clock.advance(Duration::from_micros(1));
            let id = format!("1/2/1/{}", run + 10);
            cache.expire(&RecordKey { id, ..key() }, clock.now());
            assert!(cache.slots.len() <= 21);
        }
        let proof = |observed_at| Fact {
            key: key(),
            record: job(RunStatus::InProgress, "1").record,
            via: Via::IssuerProof,
            observed_at,
            version: None,
        };
        cache.take_proof(proof(before));
        assert!(cache.fresh(&key(), AGE, clock.now()).is_none());
        cache.take_proof(proof(clock.now()));
        assert!(cache.fresh(&key(), AGE, clock.now()).is_some());
    }

    #[tokio::test]
    async fn what_evidence_proves_does_not_stand_before_what_has_to_be_pulled() {
        let (cache, clock) = cache();
        let source = source(vec![
            Ok(job(RunStatus::InProgress, "1")),
            Ok(job(RunStatus::Completed, "2")),
        ]);
        let prove = || {
            cache.take_proof(Fact {
                key: key(),
                record: job(RunStatus::InProgress, "1").record,
                via: Via::IssuerProof,
                observed_at: clock.now(),
                version: None,
            });
        };
        prove();
        let locate = Locator::default();
        let proven = cache.read(&source, &key(), &locate, AGE).await.unwrap();
        assert_eq!(proven.via, Via::IssuerProof);
        let pulled = cache.pull(&source, &key(), &locate, AGE).await.unwrap();
        assert_eq!(pulled.via, Via::Pull);
        // The next evidence changes nothing of that, and what is over is over.
        clock.advance(Duration::from_secs(1));
        prove();
        let over = cache.pull(&source, &key(), &locate, AGE).await.unwrap();
        assert!(over.record.unwrap().is_terminal());
    }

    #[tokio::test]
    async fn a_completed_job_never_comes_back() {
        let (cache, clock) = cache();
        let source = source(vec![Ok(job(RunStatus::Completed, "2"))]);
        cache
            .read(&source, &key(), &Locator::default(), AGE)
            .await
            .unwrap();
        clock.advance(Duration::from_hours(1));
        let record = job(RunStatus::InProgress, "3").record;
        cache.take_proof(Fact {
            key: key(),
            record,
            via: Via::IssuerProof,
            observed_at: clock.now(),
            version: None,
        });
        let fact = cache.fresh(&key(), AGE, clock.now()).unwrap();
        assert!(fact.record.unwrap().is_terminal());
    }

    #[tokio::test]
    async fn a_completed_job_is_news_even_against_evidence_from_a_clock_that_is_ahead() {
        let (cache, clock) = cache();
        let record = job(RunStatus::InProgress, "1").record;
        cache.take_proof(Fact {
            key: key(),
            record,
            via: Via::IssuerProof,
            observed_at: clock.now().plus(Duration::from_secs(4)),
            version: None,
        });
        cache.expire(&key(), clock.now());
        let source = source(vec![Ok(job(RunStatus::Completed, "2"))]);
        let read = cache.read(&source, &key(), &Locator::default(), AGE).await;
        assert!(read.unwrap().record.unwrap().is_terminal());
    }

    #[tokio::test]
    async fn an_answer_older_than_what_is_known_is_not_taken() {
        let (cache, clock) = cache();
        let source = source(vec![
            Ok(job(RunStatus::InProgress, "9")),
            Ok(job(RunStatus::Queued, "3")),
        ]);
        cache
            .read(&source, &key(), &Locator::default(), AGE)
            .await
            .unwrap();
        clock.advance(Duration::from_mins(1));
        let stale = cache.read(&source, &key(), &Locator::default(), AGE).await;
        assert!(stale.is_err(), "{stale:?}");
    }

    /// A source during whose first `hints` reads a webhook comes.
    struct Interrupted {
        cache: Arc<FactCache>,
        hints: usize,
        asked: AtomicUsize,
    }

    impl ContextSource for Interrupted {
        fn read<'a>(
            &'a self,
            record: &'a RecordKey,
            _: &'a Locator,
            now: Timestamp,
        ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
            if self.asked.fetch_add(1, Ordering::SeqCst) < self.hints {
                self.cache.expire(record, now);
            }
            Box::pin(async { Ok(job(RunStatus::InProgress, "1")) })
        }
    }

    #[tokio::test]
    async fn a_hint_during_a_read_asks_for_another_and_a_flood_of_them_is_unknown() {
        for (hints, reads, known) in [(1, 2, true), (READS, READS, false)] {
            let (cache, _clock) = cache();
            let cache = Arc::new(cache);
            let source = Interrupted {
                cache: Arc::clone(&cache),
                hints,
                asked: AtomicUsize::new(0),
            };
            let read = cache.read(&source, &key(), &Locator::default(), AGE).await;
            assert_eq!(read.is_ok(), known, "{read:?}");
            assert_eq!(source.asked.load(Ordering::SeqCst), reads);
        }
    }

    #[tokio::test]
    async fn an_unreadable_source_leaves_nothing_behind() {
        let (cache, clock) = cache();
        let source = source(vec![Err(Unreadable("down".to_owned()))]);
        cache
            .read(&source, &key(), &Locator::default(), AGE)
            .await
            .unwrap_err();
        assert!(cache.fresh(&key(), AGE, clock.now()).is_none());
    }
}
