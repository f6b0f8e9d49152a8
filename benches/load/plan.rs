//! How much is asked. Counts bound a window from above; a slow machine ends it by time.

use std::env;
use std::time::Duration;

use crate::fault::Fault;

/// The sizes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Requests of one window of a path that writes.
    pub(crate) writes: usize,
    /// Requests of one window of a path that only reads.
    pub(crate) reads: usize,
    /// Measured windows; their median is reported.
    pub(crate) windows: usize,
    /// The longest that one window takes.
    pub(crate) limit: Duration,
    /// Live rows under the last paths.
    pub(crate) live_rows: u64,
    /// How often it is tried how soon a refusal comes.
    pub(crate) trials: usize,
    /// Live credentials of a task that is revoked.
    pub(crate) credentials: usize,
}

impl Plan {
    pub(crate) fn from_environment() -> Result<Self, Fault> {
        let quick = env::var("WRIT_BENCH").is_ok_and(|size| size == "quick");
        let mut plan = if quick { Self::quick() } else { Self::full() };
        if let Ok(rows) = env::var("WRIT_BENCH_LIVE_ROWS") {
            let rows = rows.parse();
            plan.live_rows = rows.map_err(|e| Fault::of(format!("WRIT_BENCH_LIVE_ROWS: {e}")))?;
        }
        Ok(plan)
    }

    /// Requests that a path is warmed up with.
    pub(crate) const fn warm(&self) -> usize {
        self.writes / 8
    }

    const fn full() -> Self {
        Self {
            writes: 8_000,
            reads: 50_000,
            windows: 3,
            limit: Duration::from_secs(4),
            live_rows: 1_000_000,
            trials: 1_000,
            credentials: 1_000,
        }
    }

    const fn quick() -> Self {
        Self {
            writes: 1_600,
            reads: 8_000,
            live_rows: 0,
            trials: 100,
            ..Self::full()
        }
    }
}

/// Connections that are kept alive during a path.
pub(crate) const CONNECTIONS: usize = 64;
