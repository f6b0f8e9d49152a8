//! Where changes wait: three bounded lanes. Each has its own places, so that however many issues
//! wait, a revocation finds one; and a full lane says so at once instead of growing.

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
    retry_after: Duration,
    _gone: DropGuard,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Intake {
    revoke: mpsc::Receiver<Waiting>,
    renew: mpsc::Receiver<Waiting>,
    issue: mpsc::Receiver<Waiting>,
    batch: usize,
    closing: CancellationToken,
}

/// Both ends. Once `closing` is cancelled nothing more is taken, and what waits is still served.
pub(super) fn lanes(settings: &Settings, closing: CancellationToken) -> (Lanes, Intake) {
    let (to_revoke, revoke) = mpsc::channel(settings.revoke_lane.max(1));
    let (to_renew, renew) = mpsc::channel(settings.renew_lane.max(1));
    let (to_issue, issue) = mpsc::channel(settings.issue_lane.max(1));
    let lanes = Lanes {
        revoke: to_revoke,
        renew: to_renew,
        issue: to_issue,
        retry_after: settings.retry_after,
        _gone: closing.clone().drop_guard(),
    };
    let intake = Intake {
        revoke,
        renew,
        issue,
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
    }

    /// Waits until something may have come; `false` when nothing can come any more.
    async fn wait(&mut self, batch: &mut Vec<Waiting>) -> bool {
        let came = tokio::select! {
            biased;
            Some(waiting) = self.revoke.recv() => waiting,
            Some(waiting) = self.renew.recv() => waiting,
            Some(waiting) = self.issue.recv() => waiting,
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
    /// wait, so that renewals cannot hold them off for good. What woke the writer is in `batch`
    /// already, and stands behind every revocation like the rest.
    fn drain(&mut self, batch: &mut Vec<Waiting>) {
        let limit = self.batch;
        fill(&mut self.revoke, batch, limit);
        let left = limit.saturating_sub(batch.len());
        let kept = self.issue.len().min(left / 4);
        fill(&mut self.renew, batch, limit - kept);
        fill(&mut self.issue, batch, limit);
        fill(&mut self.renew, batch, limit);
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
