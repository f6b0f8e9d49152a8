//! Moving pages from the write-ahead log into the database, beside the requests. SQLite does it
//! inside the commit that fills the log to its limit, and whoever waits for that commit waits for
//! thousands of pages; done beside them, little is left for that commit to move. The limit stays, for
//! a log that never comes to rest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::row::down;
use crate::seams::Clock;
use crate::store::Down;

/// Where the log is, and how to reach the database behind it.
pub(super) struct Backfill {
    pub(super) options: SqliteConnectOptions,
    pub(super) log: PathBuf,
}

impl Backfill {
    /// Works until `closing`; what was opened is closed when it returns.
    pub(super) async fn run(self, clock: Arc<dyn Clock>, closing: CancellationToken) {
        let mut db = None;
        loop {
            let next = clock.sleep_until(clock.now().plus(EVERY));
            if closing.run_until_cancelled(next).await.is_none() {
                break;
            }
            if self.is_due() {
                db = match self.step(db).await {
                    Ok(db) => Some(db),
                    Err(why) => {
                        tracing::warn!(%why, "the write-ahead log could not be moved");
                        None
                    }
                };
            }
        }
        if let Some(db) = db {
            let _closed = db.close().await;
        }
    }

    fn is_due(&self) -> bool {
        std::fs::metadata(&self.log).is_ok_and(|log| log.len() > WORTH)
    }

    /// Moves what no reader still needs, and waits for nobody.
    async fn step(&self, db: Option<SqliteConnection>) -> Result<SqliteConnection, Down> {
        let mut db = match db {
            Some(db) => db,
            None => SqliteConnection::connect_with(&self.options)
                .await
                .map_err(down)?,
        };
        let moved = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut db);
        moved.await.map_err(down)?;
        Ok(db)
    }
}

const EVERY: Duration = Duration::from_millis(250);

/// A log of this many bytes is worth a round.
const WORTH: u64 = 4 << 20;
