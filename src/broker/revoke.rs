//! Revoke: by token, handle, task. A revocation is a tombstone, not a deletion: it covers what is in
//! flight, and its answer says of each credential whether it is dead, or only unusable by when.

use crate::broker::outstanding::CredentialState;
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::domain::credential::CredentialRecord;
use crate::domain::ids::{ChangeId, TaskId};
use crate::domain::name::TaskName;
use crate::domain::secret::Secret;
use crate::domain::task::{End, Task};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::answered::Repeat;
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::change::{Change, Lane, Write};
use crate::ledger::entry::{Entry, Event, Subject};
use crate::mint::handle;

/// Which task, as an operator names it.
#[derive(Debug, Clone)]
pub enum TaskRef {
    Id(TaskId),
    Name(TaskName),
}

/// How a task ends by an operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The work is done.
    Close,
    /// The trust is withdrawn.
    Revoke,
}

/// Who says so, and why.
#[derive(Debug, Clone)]
pub struct Order {
    pub by: String,
    pub reason: Option<String>,
    /// By what it is known when it comes again, where it may.
    pub repeat: Option<Repeat>,
}

/// What a revocation reached.
#[derive(Debug)]
pub struct Reach {
    pub task: Option<Task>,
    /// It had already ended: nothing was changed.
    pub already: bool,
    pub credentials: Vec<(CredentialRecord, CredentialState)>,
}

impl Broker {
    /// Revokes what a caller holds (RFC 7009): a token dies alone, a handle ends its session.
    /// Possession suffices, and a text that is neither changes nothing and is no error (§2.2).
    pub async fn revoke_held(&self, held: &Secret) -> Result<(), Error> {
        let Some(text) = held.expose_str() else {
            return Ok(());
        };
        if handle::looks_like(text) {
            return self.revoke_session(text).await;
        }
        let Ok(token) = self.own_token(text) else {
            return Ok(());
        };
        let claims = &token.claims;
        let Some(until) =
            Timestamp::from_seconds(claims.exp).filter(|until| *until > self.clock.now())
        else {
            return Ok(());
        };
        let by = claims.sub.to_string();
        let subject = Subject {
            task: Some(claims.task),
            task_name: Some(claims.task_name.clone()),
            lineage: Some(claims.lineage),
            session: Some(claims.session),
            workload: Some(claims.sub.clone()),
        };
        let key = BarKey::Credential(claims.jti);
        let event = Event::CredentialRevoked {
            credential: claims.jti,
            by: by.clone(),
        };
        let bar = Bar {
            key,
            at: self.clock.now(),
            until,
            by: Some(by),
            reason: None,
        };
        self.order(vec![Write::Bar(bar)], subject, event)
            .await
            .map_err(unsettled)
    }

    async fn revoke_session(&self, text: &str) -> Result<(), Error> {
        let Some(session) = handle::session(&self.minter.keys.load(), text) else {
            return Ok(());
        };
        for _ in 0..ATTEMPTS {
            let held = self
                .store
                .held(self.realm, session)
                .await
                .map_err(|down| unavailable(&down))?;
            let Some(held) = held else { return Ok(()) };
            let now = self.clock.now();
            let by = held.lineage.identity.id().to_string();
            let Ok(ended) = held.session.end(End::new(Code::SessionEnded, now)) else {
                return Ok(());
            };
            let subject = Subject {
                task: Some(held.task.id),
                task_name: Some(held.task.name),
                lineage: Some(held.lineage.id),
                session: Some(ended.id),
                workload: Some(held.lineage.identity.id().clone()),
            };
            match self
                .order(
                    vec![Write::Session(ended)],
                    subject,
                    Event::SessionRevoked { by },
                )
                .await
            {
                Ok(()) => return Ok(()),
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// Ends a task by an operator's word, and says what that reached. A task that was never opened
    /// is barred by its name, so that it cannot be.
    pub async fn end_task(
        &self,
        which: &TaskRef,
        ending: Ending,
        order: &Order,
    ) -> Result<Reach, Error> {
        for _ in 0..ATTEMPTS {
            let Some(task) = self.find_task(which).await? else {
                let barred = self.bar_name(which, ending, order).await?;
                // Whoever opened it before the bar held has opened it by now.
                match self.find_task(which).await? {
                    None => return Ok(barred),
                    Some(_) => continue,
                }
            };
            let (by, reason) = (order.by.clone(), order.reason.clone());
            let (code, event) = match ending {
                Ending::Close => (Code::TaskClosed, Event::TaskClosed { by, reason }),
                Ending::Revoke => (Code::TaskRevoked, Event::TaskRevoked { by, reason }),
            };
            let end = End {
                by: Some(order.by.clone()),
                reason: order.reason.clone(),
                ..End::new(code, self.clock.now())
            };
            let Ok(ended) = task.clone().end(end) else {
                return self.reach(task, true).await;
            };
            let subject = Subject {
                task: Some(task.id),
                task_name: Some(task.name),
                ..Subject::default()
            };
            match self
                .order(vec![Write::Task(ended.clone())], subject, event)
                .await
            {
                Ok(()) => return self.reach(ended, false).await,
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// The task that an operator names.
    pub async fn find_task(&self, which: &TaskRef) -> Result<Option<Task>, Error> {
        let task = match which {
            TaskRef::Id(id) => self.store.task(self.realm, *id).await,
            TaskRef::Name(name) => self.store.task_named(self.realm, name).await,
        };
        task.map_err(|down| unavailable(&down))
    }

    async fn bar_name(
        &self,
        which: &TaskRef,
        ending: Ending,
        order: &Order,
    ) -> Result<Reach, Error> {
        let (TaskRef::Name(name), Ending::Revoke) = (which, ending) else {
            return Err(Error::new(Code::NotFound, "there is no such task"));
        };
        let now = self.clock.now();
        let key = BarKey::TaskName(name.clone());
        let event = Event::BarSet {
            key: key.clone(),
            by: order.by.clone(),
            reason: order.reason.clone(),
        };
        let bar = Bar {
            key,
            at: now,
            until: now.plus(NAME_BAR),
            by: Some(order.by.clone()),
            reason: order.reason.clone(),
        };
        let subject = Subject {
            task_name: Some(name.clone()),
            ..Subject::default()
        };
        self.order(vec![Write::Bar(bar)], subject, event)
            .await
            .map_err(unsettled)?;
        Ok(Reach {
            task: None,
            already: false,
            credentials: Vec::new(),
        })
    }

    /// What is still out under a task, and where each of it stands.
    pub async fn reach(&self, task: Task, already: bool) -> Result<Reach, Error> {
        Ok(Reach {
            credentials: self.outstanding(&task).await?,
            task: Some(task),
            already,
        })
    }

    /// Commits what somebody ordered, in the lane that never waits.
    pub(in crate::broker) async fn order(
        &self,
        writes: Vec<Write>,
        subject: Subject,
        event: Event,
    ) -> Result<(), Unsettled> {
        let now = self.clock.now();
        let change = Change {
            id: ChangeId::new(now, self.entropy.as_ref()),
            realm: self.realm,
            lane: Lane::Revoke,
            expects: Vec::new(),
            writes,
            entry: Entry {
                at: now,
                subject,
                event,
            },
        };
        self.commit(change).await.map(|_receipt| ())
    }
}

/// An order that did not go through, where nothing is to be decided again.
pub(in crate::broker) fn unsettled(unsettled: Unsettled) -> Error {
    match unsettled {
        Unsettled::Again | Unsettled::EvidenceUsed(_) => {
            Error::new(Code::Conflict, "somebody else changed it first")
        }
        Unsettled::Denied(denial) => Error::new(denial.code, denial.public),
        Unsettled::Failed(error) => error,
    }
}

/// A name that was never opened is barred for longer than any run lives.
const NAME_BAR: std::time::Duration = std::time::Duration::from_hours(72);
