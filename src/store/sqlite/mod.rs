//! The embedded store: SQLite in WAL mode with every commit synced, one process, one writing
//! connection, a few reading ones. One file per aggregate: its statements, and row to type and back.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::domain::context::RecordKey;
use crate::domain::credential::CredentialRecord;
use crate::domain::grant::SecretPath;
use crate::domain::ids::{CredentialId, LineageId, Realm, ReservationId, SessionId, TaskId};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::name::{InstanceName, TaskName};
use crate::domain::reservation::Reservation;
use crate::domain::standing::{Held, Standing, Tied};
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::ledger::change::{Change, OnceKind, SealedVersion, Write};
use crate::ledger::entry::touch_of;
use crate::seams::Clock;
use crate::store::row_mac::RowMac;
use crate::store::view::View;
use crate::store::writer::{Lanes, Place, Seat, Settings, Signals, Writer};
use crate::store::{CommitError, Down, OnceUsed, Receipt, Store};

mod answered;
mod backfill;
mod bar;
mod batch;
mod binding;
mod bulk;
mod certificate;
mod credential;
mod desk;
mod entry;
mod freeze;
mod gate;
mod inquiry;
mod key;
mod leaf;
mod lineage;
mod listing;
mod once;
mod open;
mod reservation;
mod row;
mod secret;
mod session;
mod source;
mod spent;
mod sweep;
mod task;
mod upkeep;

use desk::{Desk, Office};
use session::StandingKey;

pub use open::{OpenError, Opened};

/// The embedded store. It writes until it is closed, or until its last owner is gone.
pub struct SqliteStore {
    db: Arc<Db>,
    desks: Desks,
    lanes: Lanes,
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    signals: Signals,
    /// The backfill and the desks.
    tasks: TaskTracker,
    /// Ends them in a store that is dropped without being closed.
    _working: DropGuard,
}

/// Where the verbs' look-ups are handed in.
struct Desks {
    standing: Desk<StandingKey, Option<Standing>>,
    held: Desk<(Realm, SessionId), Option<Held>>,
    credential: Desk<(Realm, LineageId, CredentialId), Option<CredentialRecord>>,
    secret: Desk<(Realm, SecretPath), Option<SealedVersion>>,
}

/// What the store and its writer share.
struct Db {
    gate: gate::Gate,
    read: SqlitePool,
    mac: Arc<dyn RowMac>,
    /// Held as long as anybody may write; let go when the store is closed.
    lock: Mutex<Option<File>>,
}

impl Db {
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, Down> {
        self.read.acquire().await.map_err(row::down)
    }

    fn mac(&self) -> &dyn RowMac {
        self.mac.as_ref()
    }

    fn unlock(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(lock.take());
    }
}

impl Opened {
    /// Starts a writer under a number of its own, with every bar that holds and every freeze in the view.
    ///
    /// `policy_set` is read for each batch: what was decided under other policies is refused.
    pub async fn start(
        self,
        row_mac: Arc<dyn RowMac>,
        clock: Arc<dyn Clock>,
        policy_set: Arc<ArcSwap<Digest>>,
        settings: Settings,
    ) -> Result<SqliteStore, Down> {
        let db = Arc::new(Db {
            gate: self.gate,
            read: self.read,
            mac: row_mac,
            lock: Mutex::new(Some(self.lock)),
        });
        let view = Arc::new(View::new(settings.view_capacity));
        let started = clock.elapsed();
        remember(&db, &view, clock.now()).await?;
        view.heard(started);
        let mut transaction = db.gate.begin().await?;
        let id = entry::new_writer(transaction.db(), &settings.node, clock.now()).await;
        let id = transaction.end(id).await?;
        let seat = Seat {
            backend: Arc::new(batch::SqliteBackend(Arc::clone(&db))),
            view: Arc::clone(&view),
            clock: Arc::clone(&clock),
            policy_set,
            id,
        };
        let (lanes, writer, signals) = Writer::new(seat, &settings);
        drop(tokio::spawn(writer.run()));
        let (tasks, working) = (TaskTracker::new(), signals.closing.child_token());
        let backfill = self.backfill.run(Arc::clone(&clock), working.clone());
        drop(tasks.spawn(backfill));
        let office = Office {
            options: self.reading,
            mac: Arc::clone(&db.mac),
            closing: working.clone(),
            tasks: tasks.clone(),
        };
        Ok(SqliteStore {
            desks: Desks::open(&office),
            db,
            lanes,
            view,
            clock,
            signals,
            tasks,
            _working: working.drop_guard(),
        })
    }
}

impl Desks {
    fn open(office: &Office) -> Self {
        Self {
            standing: Desk::open(office, |db, mac, keys| {
                Box::pin(session::standing(db, mac, keys))
            }),
            held: Desk::open(office, |db, mac, keys| {
                Box::pin(session::held(db, mac, keys))
            }),
            credential: Desk::open(office, |db, mac, keys| {
                Box::pin(credential::by_ids(db, mac, keys))
            }),
            secret: Desk::open(office, |db, mac, keys| {
                Box::pin(secret::newest(db, mac, keys))
            }),
        }
    }
}

/// Takes every bar that holds and every freeze into the view: of those, absence has to mean something.
async fn remember(db: &Db, view: &View, now: Timestamp) -> Result<(), Down> {
    let mut reader = db.reader().await?;
    let bars = bar::holding(&mut reader, db.mac(), now).await?;
    let bars = bars.into_iter().map(Write::Bar);
    let freezes = freeze::all(&mut reader, db.mac()).await?;
    let freezes = freezes.into_iter().map(|(_, row)| Write::Freeze(row));
    for touch in bars.chain(freezes).filter_map(|row| touch_of(&row)) {
        view.join(&touch);
    }
    Ok(())
}

impl SqliteStore {
    /// Cancelled when what the disk holds cannot be known any more: the process has to end, and
    /// start again from what is durable.
    pub fn fatal(&self) -> CancellationToken {
        self.signals.fatal.clone()
    }
}

impl Store for SqliteStore {
    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        Box::pin(self.lanes.commit(change))
    }

    fn place(&self) -> BoxFuture<'_, Result<Place<'_>, Down>> {
        Box::pin(self.lanes.place())
    }

    fn standing<'a>(
        &'a self,
        realm: Realm,
        name: &'a TaskName,
        instance: &'a InstanceName,
        key: Option<Thumbprint>,
    ) -> BoxFuture<'a, Result<Standing, Down>> {
        let key = StandingKey {
            realm,
            name: name.clone(),
            instance: instance.clone(),
            key,
        };
        Box::pin(async move { Ok(self.desks.standing.ask(key).await?.unwrap_or_default()) })
    }

    fn held(&self, realm: Realm, session: SessionId) -> BoxFuture<'_, Result<Option<Held>, Down>> {
        Box::pin(self.desks.held.ask((realm, session)))
    }

    fn once(
        &self,
        realm: Realm,
        kind: OnceKind,
        until: Timestamp,
        digest: Digest,
    ) -> BoxFuture<'_, Result<Option<OnceUsed>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            once::by_key(&mut db, realm, kind, until, digest).await
        })
    }

    fn answered(&self, realm: Realm, key: Digest) -> BoxFuture<'_, Result<Option<Answered>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            answered::by_key(&mut db, self.db.mac(), realm, key).await
        })
    }

    fn reservation(
        &self,
        realm: Realm,
        task: TaskId,
        id: ReservationId,
    ) -> BoxFuture<'_, Result<Option<Reservation>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            reservation::by_id(&mut db, self.db.mac(), realm, task, id).await
        })
    }

    fn credential(
        &self,
        realm: Realm,
        lineage: LineageId,
        id: CredentialId,
    ) -> BoxFuture<'_, Result<Option<CredentialRecord>, Down>> {
        Box::pin(self.desks.credential.ask((realm, lineage, id)))
    }

    fn secret<'a>(
        &'a self,
        realm: Realm,
        path: &'a SecretPath,
    ) -> BoxFuture<'a, Result<Option<SealedVersion>, Down>> {
        Box::pin(self.desks.secret.ask((realm, path.clone())))
    }

    fn bound<'a>(
        &'a self,
        realm: Realm,
        record: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Vec<Tied>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            binding::bound(&mut db, self.db.mac(), realm, record).await
        })
    }

    fn records<'a>(
        &'a self,
        realm: Realm,
        after: Option<&'a RecordKey>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RecordKey>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            binding::records(&mut db, realm, after, limit).await
        })
    }

    fn view(&self) -> &View {
        &self.view
    }
}
