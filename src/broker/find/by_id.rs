//! By id. Rows answer while they are kept. After that the id itself does: it tells the millisecond in
//! which it was made, and the entry of that moment is in the log for good.

use std::time::Duration;

use super::{By, Found, Hit, Looked};
use crate::broker::Broker;
use crate::broker::outstanding::CredentialState;
use crate::domain::credential::{CredentialRecord, RecallClass};
use crate::domain::ids::{CredentialId, LineageId, ReservationId, SessionId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::position::DenialId;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::ledger::change::Write;
use crate::ledger::entry::{Leaf, Subject};
use crate::store::{Down, StoredEntry};

impl Broker {
    pub(super) async fn task_hit(&self, id: TaskId) -> Looked<Option<Hit>> {
        if let Some(task) = self.store.task(self.realm, id).await? {
            return Ok(Some(Hit::of_task(By::Task, task)));
        }
        let made = |write: &Write| matches!(write, Write::Task(task) if task.id == id);
        let leaf = self.maker(id.made_at(), made).await?;
        Ok(leaf.map(|leaf| {
            let subject = Subject {
                task: leaf.subject.task,
                task_name: leaf.subject.task_name,
                ..Subject::default()
            };
            swept(By::Task, subject, None)
        }))
    }

    pub(super) async fn lineage_hit(&self, id: LineageId) -> Looked<Option<Hit>> {
        if let Some((task, lineage)) = self.lineage_and_task(id).await? {
            return Ok(Some(Hit::of_lineage(By::Lineage, task, lineage)));
        }
        let made = |write: &Write| matches!(write, Write::Lineage(lineage) if lineage.id == id);
        let leaf = self.maker(id.made_at(), made).await?;
        Ok(leaf.map(|leaf| {
            let subject = Subject {
                session: None,
                ..leaf.subject
            };
            swept(By::Lineage, subject, None)
        }))
    }

    pub(super) async fn session_hit(&self, by: By, id: SessionId) -> Looked<Option<Hit>> {
        if let Some(held) = self.store.held(self.realm, id).await? {
            let mut hit = Hit::of_lineage(by, held.task, held.lineage);
            hit.subject.session = Some(id);
            hit.session = Some(held.session);
            return Ok(Some(hit));
        }
        let made = |write: &Write| matches!(write, Write::Session(session) if session.id == id);
        let leaf = self.maker(id.made_at(), made).await?;
        Ok(leaf.map(|leaf| swept(by, leaf.subject, None)))
    }

    /// A credential whose lineage is known.
    pub(super) async fn credential_hit(
        &self,
        by: By,
        lineage: LineageId,
        id: CredentialId,
    ) -> Looked<Option<Hit>> {
        match self.store.credential(self.realm, lineage, id).await? {
            Some(record) => self.standing_hit(by, record).await,
            None => Ok(self
                .bare_credential_hit(id)
                .await?
                .map(|hit| Hit { by, ..hit })),
        }
    }

    /// A credential of which nothing is known but its id.
    pub(in crate::broker) async fn bare_credential_hit(
        &self,
        id: CredentialId,
    ) -> Looked<Option<Hit>> {
        let made = |write: &Write| matches!(write, Write::Credential(record) if record.id == id);
        let Some(leaf) = self.maker(id.made_at(), made).await? else {
            return Ok(None);
        };
        let mut records = leaf.writes.iter().filter_map(Write::credential);
        let record = records.find(|record| record.id == id).cloned();
        let Some(record) = record else {
            return Ok(None);
        };
        let standing = self.standing_hit(By::Credential, record.clone()).await?;
        Ok(standing.or_else(|| Some(swept(By::Credential, leaf.subject, Some(record)))))
    }

    /// Whoever reserved it.
    pub(super) async fn permit_hit(&self, id: ReservationId) -> Looked<Option<Hit>> {
        let made = |write: &Write| matches!(write, Write::Reservation(one) if one.id == id);
        let Some(leaf) = self.maker(id.made_at(), made).await? else {
            return Ok(None);
        };
        let Some(lineage) = leaf.subject.lineage else {
            return Ok(None);
        };
        let hit = match self.lineage_and_task(lineage).await? {
            Some((task, lineage)) => Hit::of_lineage(By::Permit, task, lineage),
            None => swept(By::Permit, leaf.subject, None),
        };
        Ok(Some(hit))
    }

    /// The refusal's own subject: the task may never have been opened.
    pub(super) async fn denial_hit(&self, id: DenialId) -> Looked<Option<Hit>> {
        let Some(entry) = self.store.entry(id.0).await? else {
            return Ok(None);
        };
        let leaf = read(&entry)?;
        if leaf.realm != self.realm || !leaf.event.is_refusal() {
            return Ok(None);
        }
        let task = match leaf.subject.task {
            Some(task) => self.store.task(self.realm, task).await?,
            None => None,
        };
        let hit = swept(By::Denial, leaf.subject, None);
        Ok(Some(Hit { task, ..hit }))
    }

    /// A credential with everything that it hangs on, where that is still kept.
    pub(super) async fn standing_hit(
        &self,
        by: By,
        record: CredentialRecord,
    ) -> Looked<Option<Hit>> {
        let Some(held) = self.store.held(self.realm, record.session).await? else {
            return Ok(None);
        };
        let (task, lineage, session): (Task, Lineage, Session) =
            (held.task, held.lineage, held.session);
        let mut grounds = self.grounds(&task, false).await?;
        grounds.lineages.insert(lineage.id, lineage.clone());
        grounds.sessions.insert(session.id, session.clone());
        let state = grounds.state(&record);
        let mut hit = Hit::of_lineage(by, task.clone(), lineage);
        hit.subject.session = Some(session.id);
        hit.session = Some(session);
        hit.credential = Some((record, state));
        Ok(Some(hit))
    }

    pub(in crate::broker) async fn lineage_and_task(
        &self,
        id: LineageId,
    ) -> Looked<Option<(Task, Lineage)>> {
        let Some(lineage) = self.store.lineage(self.realm, id).await? else {
            return Ok(None);
        };
        let task = self.store.task(self.realm, lineage.task).await?;
        Ok(task.map(|task| (task, lineage)))
    }

    /// The entry that wrote something of this moment first.
    async fn maker(&self, at: Timestamp, wrote: impl Fn(&Write) -> bool) -> Looked<Option<Leaf>> {
        let until = at.plus(Duration::from_millis(1));
        let entries = self.store.made_between(self.realm, at, until, MOST_MAKERS);
        for entry in entries.await? {
            let leaf = read(&entry)?;
            if leaf.writes.iter().any(&wrote) {
                return Ok(Some(leaf));
            }
        }
        Ok(None)
    }
}

impl Found {
    pub(super) fn many(hits: Vec<Hit>, more: bool) -> Self {
        Self { hits, more }
    }
}

/// What the log says of something whose rows are gone: it is over, but what was read stays read.
fn swept(by: By, subject: Subject, record: Option<CredentialRecord>) -> Hit {
    let credential = record.map(|record| {
        let state = match record.recall {
            RecallClass::None => CredentialState::Exposed,
            RecallClass::Online | RecallClass::List | RecallClass::Expiry => {
                CredentialState::Expired
            }
        };
        (record, state)
    });
    Hit {
        by,
        subject,
        task: None,
        lineage: None,
        session: None,
        credential,
    }
}

pub(in crate::broker) fn read(entry: &StoredEntry) -> Looked<Leaf> {
    serde_json::from_slice(&entry.leaf)
        .map_err(|e| Down(format!("an entry of the log cannot be read: {e}")))
}

/// How many entries one millisecond can hold, and more.
const MOST_MAKERS: u32 = 1_000;
