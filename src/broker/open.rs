//! Open: an operator opens the task of a case for one workload that the case does not name. That opens
//! the way and gives nothing yet: the workload still shows its evidence, and everything else is judged.

use crate::broker::revoke::{Order, unsettled};
use crate::broker::{Broker, unavailable};
use crate::domain::case::case_of_task;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::TaskId;
use crate::domain::name::{ProfileName, TaskName};
use crate::domain::profile::{Claims, Naming, TaskProfile};
use crate::domain::task::{Epoch, Task, TaskState};
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, Subject};

/// Which task is opened, under which profile, for whom.
#[derive(Debug, Clone)]
pub struct Opened {
    pub task: TaskName,
    pub profile: ProfileName,
    pub agent: SpiffeId,
}

impl Broker {
    /// Opens a task by an operator's word.
    ///
    /// # Errors
    /// `request_malformed`: the profile does not open such a task. `conflict`: it stands already, or its
    /// name is barred. What [`Broker::begin`] says of an order that comes again.
    pub async fn open_task(&self, opened: &Opened, order: &Order) -> Result<Task, Error> {
        let turn = self.begin(order).await?;
        if let Some(Answer::Task(task)) = turn.given {
            return Ok(*task);
        }
        let rules = self.rules.now();
        let profile = rules.profiles.named(&opened.profile).ok_or_else(|| {
            Error::new(Code::NotFound, "there is no such profile").with_field("profile")
        })?;
        if !is_for(profile, &opened.task) {
            let text = "the profile is not for cases of that desk";
            return Err(Error::new(Code::RequestMalformed, text).with_field("task"));
        }
        let grants = profile.grants_for(&Claims::new()).map_err(|why| {
            let text = format!("the profile's grants are filled from evidence only: {why}");
            Error::new(Code::RequestMalformed, text).with_field("profile")
        })?;
        let known = self.store.task_named(self.realm, &opened.task).await;
        if known.map_err(|down| unavailable(&down))?.is_some() {
            let text = "the task stands already, or has ended not long ago";
            return Err(Error::new(Code::Conflict, text).with_field("task"));
        }
        let now = self.clock.now();
        let task = Task {
            id: TaskId::new(now, self.entropy.as_ref()),
            name: opened.task.clone(),
            profile: profile.name.clone(),
            state: TaskState::Open,
            epoch: Epoch::FIRST,
            opened_at: now,
            deadline: now.plus(profile.lifetimes.deadline),
            grants,
            agent: Some(opened.agent.clone()),
            opened_by: Some(order.by.clone()),
        };
        let subject = Subject {
            task: Some(task.id),
            task_name: Some(task.name.clone()),
            workload: Some(opened.agent.clone()),
            ..Subject::default()
        };
        let event = Event::TaskOpened {
            by: order.by.clone(),
            reason: order.reason.clone(),
        };
        let mut writes = vec![Write::Task(task.clone())];
        writes.extend(order.note(Answer::Task(Box::new(task.clone())), now));
        self.order(writes, subject, event)
            .await
            .map_err(unsettled)?;
        Ok(task)
    }
}

fn is_for(profile: &TaskProfile, task: &TaskName) -> bool {
    match &profile.naming {
        Naming::Case(rule) => case_of_task(task).is_some_and(|case| case.source == rule.desk),
        Naming::Evidence(_) => false,
    }
}
