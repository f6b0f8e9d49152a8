//! The circuit breaker of one origin: a peer that keeps failing is left alone for a while, so that its outage
//! costs our callers an immediate answer instead of a full deadline each.
//!
//! Times are those of the clock that never steps. Closed → (n failures in a row) → open → (cool-down) → one probe → closed, or open again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::seams::Clock;

/// When a breaker opens, and for how long.
#[derive(Clone, Debug)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call may try again.
    pub cool_down: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            cool_down: Duration::from_secs(10),
        }
    }
}

pub(super) struct Breaker {
    settings: BreakerSettings,
    patience: Duration,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration },
    Probing,
}

impl Breaker {
    /// `patience` is how long a call must have waited for its abandonment to count against the peer.
    pub(super) fn new(
        settings: BreakerSettings,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            settings,
            patience,
            clock,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Leave to make one call, or the time after which to ask again.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Pass, Duration> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= now => {
                *state = State::Probing;
                true
            }
            State::Open { until } => return Err(until.saturating_sub(now)),
            State::Probing => return Err(self.patience),
        };
        Ok(Pass {
            breaker: Arc::clone(self),
            asked: now,
            probe,
            outcome: Outcome::GivenUp,
        })
    }

    fn settle(&self, asked: Duration, probe: bool, outcome: Outcome) {
        let now = self.clock.elapsed();
        let failed = match outcome {
            Outcome::Answered => false,
            Outcome::Failed => true,
            // A caller who left early proves nothing about the peer, one who waited does.
            Outcome::GivenUp if now.saturating_sub(asked) >= self.patience => true,
            Outcome::GivenUp => return self.release(probe, now),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = State::Open {
            until: now.saturating_add(self.settings.cool_down),
        };
        *state = match (*state, failed) {
            (State::Closed { .. }, false) => State::Closed { failures: 0 },
            (State::Closed { failures }, true) if failures + 1 < self.settings.failures => {
                State::Closed {
                    failures: failures + 1,
                }
            }
            (State::Closed { .. }, true) => open,
            (State::Probing, false) if probe => State::Closed { failures: 0 },
            (State::Probing, true) if probe => open,
            // A call from before it opened ends late: only the probe decides.
            (unchanged @ (State::Probing | State::Open { .. }), _) => unchanged,
        };
    }

    /// A probe without a verdict makes room for the next one.
    fn release(&self, probe: bool, now: Duration) {
        if probe {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = State::Open { until: now };
        }
    }
}

/// Leave to make one call. Dropping it without a verdict means that the caller gave up.
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    asked: Duration,
    probe: bool,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    GivenUp,
    Answered,
    Failed,
}

impl Pass {
    pub(super) fn answered(mut self) {
        self.outcome = Outcome::Answered;
    }

    pub(super) fn failed(mut self) {
        self.outcome = Outcome::Failed;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.breaker.settle(self.asked, self.probe, self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::time::Timestamp, seams::ManualClock};

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(clock: &Arc<ManualClock>) -> Arc<Breaker> {
        let settings = BreakerSettings {
            failures: 3,
            cool_down: 10 * SECOND,
        };
        Arc::new(Breaker::new(
            settings,
            2 * SECOND,
            Arc::clone(clock) as Arc<dyn Clock>,
        ))
    }

    fn opened(clock: &Arc<ManualClock>) -> Arc<Breaker> {
        let breaker = breaker(clock);
        for _ in 0..3 {
            breaker.admit().map(Pass::failed).unwrap();
        }
        breaker
    }

    fn refusal(breaker: &Arc<Breaker>) -> Option<Duration> {
        breaker.admit().map(drop).err()
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_starts_the_count_anew() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = breaker(&clock);
        breaker.admit().map(Pass::failed).unwrap();
        breaker.admit().map(Pass::failed).unwrap();
        breaker.admit().map(Pass::answered).unwrap();
        breaker.admit().map(Pass::failed).unwrap();
        breaker.admit().map(Pass::failed).unwrap();
        assert_eq!(refusal(&breaker), None);
        breaker.admit().map(Pass::failed).unwrap();
        assert_eq!(refusal(&breaker), Some(10 * SECOND));
    }

    #[test]
    fn after_the_cool_down_exactly_one_call_tries() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = opened(&clock);
        clock.advance(9 * SECOND);
        assert_eq!(refusal(&breaker), Some(SECOND));
        clock.advance(SECOND);
        let probe = breaker.admit().unwrap();
        assert_eq!(refusal(&breaker), Some(2 * SECOND));
        probe.failed();
        assert_eq!(refusal(&breaker), Some(10 * SECOND));
        clock.advance(10 * SECOND);
        breaker.admit().map(Pass::answered).unwrap();
        assert_eq!(refusal(&breaker), None);
    }

    #[test]
    fn a_dropped_probe_does_not_lock_the_peer_out_for_good() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = opened(&clock);
        clock.advance(10 * SECOND);
        drop(breaker.admit().unwrap());
        breaker.admit().map(Pass::answered).unwrap();
        assert_eq!(refusal(&breaker), None);
    }

    #[test]
    fn only_calls_that_waited_count_when_given_up() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = breaker(&clock);
        for _ in 0..9 {
            drop(breaker.admit().unwrap());
        }
        assert_eq!(refusal(&breaker), None);
        let waiting: Vec<_> = (0..3).map(|_| breaker.admit().unwrap()).collect();
        clock.advance(2 * SECOND);
        drop(waiting);
        assert_eq!(refusal(&breaker), Some(10 * SECOND));
    }

    #[test]
    fn a_late_answer_from_before_does_not_close_it() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = breaker(&clock);
        let late = breaker.admit().unwrap();
        for _ in 0..3 {
            breaker.admit().map(Pass::failed).unwrap();
        }
        late.answered();
        assert_eq!(refusal(&breaker), Some(10 * SECOND));
    }
}
