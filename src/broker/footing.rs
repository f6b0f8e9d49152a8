//! What a credential of ours stands on: it counts while its task, lineage and session live and no bar holds
//! over it. Judged from memory, or from the rows where memory has none.

use crate::broker::{Broker, unavailable};
use crate::domain::ids::{CredentialId, LineageId, SessionId, TaskId};
use crate::domain::lineage::is_given_since;
use crate::domain::standing::Held;
use crate::error::Error;
use crate::ledger::bar::BarKey;
use crate::ledger::change::Write;
use crate::ledger::entry::{Life, touch_of};
use crate::store::view::{Seen, View};

/// What has to be alive, and what may not be barred. None of it ever changes for one credential.
#[derive(Debug)]
pub(in crate::broker) struct Footing {
    pub(in crate::broker) task: TaskId,
    pub(in crate::broker) lineage: LineageId,
    pub(in crate::broker) session: SessionId,
    pub(in crate::broker) credential: CredentialId,
    pub(in crate::broker) bars: Vec<BarKey>,
}

impl Broker {
    /// Whether everything that a credential belongs to is alive. Its own time is not judged here: it ends no
    /// later than its task's.
    pub(in crate::broker) async fn stands(&self, on: &Footing) -> Result<bool, Error> {
        let view = self.store.view();
        let now = self.clock.now();
        if on.bars.iter().any(|bar| view.is_barred(bar, now)) {
            return Ok(false);
        }
        if let Some(alive) = on.remembered(view) {
            return Ok(alive);
        }
        let held = self
            .store
            .held(self.realm, on.session)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(held) = held else { return Ok(false) };
        learn(view, held);
        Ok(on.remembered(view).unwrap_or(false))
    }
}

/// Tells the view of rows that were read.
pub(in crate::broker) fn learn(view: &View, held: Held) {
    for row in [
        Write::Task(held.task),
        Write::Lineage(held.lineage),
        Write::Session(held.session),
    ] {
        if let Some(touch) = touch_of(&row) {
            view.join(&touch);
        }
    }
}

impl Footing {
    /// What memory says: alive only if all three rows are known to be, dead if any is known to be over,
    /// and `None` where a row has to be read.
    fn remembered(&self, view: &View) -> Option<bool> {
        let rows = [
            view.task(self.task),
            view.lineage(self.lineage),
            view.session(self.session),
        ];
        if rows.iter().flatten().any(|seen| self.is_over(seen)) {
            return Some(false);
        }
        rows.iter().all(Option::is_some).then_some(true)
    }

    /// Whether the row is over, or a lineage's that left quarantine after the credential was given.
    fn is_over(&self, seen: &Seen) -> bool {
        seen.life == Life::Over || !is_given_since(self.credential, seen.released_at)
    }
}
