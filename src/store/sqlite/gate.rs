//! The one connection that writes. Whoever wants to write waits at the gate, in order; so batches
//! and upkeep never meet inside SQLite. A connection whose transaction did not end as it should is
//! thrown away, and with it whatever state it was in.

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::row::down;
use crate::store::Down;

/// The way to the writing connection.
pub(super) struct Gate {
    options: SqliteConnectOptions,
    lane: Arc<Mutex<Lane>>,
}

enum Lane {
    Free(SqliteConnection),
    /// The last transaction did not end: a connection has to be made.
    Broken,
    Closed,
}

/// A transaction, and the place at the gate.
pub(super) struct Transaction {
    lane: OwnedMutexGuard<Lane>,
    db: SqliteConnection,
}

impl Gate {
    pub(super) fn new(options: SqliteConnectOptions, db: SqliteConnection) -> Self {
        Self {
            options,
            lane: Arc::new(Mutex::new(Lane::Free(db))),
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Down> {
        let mut lane = Arc::clone(&self.lane).lock_owned().await;
        let mut db = match std::mem::replace(&mut *lane, Lane::Broken) {
            Lane::Free(db) => db,
            Lane::Broken => SqliteConnection::connect_with(&self.options)
                .await
                .map_err(down)?,
            Lane::Closed => {
                *lane = Lane::Closed;
                return Err(Down("it is closed".to_owned()));
            }
        };
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut db)
            .await
            .map_err(down)?;
        Ok(Transaction { lane, db })
    }

    /// Waits for whoever writes, then lets nobody in any more.
    pub(super) async fn close(&self) -> Result<(), Down> {
        let mut lane = self.lane.lock().await;
        match std::mem::replace(&mut *lane, Lane::Closed) {
            Lane::Free(db) => db.close().await.map_err(down),
            Lane::Broken | Lane::Closed => Ok(()),
        }
    }
}

impl Transaction {
    pub(super) const fn db(&mut self) -> &mut SqliteConnection {
        &mut self.db
    }

    /// Makes it durable. After an error the connection is gone, and what it wrote is there or not:
    /// ask on another.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if let Err(error) = sqlx::query("COMMIT").execute(&mut self.db).await {
            if let Err(also) = self.db.close().await {
                tracing::warn!(%also, "a failed connection did not close");
            }
            return Err(error);
        }
        *self.lane = Lane::Free(self.db);
        Ok(())
    }

    /// Leaves everything as it was.
    pub(super) async fn rollback(mut self) {
        match sqlx::query("ROLLBACK").execute(&mut self.db).await {
            Ok(_) => *self.lane = Lane::Free(self.db),
            Err(error) => tracing::warn!(%error, "a transaction did not roll back"),
        }
    }

    /// Commits if `done` went well, and leaves everything as it was if not.
    pub(super) async fn end<T>(self, done: Result<T, Down>) -> Result<T, Down> {
        match done {
            Ok(value) => self.commit().await.map(|()| value).map_err(down),
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }
}
