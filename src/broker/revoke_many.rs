//! Revoke by a list: tasks, a lineage, a credential, a workload or a key. Each is a change of its own in
//! the lane that never waits, so that a list that was broken off is simply given again: what is over
//! stays over, and the answer says of each what became of it.

use futures_util::future::join_all;

use crate::broker::outstanding::CredentialState;
use crate::broker::revoke::{Ending, Order, TaskRef, unsettled};
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::sift::Tally;
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::domain::credential::CredentialRecord;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::key::Thumbprint;
use crate::domain::lineage::Lineage;
use crate::domain::task::{End, Task};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, Subject};

/// What is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Task(TaskId),
    Lineage(LineageId),
    Credential(CredentialId),
    /// Under whatever task, until then.
    Workload(SpiffeId, Timestamp),
    /// Wherever it is shown, until then.
    Key(Thumbprint, Timestamp),
}

/// What became of one target.
#[derive(Debug)]
pub struct Fate {
    pub target: Target,
    pub done: Done,
    /// What is out under it, by where it stands now; nothing is counted for workloads and keys.
    pub tally: Tally,
}

/// What was done.
#[derive(Debug)]
pub enum Done {
    Revoked,
    /// It had ended before.
    AlreadyOver,
    Absent,
    /// It could not be revoked, or nobody knows: give it again.
    Stuck(Error),
}

impl Broker {
    /// Revokes each, together.
    pub async fn revoke_many(&self, targets: Vec<Target>, order: &Order) -> Vec<Fate> {
        join_all(targets.into_iter().map(|t| self.revoke_one(t, order))).await
    }

    async fn revoke_one(&self, target: Target, order: &Order) -> Fate {
        let revoked = match &target {
            Target::Task(id) => self.revoke_task(*id, order).await,
            Target::Lineage(id) => self.revoke_lineage(*id, order).await,
            Target::Credential(id) => self.revoke_credential(*id, order).await,
            Target::Workload(id, until) => {
                self.bar(
                    BarKey::Workload(id.clone()),
                    *until,
                    Subject::default(),
                    order,
                )
                .await
            }
            Target::Key(key, until) => {
                self.bar(BarKey::SenderKey(*key), *until, Subject::default(), order)
                    .await
            }
        };
        let (done, tally) = match revoked {
            Ok((done, tally)) => (done, tally),
            Err(error) if error.code() == Code::NotFound => (Done::Absent, Tally::default()),
            Err(error) => (Done::Stuck(error), Tally::default()),
        };
        Fate {
            target,
            done,
            tally,
        }
    }

    async fn revoke_task(&self, id: TaskId, order: &Order) -> Result<(Done, Tally), Error> {
        let which = TaskRef::Id(id);
        let reach = self.end_task(&which, Ending::Revoke, order).await?;
        let done = if reach.already {
            Done::AlreadyOver
        } else {
            Done::Revoked
        };
        Ok((done, Tally::of(reach.credentials.iter())))
    }

    async fn revoke_lineage(&self, id: LineageId, order: &Order) -> Result<(Done, Tally), Error> {
        for _ in 0..ATTEMPTS {
            let found = self.lineage_and_task(id).await;
            let found = found.map_err(|down| unavailable(&down))?;
            let (task, lineage) = found.ok_or_else(absent)?;
            let end = End {
                by: Some(order.by.clone()),
                reason: order.reason.clone(),
                ..End::new(Code::LineageEnded, self.clock.now())
            };
            let Ok(ended) = lineage.clone().end(end) else {
                return Ok((Done::AlreadyOver, self.tally(&task, id).await?));
            };
            let event = Event::LineageRevoked {
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            let subject = subject(&task, &lineage);
            match self
                .order(vec![Write::Lineage(ended)], subject, event)
                .await
            {
                Ok(()) => return Ok((Done::Revoked, self.tally(&task, id).await?)),
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// One credential dies alone: its session goes on and gets another.
    async fn revoke_credential(
        &self,
        id: CredentialId,
        order: &Order,
    ) -> Result<(Done, Tally), Error> {
        let hit = self.bare_credential_hit(id).await;
        let hit = hit.map_err(|down| unavailable(&down))?.ok_or_else(absent)?;
        let (record, state) = hit.credential.ok_or_else(absent)?;
        if !matches!(state, CredentialState::Live) || record.expires_at <= self.clock.now() {
            return Ok((Done::AlreadyOver, Tally::of([(record, state)].iter())));
        }
        let until = record.expires_at;
        let key = BarKey::Credential(id);
        let (done, _) = self.bar(key, until, hit.subject, order).await?;
        let after = self.bare_credential_hit(id).await;
        let after = after.map_err(|down| unavailable(&down))?;
        let now = after.and_then(|hit| hit.credential);
        Ok((done, Tally::of(now.iter())))
    }

    async fn bar(
        &self,
        key: BarKey,
        until: Timestamp,
        subject: Subject,
        order: &Order,
    ) -> Result<(Done, Tally), Error> {
        let bar = Bar {
            key: key.clone(),
            at: self.clock.now(),
            until,
            by: Some(order.by.clone()),
            reason: order.reason.clone(),
        };
        let event = Event::BarSet {
            key,
            by: order.by.clone(),
            reason: order.reason.clone(),
        };
        self.order(vec![Write::Bar(bar)], subject, event)
            .await
            .map_err(unsettled)?;
        Ok((Done::Revoked, Tally::default()))
    }

    async fn tally(&self, task: &Task, lineage: LineageId) -> Result<Tally, Error> {
        let rows = self.outstanding(task).await?;
        let of_lineage =
            |(record, _): &&(CredentialRecord, CredentialState)| record.lineage == lineage;
        Ok(Tally::of(rows.iter().filter(of_lineage)))
    }
}

fn subject(task: &Task, lineage: &Lineage) -> Subject {
    Subject {
        task: Some(task.id),
        task_name: Some(task.name.clone()),
        lineage: Some(lineage.id),
        session: None,
        workload: Some(lineage.identity.id().clone()),
    }
}

fn absent() -> Error {
    Error::new(
        Code::NotFound,
        "there is nothing with this id, or it was over long ago",
    )
}
