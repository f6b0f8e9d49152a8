//! Wrapped keys, and the value by which a key-encryption key is recognised. The store can open none
//! of them; rows are bound to their place by the wrapping itself.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use writ_keys::KeyRow;

use super::row::{column, down};
use crate::store::Down;

pub(super) async fn all(db: &mut SqliteConnection) -> Result<Vec<KeyRow>, Down> {
    let rows = sqlx::query(ALL).fetch_all(db).await.map_err(down)?;
    rows.iter().map(decode).collect()
}

/// Makes a key's row, or moves its state.
pub(super) async fn write(db: &mut SqliteConnection, row: &KeyRow) -> Result<(), Down> {
    let done = sqlx::query(WRITE)
        .bind(row.id.as_str())
        .bind(row.purpose.as_str())
        .bind(row.state.as_str())
        .bind(row.created_at)
        .bind(row.changed_at)
        .bind(&row.wrapped)
        .bind(row.public.as_deref())
        .execute(db)
        .await;
    done.map(drop).map_err(down)
}

/// The check value of the key-encryption key; `None` in a database that has no keys yet.
pub(super) async fn check_value(db: &mut SqliteConnection) -> Result<Option<Vec<u8>>, Down> {
    let row = sqlx::query(META)
        .bind(CHECK_VALUE)
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| column(&row, 0)).transpose()
}

/// Notes the check value; fails where there is one.
pub(super) async fn write_check_value(db: &mut SqliteConnection, value: &[u8]) -> Result<(), Down> {
    let done = sqlx::query(WRITE_META)
        .bind(CHECK_VALUE)
        .bind(value)
        .execute(db)
        .await;
    done.map(drop).map_err(down)
}

fn decode(row: &SqliteRow) -> Result<KeyRow, Down> {
    let (id, purpose, state): (&str, &str, &str) =
        (column(row, 0)?, column(row, 1)?, column(row, 2)?);
    let broken = |what: String| Down(format!("row {id} of table key cannot be read: {what}"));
    Ok(KeyRow {
        id: id.parse().map_err(|e| broken(format!("{e}")))?,
        purpose: purpose.parse().map_err(|e| broken(format!("{e}")))?,
        state: state.parse().map_err(|e| broken(format!("{e}")))?,
        created_at: column(row, 3)?,
        changed_at: column(row, 4)?,
        wrapped: column(row, 5)?,
        public: column(row, 6)?,
    })
}

const CHECK_VALUE: &str = "key_encryption_key_check";

const ALL: &str = "
    SELECT id, purpose, state, created_at, changed_at, wrapped, public
    FROM key ORDER BY created_at, id";

const WRITE: &str = "
    INSERT INTO key (id, purpose, state, created_at, changed_at, wrapped, public)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at,
      wrapped = excluded.wrapped";

const META: &str = "SELECT value FROM meta WHERE name = ?1";

const WRITE_META: &str = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
