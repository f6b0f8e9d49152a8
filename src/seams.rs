//! The only place that reads the system's clock. Everything else takes time and randomness as
//! parameters, so that a test, a simulation or a replay decides what "now" is.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
pub use writ_keys::{Entropy, SystemEntropy};

use crate::domain::time::Timestamp;

/// Where time comes from.
///
/// Two clocks are kept apart on purpose: `now` is civil time, compared with `exp` and stored in
/// rows; `elapsed` never steps and counts sleep, and decides how old a read is.
pub trait Clock: Send + Sync {
    /// Civil time, UTC.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, on a clock that never steps back and counts suspension.
    fn elapsed(&self) -> Duration;

    /// Completes once `now` has reached `at`.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_micros(
            now.tv_sec
                .saturating_mul(1_000_000)
                .saturating_add(now.tv_nsec / 1_000),
        )
    }

    fn elapsed(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            now.tv_sec.unsigned_abs(),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    elapsed: AtomicU64,
    moved: tokio::sync::watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self {
            now: AtomicI64::new(at.micros()),
            elapsed: AtomicU64::new(0),
            moved: tokio::sync::watch::Sender::new(at),
        }
    }

    /// Moves both clocks forward and wakes whoever waits for a time that has come.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.elapsed.fetch_add(micros, Ordering::SeqCst);
        let now = Timestamp::from_micros(self.now.load(Ordering::SeqCst)).plus(by);
        self.now.store(now.micros(), Ordering::SeqCst);
        self.moved.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // The sender lives in the clock; when the clock is gone nobody waits for its time.
            if moved.wait_for(|now| *now >= at).await.is_err() {
                futures_util::future::pending::<()>().await;
            }
        })
    }
}
