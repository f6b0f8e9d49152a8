//! Risk: a lineage is trusted less, and what its policies do not allow at that risk waits for somebody's
//! approval. An approval is for one challenge, ends by itself, and is never by whoever asked for it.

use crate::broker::constrain::{Constrained, separate, unmovable};
use crate::broker::revoke::Order;
use crate::broker::settle::overloaded;
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::domain::constraint::{Approval, ChallengeId, Risk, StepUp, Unmovable};
use crate::domain::ids::LineageId;
use crate::domain::lineage::Lineage;
use crate::domain::task::{Epoch, Task};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::entry::Event;

/// A lineage that is constrained, and what it waits for.
#[derive(Debug)]
pub struct Waiting {
    pub task: Task,
    pub lineage: Lineage,
    /// How many have to approve, where approvals would help.
    pub quorum: u32,
    /// Until when enough do.
    pub approved_until: Option<Timestamp>,
}

impl Broker {
    /// Raises the risk of a lineage.
    ///
    /// # Errors
    /// `not_found`. `conflict`: it has ended, or is in quarantine.
    pub async fn raise_risk(
        &self,
        id: LineageId,
        risk: Risk,
        order: &Order,
    ) -> Result<Constrained, Error> {
        for _ in 0..ATTEMPTS {
            let (task, lineage) = self.constrainable(id).await?;
            let to = StepUp {
                risk,
                since: self.clock.now(),
                begun: Epoch::FIRST,
                by: order.by.clone(),
                reason: order.reason.clone(),
                approvals: Vec::new(),
            };
            let moved = match lineage.clone().raise(to) {
                Ok(moved) => moved,
                Err(Unmovable::AtThatRisk) => {
                    let already = true;
                    return Ok(Constrained { lineage, already });
                }
                Err(why) => return Err(unmovable(why)),
            };
            let event = Event::RiskRaised {
                risk,
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

    /// Approves what a challenge waits for, until a time. The same approver's earlier word is replaced.
    ///
    /// # Errors
    /// `not_found`. `request_malformed`: it would hold too long, or not at all. `conflict`: the challenge is
    /// over, or the task is. `separation_required`: by whoever raised the risk, opened the task, or is the
    /// workload.
    pub async fn approve(
        &self,
        what: ChallengeId,
        until: Timestamp,
        order: &Order,
    ) -> Result<Waiting, Error> {
        for _ in 0..ATTEMPTS {
            let (task, lineage) = self.constrainable(what.lineage).await?;
            let now = self.clock.now();
            self.is_in_time(until, now, &task)?;
            let asked = lineage.step_up().map(|under| under.by.clone());
            separate(
                &order.by,
                asked.as_deref().unwrap_or_default(),
                (&task, &lineage),
            )?;
            let approval = Approval {
                by: order.by.clone(),
                at: now,
                until,
                reason: order.reason.clone(),
            };
            let moved = lineage.approve(what, approval).map_err(unmovable)?;
            let event = Event::Approved {
                until,
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            if let Some(lineage) = self.constrain(&task, moved, event, None).await? {
                return Ok(self.waiting(task, lineage, now));
            }
        }
        Err(overloaded(RETRY))
    }

    /// Lineages that are constrained and whose task goes on, the oldest first, from above `after`; and
    /// the last that was looked at, if there may be more.
    pub async fn constrained(
        &self,
        after: Option<LineageId>,
        limit: u32,
    ) -> Result<(Vec<Waiting>, Option<LineageId>), Error> {
        let rows = self.store.constrained(self.realm, after, limit).await;
        let rows = rows.map_err(|down| unavailable(&down))?;
        let full = u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
        let last = rows.last().map(|lineage| lineage.id).filter(|_| full);
        let now = self.clock.now();
        let mut waiting = Vec::new();
        for lineage in rows {
            let task = self.store.task(self.realm, lineage.task).await;
            let task = task.map_err(|down| unavailable(&down))?;
            let open = task.filter(|task| task.is_open() && task.deadline > now);
            waiting.extend(open.map(|task| self.waiting(task, lineage, now)));
        }
        Ok((waiting, last))
    }

    fn waiting(&self, task: Task, lineage: Lineage, now: Timestamp) -> Waiting {
        let rules = self.rules.now();
        let profile = rules.profiles.named(&task.profile);
        let quorum = profile.map_or(u32::MAX, |profile| profile.quorum);
        let under = lineage.step_up();
        Waiting {
            approved_until: under.and_then(|under| under.approved_until(quorum, now)),
            quorum,
            task,
            lineage,
        }
    }

    fn is_in_time(&self, until: Timestamp, now: Timestamp, task: &Task) -> Result<(), Error> {
        let rules = self.rules.now();
        let profile = rules.profiles.named(&task.profile);
        let gone = || {
            Error::new(
                Code::Conflict,
                "the task's profile is not configured any more",
            )
        };
        let longest = profile.ok_or_else(gone)?.lifetimes.approval;
        // By the clock of whoever orders it, which may be a little ahead.
        if now < until && until.since(now) <= longest + LEEWAY {
            return Ok(());
        }
        let longest = humantime::format_duration(longest);
        let text = format!("an approval under this profile holds for {longest} at most");
        Err(Error::new(Code::RequestMalformed, text).with_field("until"))
    }
}

const LEEWAY: std::time::Duration = crate::domain::validity::SKEW;
