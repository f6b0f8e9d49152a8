//! Where changes wait: four bounded lanes. Each has its own places, so that however many issues wait, a
//! revocation finds one, and a flood of records takes none from an issue. A full lane says so at once instead of
//! growing; but for the records that follow their answers, whose place is waited for before anything is answered.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Settings;
use crate::ledger::change::{Change, Lane};
use crate::store::{CommitError, Down, Receipt};

/// What a caller waits for.
pub(super) type Answer = Result<Receipt, CommitError>;

/// A change that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The callers' end. When it is gone nobody can come any more, and the writer ends.
#[derive(Debug)]
pub(in crate::store) struct Lanes {
    revoke: mpsc::Sender<Waiting>,
    renew: mpsc::Sender<Waiting>,
    issue: mpsc::Sender<Waiting>,
    note: mpsc::Sender<Waiting>,
    retry_after: Duration,
    _gone: DropGuard,
}

/// A place on the way of the records that follow their answers: whoever has it waits for nothing any more.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Waiting>);

/// The writer's end.
#[derive(Debug)]
pub(super) struct Intake {
    revoke: mpsc::Receiver<Waiting>,
    renew: mpsc::Receiver<Waiting>,
    issue: mpsc::Receiver<Waiting>,
    note: mpsc::Receiver<Waiting>,
    batch: usize,
    closing: CancellationToken,
}

/// Both ends. Once `closing` is cancelled nothing more is taken, and what waits is still served.
pub(super) fn lanes(settings: &Settings, closing: CancellationToken) -> (Lanes, Intake) {
    let (to_revoke, revoke) = mpsc::channel(settings.revoke_lane.max(1));
    let (to_renew, renew) = mpsc::channel(settings.renew_lane.max(1));
    let (to_issue, issue) = mpsc::channel(settings.issue_lane.max(1));
    let (to_note, note) = mpsc::channel(settings.note_lane.max(1));
    let lanes = Lanes {
        revoke: to_revoke,
        renew: to_renew,
        issue: to_issue,
        note: to_note,
        retry_after: settings.retry_after,
        _gone: closing.clone().drop_guard(),
    };
    let intake = Intake {
        revoke,
        renew,
        issue,
        note,
        batch: settings.batch.max(1),
        closing,
    };
    (lanes, intake)
}

impl Lanes {
    /// Puts a change in its lane and waits for its answer. Once it is in the lane it goes on,
    /// whether or not anybody still waits.
    pub(in crate::store) async fn commit(&self, change: Change) -> Answer {
        let lane = match change.lane {
            Lane::Revoke => &self.revoke,
            Lane::Renew => &self.renew,
            Lane::Issue => &self.issue,
            Lane::Note => &self.note,
        };
        let (answer, answered) = oneshot::channel();
        match lane.try_send(Waiting { change, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(CommitError::Overloaded {
                    retry_after: self.retry_after,
                });
            }
            Err(TrySendError::Closed(_)) => {
                return Err(Down("it takes no more changes".to_owned()).into());
            }
        }
        // A writer that is gone without an answer may have committed.
        answered.await.unwrap_or(Err(CommitError::InDoubt))
    }

    /// Takes a place for a record that nobody will wait for, as soon as one is free.
    pub(in crate::store) async fn place(&self) -> Result<Place<'_>, Down> {
        let place = self.note.reserve().await;
        place
            .map(Place)
            .map_err(|_closed| Down("it takes no more changes".to_owned()))
    }
}

impl Place<'_> {
    /// Puts a record on its way. Whether it became durable is told to nobody: a failure is logged.
    pub fn put(self, change: Change) {
        let (answer, _nobody) = oneshot::channel();
        self.0.send(Waiting { change, answer });
    }
}

impl Intake {
    /// What waits, at most one batch of it, in the order in which it is to be admitted; `None` when
    /// the lanes are closed and empty.
    pub(super) async fn take(&mut self) -> Option<Vec<Waiting>> {
        let mut batch = Vec::new();
        loop {
            self.drain(&mut batch);
            if !batch.is_empty() {
                self.gather(&mut batch).await;
                return Some(batch);
            }
            if !self.wait(&mut batch).await && batch.is_empty() {
                return None;
            }
        }
    }

    /// Stops taking changes; what waits can still be taken.
    pub(super) fn close(&mut self) {
        self.revoke.close();
        self.renew.close();
        self.issue.close();
        self.note.close();
    }

    /// Waits until something may have come; `false` when nothing can come any more.
    async fn wait(&mut self, batch: &mut Vec<Waiting>) -> bool {
        let came = tokio::select! {
            biased;
            Some(waiting) = self.revoke.recv() => waiting,
            Some(waiting) = self.renew.recv() => waiting,
            Some(waiting) = self.issue.recv() => waiting,
            Some(waiting) = self.note.recv() => waiting,
            () = self.closing.cancelled(), if !self.revoke.is_closed() => {
                self.close();
                return true;
            }
            else => return false,
        };
        batch.push(came);
        true
    }

    /// Lets the requests that are about to commit come along. It waits for no time: where nobody is
    /// about to come, as on an idle server, the batch leaves at once; on a busy one the price of a
    /// commit is shared by more. A revocation is not held up.
    async fn gather(&mut self, batch: &mut Vec<Waiting>) {
        for _ in 0..ROUNDS {
            let had = batch.len();
            let urgent = batch
                .first()
                .is_some_and(|first| first.change.lane == Lane::Revoke);
            if urgent || had >= self.batch {
                return;
            }
            tokio::task::yield_now().await;
            self.drain(batch);
            if batch.len() == had {
                return;
            }
        }
    }

    /// All revocations first; then renewals, of whose places a quarter is left to the issues that
    /// wait, so that renewals cannot hold them off for good; and an eighth to the records that nobody waits
    /// for. What woke the writer is in `batch`
    /// already, and stands behind every revocation like the rest.
    fn drain(&mut self, batch: &mut Vec<Waiting>) {
        let limit = self.batch;
        fill(&mut self.revoke, batch, limit);
        let left = limit.saturating_sub(batch.len());
        let issues = self.issue.len().min(left / 4);
        let notes = self.note.len().min(left / 8);
        fill(&mut self.renew, batch, limit - issues - notes);
        fill(&mut self.issue, batch, limit - notes);
        fill(&mut self.renew, batch, limit - notes);
        fill(&mut self.note, batch, limit);
        batch.sort_by_key(|waiting| waiting.change.lane);
    }
}

fn fill(lane: &mut mpsc::Receiver<Waiting>, batch: &mut Vec<Waiting>, limit: usize) {
    while batch.len() < limit {
        match lane.try_recv() {
            Ok(waiting) => batch.push(waiting),
            Err(mpsc::error::TryRecvError::Empty | mpsc::error::TryRecvError::Disconnected) => {
                return;
            }
        }
    }
}

/// How often those who are about to come are let in before a batch leaves.
const ROUNDS: usize = 8;
