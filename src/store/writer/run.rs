//! The loop: take, attempt, answer; halve what fails; ask when nobody knows.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::keys::once_keys;
use super::lanes::{Answer, Intake, Waiting, lanes};
use super::{Backend, Batch, CommitFault, Keys, Lanes, Placed, Settings};
use crate::domain::key::Digest;
use crate::domain::position::{Position, WriterId};
use crate::ledger::entry::{Life, Touch};
use crate::ledger::rows::Refusal;
use crate::seams::Clock;
use crate::store::view::View;
use crate::store::{CommitError, Down, Receipt};

/// Where a writer sits: what it writes to, and what it reads besides.
#[derive(Clone)]
pub(in crate::store) struct Seat {
    pub(in crate::store) backend: Arc<dyn Backend>,
    pub(in crate::store) view: Arc<View>,
    pub(in crate::store) clock: Arc<dyn Clock>,
    /// The policies in force.
    pub(in crate::store) policy_set: Arc<ArcSwap<Digest>>,
    pub(in crate::store) id: WriterId,
}

/// How a writer is told to end, and how it tells that it has.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Signals {
    /// Take no more changes; serve what waits.
    pub(in crate::store) closing: CancellationToken,
    /// What the disk holds is unknown: the process has to end.
    pub(in crate::store) fatal: CancellationToken,
    /// Everything that was taken is answered.
    pub(in crate::store) done: CancellationToken,
}

/// The task that writes.
pub(in crate::store) struct Writer {
    seat: Seat,
    intake: Intake,
    signals: Signals,
    next: u64,
}

/// What became of each change of a batch.
type Verdict = Result<Position, Refusal>;

/// How an attempt ended.
enum Attempt {
    Settled(Vec<Verdict>),
    /// The batch cannot be written; a part of it perhaps can.
    Failed(Down),
    /// Nothing can be written.
    Closed(Down),
    InDoubt(Vec<Verdict>),
    Fatal(Vec<Verdict>),
}

impl Writer {
    /// A writer whose first entry has the number 1, and the lanes that lead to it.
    pub(in crate::store) fn new(seat: Seat, settings: &Settings) -> (Lanes, Self, Signals) {
        let signals = Signals::default();
        let (lanes, intake) = lanes(settings, signals.closing.clone());
        let writer = Self {
            seat,
            intake,
            signals: signals.clone(),
            next: 1,
        };
        (lanes, writer, signals)
    }

    /// Writes until it is closed and everything that was taken is answered, or until what the disk
    /// holds cannot be known.
    pub(in crate::store) async fn run(mut self) {
        let mut end = EndOfRun::new(self.signals.clone());
        while let Some(batch) = self.intake.take().await {
            self.settle(batch).await;
            if self.signals.fatal.is_cancelled() {
                self.intake.close();
            }
        }
        end.orderly = true;
    }

    async fn settle(&mut self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let failure = match self.attempt(&part).await {
                Attempt::Settled(verdicts) => {
                    self.committed(&part, &verdicts);
                    answer(part, verdicts);
                    continue;
                }
                Attempt::InDoubt(verdicts) => match self.resolve(part, verdicts).await {
                    Some((lost, failure)) => {
                        part = lost;
                        failure
                    }
                    None => continue,
                },
                Attempt::Fatal(verdicts) => {
                    self.signals.fatal.cancel();
                    self.join(&part, &verdicts, |touch| touch.life == Life::Over);
                    answer_all(part, || CommitError::InDoubt);
                    continue;
                }
                Attempt::Failed(down) => down,
                Attempt::Closed(down) => {
                    answer_all(part, || Down(down.0.clone()).into());
                    continue;
                }
            };
            if part.len() > 1 {
                let rest = part.split_off(part.len() / 2);
                parts.push(rest);
                parts.push(part);
            } else {
                tracing::error!(%failure, "a change could not be written");
                answer_all(part, || Down(failure.0.clone()).into());
            }
        }
    }

    async fn attempt(&self, part: &[Waiting]) -> Attempt {
        if self.signals.fatal.is_cancelled() {
            return Attempt::Closed(Down("what the disk holds is unknown".to_owned()));
        }
        let mut batch = match self.seat.backend.begin().await {
            Ok(batch) => batch,
            Err(down) => {
                tracing::error!(%down, changes = part.len(), "nothing can be written");
                return Attempt::Closed(down);
            }
        };
        let verdicts = match self.judge(batch.as_mut(), part).await {
            Ok(verdicts) => verdicts,
            Err(down) => {
                batch.rollback().await;
                return Attempt::Failed(down);
            }
        };
        if verdicts.iter().all(Result::is_err) {
            batch.rollback().await;
            return Attempt::Settled(verdicts);
        }
        match batch.commit().await {
            Ok(()) => Attempt::Settled(verdicts),
            Err(CommitFault::InDoubt(down)) => {
                tracing::warn!(%down, changes = part.len(), "a commit is in doubt");
                Attempt::InDoubt(verdicts)
            }
            Err(CommitFault::Fatal(down)) => {
                tracing::error!(%down, changes = part.len(), "what the disk holds is unknown");
                Attempt::Fatal(verdicts)
            }
        }
    }

    /// Admits in order and writes what was admitted.
    async fn judge(&self, batch: &mut dyn Batch, part: &[Waiting]) -> Result<Vec<Verdict>, Down> {
        let changes = || part.iter().map(|waiting| &waiting.change);
        let mut ledgers = batch.lock(Keys::of(changes())).await?;
        let once = once_keys(changes());
        if !once.is_empty() {
            for (realm, used) in batch.claim(&once).await? {
                ledgers.of(realm).put_once(&used);
            }
        }
        let now = self.seat.clock.now();
        let policy_set = **self.seat.policy_set.load();
        let mut verdicts = Vec::with_capacity(part.len());
        let mut placed = Vec::with_capacity(part.len());
        for change in changes() {
            let verdict = ledgers.admit(change, policy_set, now).map(|()| Position {
                writer: self.seat.id,
                n: self.next + placed.len() as u64,
            });
            if let Ok(at) = verdict {
                placed.push(Placed { at, change });
            }
            verdicts.push(verdict);
        }
        if !placed.is_empty() {
            batch.write(&placed, &ledgers).await?;
        }
        Ok(verdicts)
    }

    /// Asks until somebody knows. Nothing else is written meanwhile, because the numbers may be
    /// taken; the view takes what was revoked and not what was permitted. Gives the changes back,
    /// with the reason, if none of them was recorded.
    async fn resolve(
        &mut self,
        part: Vec<Waiting>,
        verdicts: Vec<Verdict>,
    ) -> Option<(Vec<Waiting>, Down)> {
        self.join(&part, &verdicts, |touch| touch.life == Life::Over);
        let last = verdicts
            .iter()
            .rev()
            .find_map(|v| v.as_ref().ok().copied())?;
        let patience = self.seat.clock.elapsed() + PATIENCE;
        let mut part = part;
        let mut told = false;
        loop {
            match self.seat.backend.recorded(last).await {
                Ok(true) => {
                    self.committed(&part, &verdicts);
                    answer(part, verdicts);
                    return None;
                }
                Ok(false) if told => return None,
                Ok(false) => return Some((part, Down("the commit was lost".to_owned()))),
                Err(down) => tracing::warn!(%down, "a commit is still in doubt"),
            }
            if !told && self.seat.clock.elapsed() >= patience {
                told = true;
                part = part.into_iter().map(Waiting::told_in_doubt).collect();
            }
            if told && self.signals.closing.is_cancelled() {
                self.signals.fatal.cancel();
                return None;
            }
            let again = self.seat.clock.now().plus(ASK_AGAIN);
            self.seat.clock.sleep_until(again).await;
        }
    }

    fn committed(&mut self, part: &[Waiting], verdicts: &[Verdict]) {
        self.next += verdicts.iter().filter(|verdict| verdict.is_ok()).count() as u64;
        self.join(part, verdicts, |_| true);
        if self.seat.view.is_overfull() {
            self.seat.view.forget(self.seat.clock.now());
        }
    }

    fn join(&self, part: &[Waiting], verdicts: &[Verdict], which: impl Fn(&Touch) -> bool) {
        for (waiting, verdict) in part.iter().zip(verdicts) {
            if verdict.is_ok() {
                let touches = waiting.change.touches();
                touches
                    .iter()
                    .filter(|touch| which(touch))
                    .for_each(|touch| self.seat.view.join(touch));
            }
        }
    }
}

impl Waiting {
    /// The same change, whose caller was told that the outcome is unknown.
    fn told_in_doubt(self) -> Self {
        let (nobody, _) = tokio::sync::oneshot::channel();
        reply(self.answer, Err(CommitError::InDoubt));
        Self {
            change: self.change,
            answer: nobody,
        }
    }
}

/// Says that the writer has ended, however it did. A writer that ends without having been closed
/// leaves changes unanswered, so the process has to end with it.
struct EndOfRun {
    signals: Signals,
    orderly: bool,
}

impl EndOfRun {
    const fn new(signals: Signals) -> Self {
        Self {
            signals,
            orderly: false,
        }
    }
}

impl Drop for EndOfRun {
    fn drop(&mut self) {
        if !self.orderly {
            self.signals.fatal.cancel();
        }
        self.signals.done.cancel();
    }
}

fn answer(part: Vec<Waiting>, verdicts: Vec<Verdict>) {
    for (waiting, verdict) in part.into_iter().zip(verdicts) {
        let id = waiting.change.id;
        let outcome = verdict
            .map(|at| Receipt::new(id, at))
            .map_err(CommitError::Refused);
        reply(waiting.answer, outcome);
    }
}

fn answer_all(part: Vec<Waiting>, error: impl Fn() -> CommitError) {
    for waiting in part {
        reply(waiting.answer, Err(error()));
    }
}

/// Tells the caller, if one still waits: a commit does not depend on being listened to.
fn reply(to: tokio::sync::oneshot::Sender<Answer>, outcome: Answer) {
    drop(to.send(outcome));
}

/// How long a caller waits for a commit in doubt before it is told so.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a commit in doubt is asked about.
const ASK_AGAIN: Duration = Duration::from_millis(100);
