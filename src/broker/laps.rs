//! How long each stage of a verb took, for the metrics. Time is the clock's that never steps, so a
//! test clock gives a test's times.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::FutureExt as _;
use metrics::Histogram;

use crate::error::Error;
use crate::seams::Clock;
use crate::telemetry::span::{Mark, Role};
use crate::telemetry::trace;

/// The laps of one way through.
pub struct Laps<'a> {
    clock: &'a dyn Clock,
    verb: &'static str,
    last: Duration,
}

impl<'a> Laps<'a> {
    pub fn start(clock: &'a dyn Clock, verb: &'static str) -> Self {
        Self {
            clock,
            verb,
            last: clock.elapsed(),
        }
    }

    /// The stage that began with the last call is done.
    pub fn done(&mut self, stage: &'static str) {
        let now = self.clock.elapsed();
        let took = now.saturating_sub(self.last);
        stage_seconds(self.verb, stage, |histogram| {
            histogram.record(took.as_secs_f64());
        });
        self.last = now;
    }
}

type Stages = Vec<((&'static str, &'static str), Histogram)>;

/// The histogram of a stage, looked up once on each thread: the recorder's own look-up hashes the
/// labels under a lock, and a request has five stages.
fn stage_seconds(verb: &'static str, stage: &'static str, record: impl FnOnce(&Histogram)) {
    thread_local!(static STAGES: RefCell<Stages> = const { RefCell::new(Vec::new()) });
    STAGES.with_borrow_mut(|stages| {
        let known = stages.iter().position(|(name, _)| *name == (verb, stage));
        let at = known.unwrap_or_else(|| {
            let new = metrics::histogram!("writ_stage_seconds", "verb" => verb, "stage" => stage);
            stages.push(((verb, stage), new));
            stages.len() - 1
        });
        if let Some((_, histogram)) = stages.get(at) {
            record(histogram);
        }
    });
}

/// Does one verb, and tells how it ended and how long it took: in the metrics by verb and code, and in the
/// request's trace.
pub fn verb<T>(
    clock: &dyn Clock,
    verb: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> impl Future<Output = Result<T, Error>> {
    let began = clock.elapsed();
    trace::told(Role::Internal, verb, Vec::new, work, marks).inspect(move |outcome| {
        let error = outcome.as_ref().err();
        let code = error.map_or("ok", |error| error.code().as_str());
        let took = clock.elapsed().saturating_sub(began);
        metrics::counter!("writ_requests_total", "verb" => verb, "code" => code).increment(1);
        metrics::histogram!("writ_request_seconds", "verb" => verb).record(took.as_secs_f64());
    })
}

fn marks<T>(outcome: &Result<T, Error>) -> Vec<Mark> {
    let error = outcome.as_ref().err();
    let denial = error.and_then(Error::denial);
    let mut marks = vec![Mark::Outcome(error.map(Error::code))];
    marks.extend(denial.map(|id| Mark::Denial(id.to_owned())));
    marks
}
