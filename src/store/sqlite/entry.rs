//! Entries: one per admitted change, numbered per writer, never updated and never swept.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{body, column, down, number, stored};
use crate::domain::ids::{Realm, TaskId};
use crate::domain::position::{Position, WriterId};
use crate::domain::time::Timestamp;
use crate::ledger::entry::FORMAT;
use crate::store::writer::Placed;
use crate::store::{Down, StoredEntry};

/// Notes the start of a writer and gives it its number.
pub(super) async fn new_writer(
    db: &mut SqliteConnection,
    node: &str,
    at: Timestamp,
) -> Result<WriterId, Down> {
    let row = sqlx::query(NEW_WRITER)
        .bind(node)
        .bind(at.micros())
        .fetch_one(db)
        .await
        .map_err(down)?;
    number(&row, 0).map(WriterId)
}

/// Appends the entries of a batch.
pub(super) async fn write(db: &mut SqliteConnection, placed: &[Placed<'_>]) -> Result<(), Down> {
    let unwritable = |what: String| Down(format!("an entry cannot be written: {what}"));
    let mut rows = Bulk::default();
    for Placed { at, change } in placed {
        let leaf = change.leaf().map_err(|e| unwritable(e.to_string()))?;
        let entry = &change.entry;
        let task = entry.subject.task;
        rows.row()
            .number(at.writer.0)
            .number(stored(at.n)?)
            .number(entry.at.micros())
            .number(FORMAT)
            .number(change.realm.number())
            .bytes(task.as_ref().map_or(&[], |task| task.as_bytes().as_slice()))
            .text(entry.event.name())
            .text(&body(&change.touches())?)
            .bytes(&leaf);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

pub(super) async fn at(
    db: &mut SqliteConnection,
    at: Position,
) -> Result<Option<StoredEntry>, Down> {
    let row = sqlx::query(AT)
        .bind(at.writer.0)
        .bind(stored(at.n)?)
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| decode(&row, 0)).transpose()
}

pub(super) async fn of_task(
    db: &mut SqliteConnection,
    realm: Realm,
    task: TaskId,
    limit: u32,
) -> Result<Vec<StoredEntry>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| decode(row, 0)).collect()
}

/// Entries that are in no leaf yet: writer by writer, each in the order of its numbers. With one
/// writer at a time this is the order in which they were made.
pub(super) async fn unsequenced(
    db: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<StoredEntry>, Down> {
    let rows = sqlx::query(UNSEQUENCED).bind(limit).fetch_all(db).await;
    let rows = rows.map_err(down)?;
    rows.iter().map(|row| decode(row, 0)).collect()
}

/// An entry from five columns, the first of them at `from`.
pub(super) fn decode(row: &SqliteRow, from: usize) -> Result<StoredEntry, Down> {
    Ok(StoredEntry {
        position: Position {
            writer: WriterId(number(row, from)?),
            n: number(row, from + 1)?,
        },
        at: Timestamp::from_micros(column(row, from + 2)?),
        format: number(row, from + 3)?,
        leaf: column(row, from + 4)?,
    })
}

const NEW_WRITER: &str = "
    INSERT INTO writer (node, started_at) VALUES (?1, ?2) RETURNING id";

const WRITE: &str = "
    INSERT INTO entry (writer, n, at, format, realm, task, code, touches, leaf)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4,
      nullif(substr(?2, j.value ->> 5, j.value ->> 6), x''),
      CAST(substr(?2, j.value ->> 7, j.value ->> 8) AS TEXT),
      CAST(substr(?2, j.value ->> 9, j.value ->> 10) AS TEXT),
      substr(?2, j.value ->> 11, j.value ->> 12)
    FROM jsonb_each(?1) j";

const AT: &str = "
    SELECT writer, n, at, format, leaf FROM entry WHERE writer = ?1 AND n = ?2";

const OF_TASK: &str = "
    SELECT writer, n, at, format, leaf FROM entry
    WHERE realm = ?1 AND task = ?2 ORDER BY at DESC, writer DESC, n DESC LIMIT ?3";

const UNSEQUENCED: &str = "
    SELECT e.writer, e.n, e.at, e.format, e.leaf
    FROM writer w
    CROSS JOIN entry e ON e.writer = w.id
      AND e.n > coalesce((SELECT max(l.n) FROM leaf l WHERE l.writer = w.id), 0)
    ORDER BY w.id, e.n LIMIT ?1";
