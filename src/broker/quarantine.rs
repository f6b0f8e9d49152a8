//! Quarantine: a lineage may do nothing until somebody has looked at it, and then goes on with less, or is
//! revoked. What it had been given is dead from the first moment and stays so.

use crate::broker::revoke::{Order, unsettled};
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::domain::constraint::{Narrowing, Quarantine, Unmovable};
use crate::domain::ids::LineageId;
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, Subject};

/// A lineage as an order left it.
#[derive(Debug)]
pub struct Constrained {
    pub lineage: Lineage,
    /// It was so before: nothing was changed.
    pub already: bool,
}

impl Broker {
    /// Stops everything under a lineage at once, in the lane that never waits.
    ///
    /// # Errors
    /// `not_found`. `conflict`: it has ended.
    pub async fn quarantine(&self, id: LineageId, order: &Order) -> Result<Constrained, Error> {
        for _ in 0..ATTEMPTS {
            let (task, lineage) = self.constrainable(id).await?;
            let why = Quarantine {
                since: self.clock.now(),
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            let moved = match lineage.clone().quarantine(why) {
                Ok(moved) => moved,
                Err(Unmovable::Quarantined) => {
                    let already = true;
                    return Ok(Constrained { lineage, already });
                }
                Err(why) => return Err(unmovable(why)),
            };
            let event = Event::Quarantined {
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            if let Some(lineage) = self.constrain(&task, moved, event, None).await? {
                let already = false;
                return Ok(Constrained { lineage, already });
            }
        }
        Err(overloaded(RETRY))
    }

    /// Lets a lineage go on with less than it had. Whoever had it stopped, or opened its task, does not.
    ///
    /// # Errors
    /// `not_found`: the lineage, or something that is to be taken away. `conflict`: it is not in
    /// quarantine, its task is over, or nothing would be taken away. `separation_required`. What
    /// [`Broker::begin`] says of an order that comes again.
    pub async fn release(
        &self,
        id: LineageId,
        narrowing: &Narrowing,
        order: &Order,
    ) -> Result<Lineage, Error> {
        let turn = self.begin(order).await?;
        if let Some(Answer::Lineage(lineage)) = turn.given {
            return Ok(*lineage);
        }
        for _ in 0..ATTEMPTS {
            let (task, lineage) = self.constrainable(id).await?;
            let LineageState::Quarantined(why) = &lineage.state else {
                return Err(unmovable(Unmovable::AtLarge));
            };
            separate(&order.by, &why.by, &task)?;
            let grants = narrowing.of(&lineage.grants).map_err(|absent| {
                Error::new(Code::NotFound, absent.to_string()).with_field("without")
            })?;
            let now = self.clock.now();
            let moved = lineage.release(grants, now);
            let event = Event::Released {
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            let moved = moved.map_err(unmovable)?;
            let note = order.note(Answer::Lineage(Box::new(moved.clone())), now);
            if let Some(lineage) = self.constrain(&task, moved, event, note).await? {
                return Ok(lineage);
            }
        }
        Err(overloaded(RETRY))
    }

    /// A lineage whose task goes on.
    async fn constrainable(&self, id: LineageId) -> Result<(Task, Lineage), Error> {
        let found = self.lineage_and_task(id).await;
        let found = found.map_err(|down| unavailable(&down))?;
        let absent = || {
            let text = "there is no lineage with this id, or it was over long ago";
            Error::new(Code::NotFound, text).with_field("lineage")
        };
        let (task, lineage) = found.ok_or_else(absent)?;
        if !task.is_open() || task.deadline <= self.clock.now() {
            return Err(unmovable(Unmovable::Over));
        }
        Ok((task, lineage))
    }

    /// Commits a move; none where another change came first and all is to be looked at again.
    async fn constrain(
        &self,
        task: &Task,
        moved: Lineage,
        event: Event,
        note: Option<Write>,
    ) -> Result<Option<Lineage>, Error> {
        let subject = Subject {
            task: Some(task.id),
            task_name: Some(task.name.clone()),
            lineage: Some(moved.id),
            session: None,
            workload: Some(moved.identity.id().clone()),
        };
        let mut writes = vec![Write::Lineage(moved.clone())];
        writes.extend(note);
        match self.order(writes, subject, event).await {
            Ok(()) => Ok(Some(moved)),
            Err(Unsettled::Again) => Ok(None),
            Err(other) => Err(unsettled(other)),
        }
    }
}

/// Whoever asked for something does not decide on it: the one who had the lineage constrained, and the one
/// who opened its task.
fn separate(decides: &str, asked: &str, task: &Task) -> Result<(), Error> {
    let opened = task.opened_by.as_deref();
    if decides != asked && Some(decides) != opened {
        return Ok(());
    }
    let text = "whoever asked for it does not decide on it as well: ask another approver";
    Err(Error::new(Code::SeparationRequired, text))
}

fn unmovable(why: Unmovable) -> Error {
    let text = match why {
        Unmovable::Over => "it has ended",
        Unmovable::Quarantined => "it is in quarantine",
        Unmovable::AtLarge => "it is not in quarantine",
        Unmovable::NotNarrower => "it has to go on with less than it had: say without what",
    };
    Error::new(Code::Conflict, text).with_field("lineage")
}
