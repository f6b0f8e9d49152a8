//! Observe: what happened outside. A verified hint expires what is known at once; a re-read then
//! decides, and what justified a task and is over, or not what it was, takes with it what stood on it,
//! without anybody asking.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::broker::settle::Unsettled;
use crate::broker::{ATTEMPTS, Broker, unavailable};
use crate::context::fact::{Fact, FactState};
use crate::decide::denial::Ends;
use crate::domain::context::{RecordKey, RecordKind};
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

/// Why what stands on a record has to end.
struct Cause {
    code: Code,
    field: String,
    value: String,
    ends: Ends,
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

    /// Reads a record again, and ends what stood on it if it is over or no longer what was pinned. Says
    /// whether anybody stood on it; about a record that nobody stands on, no source is asked.
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
        let mut tasks = BTreeSet::new();
        for tied in tied {
            let Some(cause) = cause(&tied, &fact) else {
                continue;
            };
            // One end of a task is enough, however many lineages lead to it.
            if cause.ends == Ends::Lineage || tasks.insert(tied.task.id) {
                self.end_by_context(tied, &fact, &cause).await?;
            }
        }
        Ok(true)
    }

    /// Ends a task or lineage by what was read, in a change that says so.
    async fn end_by_context(&self, tied: Tied, fact: &Fact, cause: &Cause) -> Result<(), Error> {
        let mut current = tied;
        for _ in 0..ATTEMPTS {
            let end = End {
                field: Some(cause.field.clone()),
                ..End::new(cause.code, self.clock.now())
            };
            let (task, lineage) = (current.task.clone(), current.lineage.clone());
            let ended = match cause.ends {
                Ends::Task => task.end(end).map(Write::Task),
                Ends::Lineage => lineage.end(end).map(Write::Lineage),
                Ends::Nothing => return Ok(()),
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
            let event = Event::ContextEnded {
                record: fact.key.clone(),
                field: cause.field.clone(),
                value: cause.value.clone(),
                code: (cause.code != Code::ContextEnded).then_some(cause.code),
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

/// What a record as it was read ends of a tie. A run or case that is over for good ends its task: nothing
/// can come after it. A job that is over ends its lineage, and so does what may be started again, and a
/// field that is not what it was when the lineage opened.
fn cause(tied: &Tied, fact: &Fact) -> Option<Cause> {
    let record = fact.record.as_ref()?;
    let kind = fact.key.kind;
    if record.is_over() {
        let value = record
            .field("conclusion")
            .or_else(|| record.field("status"));
        let whole = matches!(kind, RecordKind::Pipeline | RecordKind::Case);
        return Some(Cause {
            code: Code::ContextEnded,
            field: format!("{kind}.status"),
            value: value.unwrap_or("completed").to_owned(),
            ends: if whole && record.is_terminal() {
                Ends::Task
            } else {
                Ends::Lineage
            },
        });
    }
    let bindings = tied.lineage.bindings.iter();
    let mut pins = bindings
        .filter(|binding| binding.record == fact.key)
        .flat_map(|binding| &binding.pins);
    let (name, _) = pins.find(|(name, pin)| record.field(name) != Some(pin.as_str()))?;
    Some(Cause {
        code: Code::ContextMismatch,
        field: format!("{kind}.{name}"),
        value: record.field(name).unwrap_or("(absent)").to_owned(),
        ends: Ends::Lineage,
    })
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
