//! Quarantine: a lineage may do nothing until somebody has looked at it, and then goes on with less, or is
//! revoked. What it had been given is dead from the first moment and stays so.

use crate::broker::constrain::{Constrained, separate, unmovable};
use crate::broker::revoke::Order;
use crate::broker::settle::overloaded;
use crate::broker::{ATTEMPTS, Broker, RETRY};
use crate::domain::constraint::{Narrowing, Quarantine, Unmovable};
use crate::domain::ids::LineageId;
use crate::domain::lineage::{Lineage, LineageState};
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::entry::Event;

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

    /// Lets a lineage go on with less than it had, after a quarantine or a rise of its risk. Whoever had it stopped, or opened its task, does not.
    ///
    /// # Errors
    /// `not_found`: the lineage, or something that is to be taken away. `conflict`: nothing
    /// constrains it, its task is over, or nothing would be taken away. `separation_required`. What
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
            let asked = match &lineage.state {
                LineageState::Quarantined(why) => &why.by,
                LineageState::StepUp(under) => &under.by,
                LineageState::Active => return Err(unmovable(Unmovable::AtLarge)),
                LineageState::Ended(_) => return Err(unmovable(Unmovable::Over)),
            };
            separate(&order.by, asked, (&task, &lineage))?;
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
}
