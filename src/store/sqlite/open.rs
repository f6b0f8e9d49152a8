//! Opening a database: one server at a time, private to its user, of a schema that this server
//! knows. What is open has no row key yet; [`Opened`] gives what is needed to get one.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use sqlx::{SqlSafeStr as _, SqlStr};
use writ_keys::KeyRow;

use super::backfill::Backfill;
use super::gate::Gate;
use super::key;
use super::row::down;
use crate::store::Down;

/// A database that is open, and to which nobody writes yet.
pub struct Opened {
    pub(super) gate: Gate,
    pub(super) read: SqlitePool,
    pub(super) reading: SqliteConnectOptions,
    pub(super) backfill: Backfill,
    pub(super) lock: File,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: another server is running on this database", .0.display())]
    InUse(PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the database's schema is not this server's: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    #[error(transparent)]
    Down(#[from] Down),
}

impl Opened {
    /// Opens the database at `path`, making it if there is none, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        private(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut db = SqliteConnection::connect_with(&writing(path))
            .await
            .map_err(down)?;
        migrator().run(&mut db).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .acquire_timeout(READ_PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(reading(path))
            .await
            .map_err(down)?;
        Ok(Self {
            gate: Gate::new(writing(path), db),
            read,
            reading: reading(path),
            backfill: Backfill {
                options: writing(path),
                log: beside(path, "-wal"),
            },
            lock,
        })
    }

    /// The rows of every key, wrapped.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, Down> {
        let mut db = self.read.acquire().await.map_err(down)?;
        key::all(&mut db).await
    }

    /// The check value of the key-encryption key; `None` in a new database.
    pub async fn check_value(&self) -> Result<Option<Vec<u8>>, Down> {
        let mut db = self.read.acquire().await.map_err(down)?;
        key::check_value(&mut db).await
    }

    /// Gives a new database its first keys and its check value, in one transaction. Fails, and
    /// changes nothing, where there is a check value already.
    pub async fn install_keys(&self, rows: &[KeyRow], check_value: &[u8]) -> Result<(), Down> {
        let mut transaction = self.gate.begin().await?;
        let done = install(transaction.db(), rows, check_value).await;
        transaction.end(done).await
    }

    /// Adds keys to those that there are: a newer server has purposes that an older one did not know.
    pub async fn add_keys(&self, rows: &[KeyRow]) -> Result<(), Down> {
        let mut transaction = self.gate.begin().await?;
        let done = add(transaction.db(), rows).await;
        transaction.end(done).await
    }
}

async fn install(
    db: &mut SqliteConnection,
    rows: &[KeyRow],
    check_value: &[u8],
) -> Result<(), Down> {
    key::write_check_value(db, check_value).await?;
    add(db, rows).await
}

async fn add(db: &mut SqliteConnection, rows: &[KeyRow]) -> Result<(), Down> {
    for row in rows {
        key::write(db, row).await?;
    }
    Ok(())
}

/// Two servers on one file would each take the other's changes for their own.
fn lock(path: &Path) -> Result<File, OpenError> {
    let name = beside(path, ".lock");
    let failed = |source| OpenError::File {
        path: name.clone(),
        source,
    };
    let file = open_private(&name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes the file before SQLite does, because its companions take their permissions from it.
fn private(path: &Path) -> io::Result<()> {
    open_private(path)?.set_permissions(Permissions::from_mode(PRIVATE))
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(PRIVATE)
        .open(path)
}

fn writing(path: &Path) -> SqliteConnectOptions {
    shared(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Keys are ordered by time, so what a batch touches lies together. SQLite looks over the room
        // that a cache has at each commit: more room is not free.
        .pragma("cache_size", "-16384")
        // The bound only: see the backfill.
        .pragma("wal_autocheckpoint", "12000")
        .pragma("journal_size_limit", "67108864")
}

fn reading(path: &Path) -> SqliteConnectOptions {
    shared(path)
        .read_only(true)
        .pragma("query_only", "on")
        // Each commit makes a reader forget its pages, which costs as much as there is room for.
        .pragma("cache_size", "-512")
}

/// Not memory-mapped: a failing disk has to be an error of a statement, not a signal.
fn shared(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_PATIENCE)
        .pragma("trusted_schema", "off")
        .pragma("temp_store", "memory")
        .pragma("mmap_size", "0")
        .row_buffer_size(512)
        .disable_statement_logging()
}

/// Refuses a database that has a migration which is not here, or has one in another form.
fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        migration(
            1,
            "ledger",
            include_str!("../../../migrations/sqlite/0001_ledger.sql").into_sql_str(),
        ),
        migration(
            2,
            "statistics",
            include_str!("../../../migrations/sqlite/0002_statistics.sql").into_sql_str(),
        ),
        migration(
            3,
            "operators",
            include_str!("../../../migrations/sqlite/0003_operators.sql").into_sql_str(),
        ),
        migration(
            4,
            "certificate",
            include_str!("../../../migrations/sqlite/0004_certificate.sql").into_sql_str(),
        ),
        migration(
            5,
            "freeze",
            include_str!("../../../migrations/sqlite/0005_freeze.sql").into_sql_str(),
        ),
        migration(
            6,
            "answered",
            include_str!("../../../migrations/sqlite/0006_answered.sql").into_sql_str(),
        ),
        migration(
            7,
            "reservation",
            include_str!("../../../migrations/sqlite/0007_reservation.sql").into_sql_str(),
        ),
    ])
}

fn migration(version: i64, name: &'static str, sql: SqlStr) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql, false)
}

const PRIVATE: u32 = 0o600;
const READERS: u32 = 4;
const READ_PATIENCE: Duration = Duration::from_secs(5);
/// How long another process that looks at the file (a backup) is waited for.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
