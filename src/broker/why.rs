//! Why: the refusals about a run, a task or one denial, and the events behind them. Refusals that came
//! before there was a task are found by what the evidence named.

use std::collections::BTreeSet;

use crate::broker::find::clue::{Clue, RunPage};
use crate::broker::find::read;
use crate::broker::{Broker, unavailable};
use crate::domain::context::RecordKey;
use crate::domain::ids::TaskId;
use crate::domain::position::Position;
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::entry::{Event, Leaf, Refused};
use crate::store::inquiry::{Mark, Sort};
use crate::store::{Down, StoredEntry};

/// What is known about a refusal, or about the refusals of something.
#[derive(Debug, Default)]
pub struct Why {
    pub tasks: Vec<Task>,
    /// Newest first.
    pub refusals: Vec<(StoredEntry, Leaf)>,
    /// What else happened to the tasks, newest first.
    pub events: Vec<(StoredEntry, Leaf)>,
    /// Older refusals were not looked through.
    pub more: bool,
}

impl Broker {
    /// What was refused about something, and what happened before.
    pub async fn why(&self, clue: &Clue) -> Result<Why, Error> {
        let told = match clue {
            Clue::Denial(id) => self.why_denied(self.explain(*id).await?).await,
            Clue::Task(_)
            | Clue::Lineage(_)
            | Clue::Session(_)
            | Clue::Credential(_)
            | Clue::Permit(_)
            | Clue::Serial(_)
            | Clue::Claim(..)
            | Clue::Page(_)
            | Clue::Name(_)
            | Clue::Workload(_)
            | Clue::Word(_) => self.why_about(clue).await,
        };
        let told = told.map_err(|down| unavailable(&down))?;
        if told.tasks.is_empty() && told.refusals.is_empty() {
            let text = "nothing is recorded about it: no task, and no refusal among the newest";
            return Err(Error::new(Code::NotFound, text));
        }
        Ok(told)
    }

    /// One denial: its task's history up to it.
    async fn why_denied(&self, (entry, leaf): (StoredEntry, Leaf)) -> Result<Why, Down> {
        let mut told = Why::default();
        if let Some(id) = leaf.subject.task {
            told.tasks.extend(self.store.task(self.realm, id).await?);
            let until = entry.at;
            self.tell(id, &mut told, |entry| entry.at <= until).await?;
        }
        told.refusals
            .retain(|(known, _)| known.position != entry.position);
        told.refusals.insert(0, (entry, leaf));
        Ok(told)
    }

    async fn why_about(&self, clue: &Clue) -> Result<Why, Down> {
        let ids = self.tasks_of(clue).await?;
        let mut told = Why::default();
        for id in ids.iter().take(MOST_TASKS) {
            told.tasks.extend(self.store.task(self.realm, *id).await?);
            self.tell(*id, &mut told, |_| true).await?;
        }
        self.before_a_task(clue, &mut told).await?;
        told.settle();
        Ok(told)
    }

    /// Adds the history of one task.
    async fn tell(
        &self,
        task: TaskId,
        told: &mut Why,
        fits: impl Fn(&StoredEntry) -> bool,
    ) -> Result<(), Down> {
        let entries = self.store.entries(self.realm, task, HISTORY).await?;
        for entry in entries.into_iter().filter(fits) {
            let leaf = read(&entry)?;
            if leaf.event.is_refusal() {
                told.refusals.push((entry, leaf));
            } else {
                told.events.push((entry, leaf));
            }
        }
        Ok(())
    }

    /// Adds refusals that no task's history has.
    async fn before_a_task(&self, clue: &Clue, told: &mut Why) -> Result<(), Down> {
        let mut before = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .store
                .newest_entries(self.realm, Sort::Refusals, before, PAGE);
            let page = page.await?;
            before = page.last().map(Mark::from);
            let whole = page.len() < PAGE as usize;
            for entry in page {
                let leaf = read(&entry)?;
                if leaf.subject.task.is_none() && is_about(&leaf, clue) {
                    told.refusals.push((entry, leaf));
                }
            }
            if whole {
                return Ok(());
            }
        }
        told.more = true;
        Ok(())
    }
}

impl Why {
    /// Newest first, each once, and as many as are read.
    fn settle(&mut self) {
        for told in [&mut self.refusals, &mut self.events] {
            told.sort_by_key(|(entry, _)| std::cmp::Reverse((entry.at, entry.position)));
            let mut seen: BTreeSet<Position> = BTreeSet::new();
            told.retain(|(entry, _)| seen.insert(entry.position));
        }
        self.more |= self.refusals.len() > MOST_REFUSALS;
        self.refusals.truncate(MOST_REFUSALS);
        self.events.truncate(MOST_EVENTS);
    }
}

/// Whether a refusal that names no task is about what is asked for.
fn is_about(leaf: &Leaf, clue: &Clue) -> bool {
    let (Event::Denied(refused) | Event::Undetermined(refused)) = &leaf.event else {
        return false;
    };
    match clue {
        Clue::Page(page) => names(refused).any(|record| is_of_page(record, page)),
        Clue::Name(name) => {
            let by_record = |r: &RecordKey| format!("{}/{}", r.source, r.id) == name.as_str();
            leaf.subject.task_name.as_ref() == Some(name) || names(refused).any(by_record)
        }
        Clue::Word(word) => names(refused).any(|r| r.id.split('/').any(|part| part == word)),
        Clue::Claim(claim, value) => refused
            .identity
            .as_ref()
            .is_some_and(|identity| identity.fixed().get(claim) == Some(value)),
        Clue::Workload(id) => leaf.subject.workload.as_ref() == Some(id),
        Clue::Task(_)
        | Clue::Lineage(_)
        | Clue::Session(_)
        | Clue::Credential(_)
        | Clue::Permit(_)
        | Clue::Serial(_)
        | Clue::Denial(_) => false,
    }
}

/// The records that the evidence named, and those that were looked at.
fn names(refused: &Refused) -> impl Iterator<Item = &RecordKey> {
    let facts = refused.facts.iter().map(|fact| &fact.record);
    refused.about.iter().chain(facts)
}

/// Ids of runs and jobs are repository, run and, where there is one, attempt and job.
fn is_of_page(record: &RecordKey, page: &RunPage) -> bool {
    let parts: Vec<_> = record.id.split('/').collect();
    let run = page.run.as_ref().map(|(_, run)| run.as_str());
    let of_run = run.is_none_or(|run| parts.get(1) == Some(&run));
    let job = page.job.as_deref();
    let of_job = job.is_none_or(|job| parts.last() == Some(&job));
    (run.is_some() || job.is_some()) && of_run && of_job
}

/// How much of one task's history is looked at.
const HISTORY: u32 = 200;

const MOST_TASKS: usize = 5;
const MOST_REFUSALS: usize = 20;
const MOST_EVENTS: usize = 30;

const PAGE: u32 = 500;
/// How many pages of refusals are looked through for those without a task.
const MOST_PAGES: usize = 10;
