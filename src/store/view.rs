//! What this replica knows in memory of tasks, lineages, sessions and bars: a cache that joins, not
//! a log that replays. Joining is commutative and idempotent, so the order of news does not matter.
//!
//! Absence means "read the row", never "live": entries are forgotten when the view is full, but a
//! tombstone is kept until nothing it covers can still be valid. Bars have no row to read back, so
//! all of them are here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use papaya::HashMap;

use crate::domain::freeze::FreezeScope;
use crate::domain::ids::{LineageId, SessionId, TaskId};
use crate::domain::task::Epoch;
use crate::domain::time::Timestamp;
use crate::ledger::bar::BarKey;
use crate::ledger::entry::{Aggregate, Life, Touch};

/// What is known of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub epoch: Epoch,
    pub life: Life,
    /// The row's deadline: a tombstone is remembered until then.
    pub until: Timestamp,
    /// A lineage's release from quarantine.
    pub released_at: Option<Timestamp>,
}

/// What this replica knows in memory.
#[derive(Debug)]
pub struct View {
    tasks: HashMap<TaskId, Seen>,
    lineages: HashMap<LineageId, Seen>,
    sessions: HashMap<SessionId, Seen>,
    bars: HashMap<BarKey, Timestamp>,
    freezes: HashMap<FreezeScope, Seen>,
    /// The start of the last completed read of all writers, on the clock that never steps.
    heard: AtomicU64,
    deaths: Mutex<Deaths>,
    capacity: usize,
}

/// What ended since it was last asked for.
#[derive(Debug, Default)]
pub struct Deaths {
    pub of: Vec<Aggregate>,
    /// More ended than could be kept.
    pub lost: bool,
}

impl View {
    /// A view that keeps about `capacity` live rows of each kind.
    pub fn new(capacity: usize) -> Self {
        Self {
            tasks: HashMap::new(),
            lineages: HashMap::new(),
            sessions: HashMap::new(),
            bars: HashMap::new(),
            freezes: HashMap::new(),
            heard: AtomicU64::new(0),
            deaths: Mutex::default(),
            capacity,
        }
    }

    pub fn task(&self, id: TaskId) -> Option<Seen> {
        self.tasks.pin().get(&id).copied()
    }

    pub fn lineage(&self, id: LineageId) -> Option<Seen> {
        self.lineages.pin().get(&id).copied()
    }

    pub fn session(&self, id: SessionId) -> Option<Seen> {
        self.sessions.pin().get(&id).copied()
    }

    /// Whether a bar holds at `now`.
    pub fn is_barred(&self, key: &BarKey, now: Timestamp) -> bool {
        self.bars.pin().get(key).is_some_and(|until| *until > now)
    }

    /// Whether anything is frozen, or was a while ago.
    pub fn has_freezes(&self) -> bool {
        !self.freezes.is_empty()
    }

    /// Until when a scope is frozen, if it is at `now`.
    pub fn frozen_until(&self, scope: &FreezeScope, now: Timestamp) -> Option<Timestamp> {
        let seen = self.freezes.pin().get(scope).copied()?;
        (seen.life == Life::Over && seen.until > now).then_some(seen.until)
    }

    /// Takes one piece of news; what is known of a later epoch stays.
    pub fn join(&self, touch: &Touch) {
        let seen = Seen {
            epoch: touch.epoch,
            life: touch.life,
            until: touch.until,
            released_at: touch.released_at,
        };
        if touch.life == Life::Over {
            self.note(&touch.aggregate);
        }
        match &touch.aggregate {
            Aggregate::Task(id) => join(&self.tasks, *id, seen),
            Aggregate::Lineage(id) => join(&self.lineages, *id, seen),
            Aggregate::Session(id) => join(&self.sessions, *id, seen),
            Aggregate::Freeze(scope) => join(&self.freezes, scope.clone(), seen),
            Aggregate::Bar(key) => {
                let until = touch.until;
                self.bars
                    .pin()
                    .update_or_insert(key.clone(), |known| (*known).max(until), until);
            }
        }
    }

    /// What ended since this was last called, in the order in which it was heard of. For one reader: who
    /// publishes what is revoked.
    pub fn deaths(&self) -> Deaths {
        let mut deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *deaths)
    }

    fn note(&self, ended: &Aggregate) {
        let mut deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        if deaths.of.len() < MOST_DEATHS {
            deaths.of.push(ended.clone());
        } else {
            deaths.lost = true;
        }
    }

    /// Whether there is so much more than the capacity that it should not wait for the next sweep.
    pub fn is_overfull(&self) -> bool {
        let limit = self.capacity.saturating_mul(2);
        self.tasks.len() > limit || self.lineages.len() > limit || self.sessions.len() > limit
    }

    /// Forgets what is no longer needed at `now`: expired tombstones and bars, and live rows where
    /// there are more than the capacity.
    pub fn forget(&self, now: Timestamp) {
        forget(&self.tasks, self.capacity, now);
        forget(&self.lineages, self.capacity, now);
        forget(&self.sessions, self.capacity, now);
        self.bars.pin().retain(|_, until| *until > now);
        self.freezes.pin().retain(|_, seen| seen.until > now);
    }

    /// Notes that a read of every writer's news, begun at `started`, has completed.
    pub fn heard(&self, started: Duration) {
        let micros = u64::try_from(started.as_micros()).unwrap_or(u64::MAX);
        self.heard.fetch_max(micros, Ordering::SeqCst);
    }

    /// Whether the last completed read began within `bound` of `elapsed`.
    pub fn is_fresh(&self, elapsed: Duration, bound: Duration) -> bool {
        let heard = Duration::from_micros(self.heard.load(Ordering::SeqCst));
        elapsed.saturating_sub(heard) <= bound
    }
}

/// Deaths that are kept until they are asked for.
const MOST_DEATHS: usize = 20_000;

fn join<K: Eq + std::hash::Hash>(map: &HashMap<K, Seen>, key: K, seen: Seen) {
    map.pin().update_or_insert(
        key,
        |known| {
            if known.epoch >= seen.epoch {
                *known
            } else {
                seen
            }
        },
        seen,
    );
}

fn forget<K: Copy + Eq + std::hash::Hash>(map: &HashMap<K, Seen>, capacity: usize, now: Timestamp) {
    let pinned = map.pin();
    let excess = pinned.len().saturating_sub(capacity);
    let mut dropped = 0;
    let mut doomed = Vec::new();
    for (key, seen) in &pinned {
        let expired = seen.until <= now;
        let surplus = seen.life == Life::Live && dropped < excess;
        if expired || surplus {
            doomed.push(*key);
            dropped += 1;
        }
    }
    for key in doomed {
        // A row that died in between is a tombstone now and stays.
        let still = |_: &K, seen: &Seen| seen.until <= now || seen.life == Life::Live;
        let _still_needed = pinned.remove_if(&key, still);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::Entropy;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0.fetch_add(1, Ordering::SeqCst));
        }
    }

    fn touch(id: TaskId, epoch: u64, life: Life) -> Touch {
        Touch {
            aggregate: Aggregate::Task(id),
            epoch: Epoch::from_number(epoch),
            life,
            until: Timestamp::from_micros(1_000),
            released_at: None,
        }
    }

    fn ids(n: usize) -> Vec<TaskId> {
        let entropy = Counting(0.into());
        (0..n)
            .map(|_| TaskId::new(Timestamp::EPOCH, &entropy))
            .collect()
    }

    #[test]
    fn news_in_any_order_leave_the_same_view() {
        let id = ids(1)[0];
        let (live, over) = (touch(id, 1, Life::Live), touch(id, 2, Life::Over));
        for order in [[&live, &over], [&over, &live]] {
            let view = View::new(10);
            for touch in order {
                view.join(touch);
            }
            assert_eq!(view.task(id).map(|s| s.life), Some(Life::Over));
        }
    }

    #[test]
    fn a_full_view_forgets_the_living_and_never_a_tombstone() {
        let view = View::new(2);
        let ids = ids(10);
        for id in &ids {
            view.join(&touch(*id, 1, Life::Live));
        }
        view.join(&touch(ids[0], 2, Life::Over));
        view.forget(Timestamp::from_micros(10));
        assert_eq!(view.task(ids[0]).map(|s| s.life), Some(Life::Over));
        assert!(ids.iter().filter(|id| view.task(**id).is_some()).count() <= 3);
        view.forget(Timestamp::from_micros(2_000));
        assert_eq!(view.task(ids[0]), None);
    }

    #[test]
    fn deaths_are_told_once_and_too_many_are_told_as_such() {
        let view = View::new(10);
        let id = ids(1)[0];
        view.join(&touch(id, 1, Life::Live));
        view.join(&touch(id, 2, Life::Over));
        let deaths = view.deaths();
        assert_eq!((deaths.of, deaths.lost), (vec![Aggregate::Task(id)], false));
        assert!(view.deaths().of.is_empty());
        for _ in 0..=MOST_DEATHS {
            view.join(&touch(id, 2, Life::Over));
        }
        let deaths = view.deaths();
        assert_eq!((deaths.of.len(), deaths.lost), (MOST_DEATHS, true));
    }

    #[test]
    fn a_view_that_heard_nothing_within_the_bound_is_stale() {
        let view = View::new(1);
        view.heard(Duration::from_secs(10));
        assert!(view.is_fresh(Duration::from_secs(11), Duration::from_secs(1)));
        assert!(!view.is_fresh(Duration::from_secs(12), Duration::from_secs(1)));
    }
}
