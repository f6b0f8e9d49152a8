//! Live rows by the million: one real issue is taken from the log and committed again and again under
//! other names, through the store as the broker wires it. What lies there is what issues leave: task,
//! lineage, bindings, session, credential, single-use key, entry and leaf.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use writ::broker::Broker;
use writ::cli::wire::{Wired, wire};
use writ::domain::ids::{ChangeId, CredentialId, LineageId, SessionId, TaskId};
use writ::domain::key::Digest;
use writ::domain::name::TaskName;
use writ::domain::time::Timestamp;
use writ::ledger::change::{Change, Expectation, Lane, Write};
use writ::ledger::entry::{Entry, Event, Leaf, Subject};
use writ::seams::{Clock as _, SystemClock, SystemEntropy};

use crate::fault::Fault;

/// Writes `rows` live credentials, each under a task of its own, and brings the audit tree up to
/// them. The broker must not be running.
pub(crate) async fn fill(config: PathBuf, rows: u64) -> Result<u64, Fault> {
    let told = |problems: Vec<writ::config::Problem>| {
        let first = problems.first().map(ToString::to_string);
        Fault::Other(first.unwrap_or_default())
    };
    let config = writ::config::load(&config).map_err(told)?;
    let wired = wire(&config, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let wired = wired.await.map_err(Fault::of)?;
    let issue = &some_issue(&wired.broker).await?;
    let store = &wired.broker.store;
    stream::iter(0..rows)
        .map(|number| async move {
            let change = again(issue, number)?;
            store.commit(change).await.map_err(Fault::of)
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_receipt| async { Ok(()) })
        .await?;
    sequence(&wired).await?;
    store.close().await;
    Ok(rows)
}

async fn sequence(wired: &Wired) -> Result<(), Fault> {
    while wired
        .sequencer
        .run(SystemClock.now())
        .await
        .map_err(Fault::of)?
        .more
    {}
    Ok(())
}

/// The issue that opened one of the newest tasks.
async fn some_issue(broker: &Broker) -> Result<Leaf, Fault> {
    for task in broker.tasks(None, LOOKED_AT).await.map_err(Fault::of)? {
        let entries = broker.history(task.id, ENTRIES).await;
        let opened = |leaf: &Leaf| matches!(leaf.writes.first(), Some(Write::Task(_)));
        let found = entries
            .map_err(Fault::of)?
            .into_iter()
            .map(|(_, leaf)| leaf)
            .find(|leaf| matches!(leaf.event, Event::Issued(_)) && opened(leaf));
        if let Some(leaf) = found {
            return Ok(leaf);
        }
    }
    Err(Fault::of("no issue was found to be repeated"))
}

/// The ids of one repetition.
struct Ids {
    number: u64,
    name: TaskName,
    task: TaskId,
    lineage: LineageId,
    session: SessionId,
    credential: CredentialId,
    until: Timestamp,
}

fn again(issue: &Leaf, number: u64) -> Result<Change, Fault> {
    let now = SystemClock.now();
    let Some(Write::Task(task)) = issue.writes.first() else {
        return Err(Fault::of("not an issue that opened a task"));
    };
    let (source, _) = task.name.as_str().split_once('/').unwrap_or_default();
    let source = source.parse().map_err(Fault::of)?;
    let ids = Ids {
        number,
        name: TaskName::new(&source, &format!("again/{number}/1")).map_err(Fault::of)?,
        task: TaskId::new(now, &SystemEntropy),
        lineage: LineageId::new(now, &SystemEntropy),
        session: SessionId::new(now, &SystemEntropy),
        credential: CredentialId::new(now, &SystemEntropy),
        until: now.plus(LIVE),
    };
    Ok(Change {
        id: ChangeId::new(now, &SystemEntropy),
        realm: issue.realm,
        lane: Lane::Issue,
        expects: issue.expects.iter().map(|e| ids.expected(e)).collect(),
        writes: issue.writes.iter().map(|w| ids.written(w)).collect(),
        entry: Entry {
            at: now,
            subject: Subject {
                task: Some(ids.task),
                task_name: Some(ids.name.clone()),
                lineage: Some(ids.lineage),
                session: Some(ids.session),
                workload: issue.subject.workload.clone(),
            },
            event: issue.event.clone(),
        },
    })
}

impl Ids {
    fn expected(&self, expectation: &Expectation) -> Expectation {
        if matches!(expectation, Expectation::Before { .. }) {
            return Expectation::Before { at: self.until };
        }
        expectation.clone()
    }

    fn written(&self, write: &Write) -> Write {
        let mut write = write.clone();
        match &mut write {
            Write::Task(task) => {
                task.id = self.task;
                task.name = self.name.clone();
                task.deadline = self.until;
            }
            Write::Lineage(lineage) => {
                (lineage.id, lineage.task) = (self.lineage, self.task);
                lineage.deadline = self.until;
                for binding in &mut lineage.bindings {
                    binding.record.id = format!("again/{}", self.number);
                }
            }
            Write::Session(session) => {
                (session.id, session.lineage) = (self.session, self.lineage);
                (session.deadline, session.expires_at) = (self.until, self.until);
            }
            Write::Credential(credential) => {
                (credential.id, credential.session) = (self.credential, self.session);
                credential.lineage = self.lineage;
                credential.expires_at = self.until;
            }
            Write::Once(once) => {
                once.until = self.until;
                once.session = Some(self.session);
                once.digest = Digest::of(&[once.digest.as_bytes(), &self.number.to_be_bytes()]);
            }
            Write::Spend { task, .. } => *task = self.task,
            Write::Bar(_)
            | Write::Source(_)
            | Write::Secret(_)
            | Write::SecretDeleted { .. }
            | Write::Key(_)
            | Write::Freeze(_)
            | Write::Answered(_)
            | Write::Reservation(_) => {}
        }
        write
    }
}

/// Longer than the rest of the run.
const LIVE: Duration = Duration::from_hours(1);

/// Changes that wait at one time: whole batches, and fewer than the lane takes.
const AT_ONCE: usize = 2_048;

/// Tasks among which an issue is looked for.
const LOOKED_AT: u32 = 50;

/// Entries of each: its opening is the oldest, and some paths leave a thousand behind it.
const ENTRIES: u32 = 5_000;
