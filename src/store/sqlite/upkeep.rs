//! The audit tree and the background: what is written besides changes, through the same gate.

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnection;

use super::row::down;
use super::{SqliteStore, entry, leaf, sweep};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use crate::store::{
    Audit, Down, News, Sequenced, SequencedLeaf, StoredCheckpoint, StoredEntry, Upkeep,
};

impl Audit for SqliteStore {
    fn unsequenced(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::unsequenced(&mut db, limit).await
        })
    }

    fn append_leaves<'a>(
        &'a self,
        leaves: &'a [SequencedLeaf],
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Down>> {
        Box::pin(async move {
            let mut transaction = self.db.gate.begin().await?;
            let done = append(transaction.db(), leaves, checkpoint).await;
            transaction.end(done).await
        })
    }

    fn leaves(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Sequenced>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            leaf::from(&mut db, from, limit).await
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            leaf::checkpoint(&mut db).await
        })
    }
}

impl Upkeep for SqliteStore {
    fn sweep(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, Down>> {
        Box::pin(async move {
            let swept = sweep::sweep(&self.db.gate, self.db.mac(), now, limit).await;
            self.view.forget(now);
            swept
        })
    }

    /// The lock on the database keeps every other writer out, so there is no news; that the
    /// database can still be read is what makes the view's age true.
    fn follow<'a>(&'a self, _seen: &'a [Position]) -> BoxFuture<'a, Result<Vec<News>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            let read = sqlx::query("SELECT max(id) FROM writer").fetch_one(&mut *db);
            read.await.map(|_| Vec::new()).map_err(down)
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Down>> {
        Box::pin(async move {
            if self.signals.fatal.is_cancelled() {
                return Err(Down("what the disk holds is unknown".to_owned()));
            }
            let mut transaction = self.db.gate.begin().await?;
            let done = note_ping(transaction.db(), self.clock.now()).await;
            transaction.end(done).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.signals.closing.cancel();
            self.signals.done.cancelled().await;
            self.tasks.close();
            self.tasks.wait().await;
            self.db.read.close().await;
            if let Err(down) = self.db.gate.close().await {
                tracing::warn!(%down, "the database did not close");
            }
            self.db.unlock();
        })
    }
}

async fn append(
    db: &mut SqliteConnection,
    leaves: &[SequencedLeaf],
    checkpoint: &StoredCheckpoint,
) -> Result<(), Down> {
    if !leaves.is_empty() {
        leaf::append(db, leaves).await?;
    }
    leaf::write_checkpoint(db, checkpoint).await
}

/// A write that changes something every time, or SQLite would not sync it.
async fn note_ping(db: &mut SqliteConnection, now: Timestamp) -> Result<(), Down> {
    let done = sqlx::query(PING)
        .bind(now.micros().to_be_bytes().as_slice())
        .execute(db)
        .await;
    done.map(drop).map_err(down)
}

const PING: &str = "
    INSERT INTO meta (name, value) VALUES ('ping', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
