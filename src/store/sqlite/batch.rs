//! A batch as SQLite writes it: what the changes wrote is gathered per table, each row in its newest
//! form, and each table gets one statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnection;
use writ_keys::KeyRow;

use super::gate::Transaction;
use super::{
    Db, answered, bar, binding, certificate, credential, entry, freeze, key, lineage, once,
    reservation, secret, session, source, spent, task,
};
use crate::domain::context::RecordKey;
use crate::domain::credential::CredentialRecord;
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::grant::SecretPath;
use crate::domain::ids::{LineageId, Realm, ReservationId, SessionId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::GrantName;
use crate::domain::position::Position;
use crate::domain::reservation::Reservation;
use crate::domain::session::Session;
use crate::domain::task::{Epoch, Task};
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::ledger::bar::{Bar, BarKey};
use crate::ledger::change::{Change, Once, SealedVersion, SourceMark, Write};
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Backend, Batch, CommitFault, Keys, Ledgers, Placed};

pub(super) struct SqliteBackend(pub(super) Arc<Db>);

struct SqliteBatch {
    transaction: Transaction,
    mac: Arc<dyn RowMac>,
}

impl Backend for SqliteBackend {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Batch>, Down>> {
        Box::pin(async move {
            let transaction = self.0.gate.begin().await?;
            let mac = Arc::clone(&self.0.mac);
            Ok(Box::new(SqliteBatch { transaction, mac }) as Box<dyn Batch>)
        })
    }

    fn recorded(&self, at: Position) -> BoxFuture<'_, Result<bool, Down>> {
        Box::pin(async move {
            let mut db = self.0.reader().await?;
            Ok(entry::at(&mut db, at).await?.is_some())
        })
    }
}

impl Batch for SqliteBatch {
    fn lock(&mut self, mut keys: Keys) -> BoxFuture<'_, Result<Ledgers, Down>> {
        Box::pin(async move {
            let (db, mac) = (self.transaction.db(), self.mac.as_ref());
            let mut rows = Ledgers::default();
            session::load(db, mac, &keys, &mut rows).await?;
            lineage::load(db, mac, &mut keys, &mut rows).await?;
            task::load(db, mac, &keys, &mut rows).await?;
            credential::load(db, mac, &keys, &mut rows).await?;
            spent::load(db, mac, &keys, &mut rows).await?;
            reservation::load(db, mac, &keys, &mut rows).await?;
            bar::load(db, mac, &keys, &mut rows).await?;
            freeze::load(db, mac, &keys, &mut rows).await?;
            answered::load(db, mac, &keys, &mut rows).await?;
            secret::load(db, mac, &keys, &mut rows).await?;
            Ok(rows)
        })
    }

    fn claim<'a>(
        &'a mut self,
        once: &'a [(Realm, Once)],
    ) -> BoxFuture<'a, Result<Vec<(Realm, Once)>, Down>> {
        Box::pin(once::used(self.transaction.db(), once))
    }

    fn write<'a>(
        &'a mut self,
        admitted: &'a [Placed<'a>],
        after: &'a Ledgers,
    ) -> BoxFuture<'a, Result<(), Down>> {
        Box::pin(async move {
            let (db, mac) = (self.transaction.db(), self.mac.as_ref());
            let gathered = Gathered::of(admitted.iter().map(|placed| placed.change))?;
            gathered.write_rows(db, mac, after).await?;
            gathered.write_sealed(db, mac).await?;
            entry::write(db, admitted).await
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), CommitFault>> {
        Box::pin(async move { self.transaction.commit().await.map_err(fault) })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.transaction.rollback())
    }
}

/// What a batch writes, per table.
#[derive(Default)]
struct Gathered<'a> {
    tasks: BTreeMap<(Realm, TaskId), &'a Task>,
    lineages: BTreeMap<(Realm, LineageId), &'a Lineage>,
    opened: Vec<(Realm, &'a Lineage)>,
    ended: Vec<(Realm, &'a Lineage)>,
    sessions: BTreeMap<(Realm, SessionId), &'a Session>,
    credentials: Vec<(Realm, &'a CredentialRecord)>,
    once: Vec<(Realm, &'a Once)>,
    spent: BTreeSet<(Realm, TaskId, &'a GrantName)>,
    reservations: BTreeMap<(Realm, ReservationId), &'a Reservation>,
    bars: BTreeMap<(Realm, &'a BarKey), &'a Bar>,
    freezes: BTreeMap<(Realm, &'a FreezeScope), &'a Freeze>,
    answered: Vec<(Realm, &'a Answered)>,
    marks: BTreeMap<(Realm, &'a RecordKey), &'a SourceMark>,
    sealed: Vec<Sealed<'a>>,
}

/// What is written one by one, in the order in which it was asked for.
enum Sealed<'a> {
    Secret(Realm, &'a SealedVersion),
    Deleted(Realm, &'a SecretPath, Timestamp),
    Key(&'a KeyRow),
}

impl<'a> Gathered<'a> {
    fn of(changes: impl Iterator<Item = &'a Change>) -> Result<Self, Down> {
        let mut gathered = Self::default();
        for change in changes {
            for write in &change.writes {
                gathered.add(change, write)?;
            }
        }
        Ok(gathered)
    }

    fn add(&mut self, change: &'a Change, write: &'a Write) -> Result<(), Down> {
        let realm = change.realm;
        match write {
            Write::Task(task) => {
                self.tasks.insert((realm, task.id), task);
            }
            Write::Lineage(lineage) => {
                if lineage.epoch == Epoch::FIRST {
                    self.opened.push((realm, lineage));
                } else if lineage.is_over() {
                    self.ended.push((realm, lineage));
                }
                self.lineages.insert((realm, lineage.id), lineage);
            }
            Write::Session(session) => {
                self.sessions.insert((realm, session.id), session);
            }
            Write::Credential(credential) => self.credentials.push((realm, credential)),
            Write::Once(once) => self.once.push((realm, once)),
            Write::Spend { task, grant, .. } => {
                self.spent.insert((realm, *task, grant));
            }
            Write::Bar(bar) => {
                let longest = self.bars.entry((realm, &bar.key)).or_insert(bar);
                if longest.until < bar.until {
                    *longest = bar;
                }
            }
            Write::Freeze(freeze) => {
                self.freezes.insert((realm, &freeze.scope), freeze);
            }
            Write::Reservation(one) => {
                self.reservations.insert((realm, one.id), one);
            }
            Write::Answered(answered) => self.answered.push((realm, answered)),
            Write::Source(mark) => {
                let latest = self.marks.entry((realm, &mark.record)).or_insert(mark);
                if latest.observed_at <= mark.observed_at {
                    *latest = mark;
                }
            }
            Write::Secret(version) => self.sealed.push(Sealed::Secret(realm, version)),
            Write::SecretDeleted { path } => {
                let deleted = Sealed::Deleted(realm, path, change.entry.at);
                self.sealed.push(deleted);
            }
            Write::Key(moved) => {
                let row = moved.row.as_ref();
                let row = row.ok_or_else(|| Down("a key was moved without its row".to_owned()))?;
                self.sealed.push(Sealed::Key(row));
            }
        }
        Ok(())
    }

    async fn write_rows(
        &self,
        db: &mut SqliteConnection,
        mac: &dyn RowMac,
        after: &Ledgers,
    ) -> Result<(), Down> {
        if !self.tasks.is_empty() {
            all(task::write(db, mac, &self.tasks).await?, &self.tasks)?;
        }
        if !self.lineages.is_empty() {
            all(
                lineage::write(db, mac, &self.lineages).await?,
                &self.lineages,
            )?;
            binding::open(db, &self.opened).await?;
            binding::close(db, &self.ended).await?;
        }
        if !self.sessions.is_empty() {
            all(
                session::write(db, mac, &self.sessions).await?,
                &self.sessions,
            )?;
        }
        if !self.credentials.is_empty() {
            credential::write(db, mac, &self.credentials).await?;
            certificate::write(db, &self.credentials).await?;
        }
        if !self.once.is_empty() {
            once::write(db, &self.once).await?;
        }
        if !self.spent.is_empty() {
            spent::write(db, mac, &self.spent, after).await?;
        }
        if !self.reservations.is_empty() {
            let written = reservation::write(db, mac, &self.reservations).await?;
            all(written, &self.reservations)?;
        }
        if !self.bars.is_empty() {
            bar::write(db, mac, &self.bars).await?;
        }
        if !self.freezes.is_empty() {
            all(freeze::write(db, mac, &self.freezes).await?, &self.freezes)?;
        }
        if !self.answered.is_empty() {
            answered::write(db, mac, &self.answered).await?;
        }
        if !self.marks.is_empty() {
            source::write(db, &self.marks).await?;
        }
        Ok(())
    }

    async fn write_sealed(&self, db: &mut SqliteConnection, mac: &dyn RowMac) -> Result<(), Down> {
        for sealed in &self.sealed {
            match sealed {
                Sealed::Secret(realm, version) => secret::write(db, mac, *realm, version).await?,
                Sealed::Deleted(realm, path, at) => {
                    secret::delete(db, mac, *realm, path, *at).await?;
                }
                Sealed::Key(row) => key::write(db, row).await?,
            }
        }
        Ok(())
    }
}

/// Every row was written: none had moved past the epoch that the fold saw.
fn all<K, V>(written: u64, wanted: &BTreeMap<K, V>) -> Result<(), Down> {
    if written == wanted.len() as u64 {
        return Ok(());
    }
    Err(Down("a row moved outside this server".to_owned()))
}

/// SQLite's primary result codes after which asking the same disk again proves nothing: a failed
/// write or sync may still reach it, or may be gone though it is read back from memory.
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const NOTADB: i32 = 26;

fn fault(error: sqlx::Error) -> CommitFault {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|extended| extended & 0xff);
    let down = super::row::down(error);
    match code {
        Some(IOERR | CORRUPT | NOTADB) => CommitFault::Fatal(down),
        Some(_) | None => CommitFault::InDoubt(down),
    }
}
