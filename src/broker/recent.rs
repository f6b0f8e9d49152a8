//! Rows of sessions that were asked about, kept while nothing has moved: the view knows the epoch of every
//! task, lineage and session that this replica has heard of, and rows of another epoch are read again. What
//! is kept can so be old only as the view can, and a replica whose view is behind the log answers nothing.

use std::sync::Arc;

use crate::broker::footing::learn;
use crate::broker::seen;
use crate::broker::{Broker, unavailable};
use crate::domain::ids::SessionId;
use crate::domain::standing::Standing;
use crate::domain::task::Epoch;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::store::view::Seen;

/// Sessions with their lineages and tasks, as they were read.
pub type SeenSessions = seen::Seen<SessionId, Standing>;

impl Broker {
    /// Forgets sessions of tasks whose time is over.
    pub fn forget_sessions(&self, now: Timestamp) {
        let over = |standing: &Standing| standing.task.as_ref().is_none_or(|t| t.deadline <= now);
        self.sessions.forget(over);
    }

    /// A session with its lineage and task as they stand now: from memory, or from the rows.
    ///
    /// # Errors
    /// The rows are gone, or cannot be read.
    pub(in crate::broker) async fn session_now(
        &self,
        session: SessionId,
    ) -> Result<Arc<Standing>, Error> {
        let kept = self.sessions.get(&session);
        if let Some(standing) = kept.filter(|standing| self.is_current(standing)) {
            return Ok(standing);
        }
        let held = self
            .store
            .held(self.realm, session)
            .await
            .map_err(|down| unavailable(&down))?;
        let held =
            held.ok_or_else(|| Error::new(Code::TokenInvalid, "the session has long ended"))?;
        learn(self.store.view(), held.clone());
        let standing = Arc::new(Standing::from(held));
        self.sessions.keep(session, &standing);
        Ok(standing)
    }

    /// Whether the rows are of the newest epochs that the view has heard of. A row that the view has
    /// forgotten is read again.
    pub(in crate::broker) fn is_current(&self, standing: &Standing) -> bool {
        let (Some(task), Some(lineage), Some(session)) =
            (&standing.task, &standing.lineage, &standing.session)
        else {
            return false;
        };
        let view = self.store.view();
        let heard = [
            (view.task(task.id), task.epoch),
            (view.lineage(lineage.id), lineage.epoch),
            (view.session(session.id), session.epoch),
        ];
        let same = |(seen, epoch): (Option<Seen>, Epoch)| seen.is_some_and(|s| s.epoch == epoch);
        heard.into_iter().all(same)
    }
}
