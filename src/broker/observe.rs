//! Observe: what happened outside. A verified hint expires what is known at once; a re-read then
//! decides, and what justified a task and is over takes the task with it, without anybody asking.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::broker::settle::Unsettled;
use crate::broker::{ATTEMPTS, Broker, unavailable};
use crate::context::fact::{Fact, FactState};
use crate::domain::context::{Record, RecordKey, RecordKind};
use crate::domain::standing::Tied;
use crate::domain::task::End;
use crate::error::{Code, Error};
use crate::ledger::change::{SourceMark, Write};
use crate::ledger::entry::{Event, Subject};

/// Records that wait to be read again: each once, and no more than fit.
pub struct Rereads {
    waiting: Mutex<HashSet<RecordKey>>,
    /// Those that could not be read.
    failed: Mutex<HashSet<RecordKey>>,
    room: usize,
    bell: tokio::sync::Notify,
}

impl Rereads {
    pub fn new(room: usize) -> Self {
        Self {
            waiting: Mutex::new(HashSet::new()),
            failed: Mutex::new(HashSet::new()),
            room,
            bell: tokio::sync::Notify::new(),
        }
    }

    /// Asks for a record to be read again. Where there is no room the fact stays expired, and the
    /// next decision reads it.
    pub fn ask(&self, record: RecordKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < self.room {
            waiting.insert(record);
            self.bell.notify_one();
        }
    }

    /// Keeps a record that could not be read, to be asked for again.
    pub fn later(&self, record: RecordKey) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() < self.room {
            failed.insert(record);
        }
    }

    /// Asks again for every record that could not be read.
    pub fn ask_again(&self) {
        let failed =
            std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        for record in failed {
            self.ask(record);
        }
    }

    /// The next record to read.
    pub async fn next(&self) -> RecordKey {
        loop {
            let rung = self.bell.notified();
            let taken = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let next = waiting.iter().next().cloned();
                next.inspect(|record| {
                    waiting.remove(record);
                })
            };
            match taken {
                Some(record) => {
                    self.bell.notify_one();
                    return record;
                }
                None => rung.await,
            }
        }
    }
}

/// Why a record is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// A hint expired what was known: whatever came after it is news.
    Hinted,
    /// Nothing was heard of it for a while.
    Quiet,
}

impl Stale {
    const fn age(self) -> Duration {
        match self {
            Self::Hinted => Duration::MAX,
            Self::Quiet => QUIET,
        }
    }
}

impl Broker {
    /// Takes a verified hint: whatever was known of the records is expired from this moment on, and
    /// those that somebody stands on are read again.
    pub fn hint(&self, records: Vec<RecordKey>, rereads: &Rereads) {
        let now = self.clock.now();
        for record in records {
            self.observer.cache.expire(&record, now);
            rereads.ask(record);
        }
    }

    /// Reads a record again, and ends what stood on it if it is over. Says whether anybody stood on
    /// it; about a record that nobody stands on, no source is asked.
    ///
    /// # Errors
    /// The store or the source cannot be asked: nothing was ended.
    pub async fn reread(&self, record: &RecordKey, stale: Stale) -> Result<bool, Error> {
        let tied = self
            .store
            .bound(self.realm, record)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(locate) = tied.iter().find_map(|tied| {
            let binding = tied
                .lineage
                .bindings
                .iter()
                .find(|binding| binding.record == *record)?;
            Some(binding.locate.clone())
        }) else {
            return Ok(false);
        };
        if stale == Stale::Quiet && self.observer.goes_on(record, QUIET) {
            return Ok(false);
        }
        let fact = match self.observer.reread(record, &locate, stale.age()).await {
            FactState::Known(fact) => fact,
            FactState::Unavailable(why) => {
                return Err(
                    Error::new(Code::ContextUnavailable, "the record cannot be read")
                        .with_internal(why),
                );
            }
        };
        if !fact.record.as_ref().is_some_and(Record::is_over) {
            return Ok(true);
        }
        let mut tasks = BTreeSet::new();
        for tied in tied {
            // One end of a task is enough, however many lineages lead to it.
            if !ends_task(&fact) || tasks.insert(tied.task.id) {
                self.end_by_context(tied, &fact).await?;
            }
        }
        Ok(true)
    }

    /// A run that is over for good ends its task; a job that is over ends its lineage, and so does a
    /// run that may be started again.
    async fn end_by_context(&self, tied: Tied, fact: &Fact) -> Result<(), Error> {
        let field = format!("{}.status", fact.key.kind);
        let mut current = tied;
        for _ in 0..ATTEMPTS {
            let end = End {
                field: Some(field.clone()),
                ..End::new(Code::ContextEnded, self.clock.now())
            };
            let (task, lineage) = (current.task.clone(), current.lineage.clone());
            let ended = if ends_task(fact) {
                task.end(end).map(Write::Task)
            } else {
                lineage.end(end).map(Write::Lineage)
            };
            let Ok(write) = ended else { return Ok(()) };
            let mut writes = vec![write];
            writes.extend(fact.version.clone().map(|version| {
                Write::Source(SourceMark {
                    record: fact.key.clone(),
                    version,
                    observed_at: fact.observed_at,
                })
            }));
            let value = fact
                .record
                .as_ref()
                .and_then(|r| r.field("conclusion").or_else(|| r.field("status")));
            let event = Event::ContextEnded {
                record: fact.key.clone(),
                field: field.clone(),
                value: value.unwrap_or("completed").to_owned(),
            };
            match self.order(writes, subject(&current), event).await {
                Ok(()) => return Ok(()),
                Err(Unsettled::Again) => match self.again(&current, fact).await? {
                    Some(tied) => current = tied,
                    None => return Ok(()),
                },
                Err(other) => return Err(super::revoke::unsettled(other)),
            }
        }
        Ok(())
    }

    /// The same tie as it stands now; `None` when it has ended meanwhile.
    async fn again(&self, tied: &Tied, fact: &Fact) -> Result<Option<Tied>, Error> {
        let now = self
            .store
            .bound(self.realm, &fact.key)
            .await
            .map_err(|down| unavailable(&down))?;
        Ok(now
            .into_iter()
            .find(|other| other.lineage.id == tied.lineage.id))
    }
}

/// Whether nothing can come after it that the task would be there for.
fn ends_task(fact: &Fact) -> bool {
    let terminal = fact.record.as_ref().is_some_and(Record::is_terminal);
    fact.key.kind == RecordKind::Pipeline && terminal
}

fn subject(tied: &Tied) -> Subject {
    Subject {
        task: Some(tied.task.id),
        task_name: Some(tied.task.name.clone()),
        lineage: Some(tied.lineage.id),
        session: None,
        workload: Some(tied.lineage.identity.id().clone()),
    }
}

/// How long a record may be quiet before it is asked about.
const QUIET: Duration = Duration::from_mins(2);
