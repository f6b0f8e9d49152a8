//! Entries: one per admitted change, numbered per writer, never updated and never swept.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{body, column, down, number, stored};
use crate::domain::ids::{Realm, TaskId};
use crate::domain::position::{Position, WriterId};
use crate::domain::time::Timestamp;
use crate::ledger::entry::FORMAT;
use crate::store::inquiry::{Mark, Sort};
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

/// The newest entries of a sort, from below a place in the order of time.
pub(super) async fn newest(
    db: &mut SqliteConnection,
    realm: Realm,
    sort: Sort,
    before: Option<Mark>,
    limit: u32,
) -> Result<Vec<StoredEntry>, Down> {
    let statement = match sort {
        Sort::Refusals => REFUSALS,
        Sort::Reads => READS,
    };
    let (at, writer, n) = match before {
        None => (i64::MAX, i64::MAX, i64::MAX),
        Some(Mark { at, position }) => (
            at.micros(),
            i64::from(position.writer.0),
            stored(position.n)?,
        ),
    };
    let rows = sqlx::query(statement)
        .bind(realm.number())
        .bind(at)
        .bind(writer)
        .bind(n)
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| decode(row, 0)).collect()
}

/// The entries of a task that opened something or read a secret.
pub(super) async fn takings(
    db: &mut SqliteConnection,
    realm: Realm,
    task: TaskId,
    limit: u32,
) -> Result<Vec<StoredEntry>, Down> {
    let rows = sqlx::query(TAKINGS)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| decode(row, 0)).collect()
}

/// Entries by the time at which they were made, without an index of times: each writer numbers its
/// entries as it commits them, so that their times rise with their numbers, but for what waited.
pub(super) async fn made_between(
    db: &mut SqliteConnection,
    realm: Realm,
    (from, until): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<StoredEntry>, Down> {
    let (early, late) = (from.minus(WAIT), until.plus(WAIT));
    let writers = sqlx::query(WRITERS).bind(late.micros()).fetch_all(&mut *db);
    let mut found = Vec::new();
    for writer in &writers.await.map_err(down)? {
        let (writer, last): (i64, i64) = (column(writer, 0)?, column(writer, 1)?);
        let first = first_from(db, writer, last, early).await?;
        let end = first_from(db, writer, last, late).await?;
        let rows = sqlx::query(MADE_BETWEEN)
            .bind(writer)
            .bind(first)
            .bind(end)
            .bind(from.micros())
            .bind(until.micros())
            .bind(realm.number())
            .bind(i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX))
            .fetch_all(&mut *db)
            .await
            .map_err(down)?;
        for row in &rows {
            found.push(decode(row, 0)?);
        }
    }
    Ok(found)
}

/// The number of a writer's first entry that was made at `at` or later; one past its last where none was.
async fn first_from(
    db: &mut SqliteConnection,
    writer: i64,
    last: i64,
    at: Timestamp,
) -> Result<i64, Down> {
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = sqlx::query(MADE_AT)
            .bind(writer)
            .bind(middle)
            .fetch_one(&mut *db);
        let made: i64 = column(&row.await.map_err(down)?, 0)?;
        if made < at.micros() {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
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

const REFUSALS: &str = "
    SELECT writer, n, at, format, leaf FROM entry INDEXED BY entry_refused
    WHERE realm = ?1 AND code IN ('denied', 'undetermined') AND (at, writer, n) < (?2, ?3, ?4)
    ORDER BY at DESC, writer DESC, n DESC LIMIT ?5";

const READS: &str = "
    SELECT writer, n, at, format, leaf FROM entry INDEXED BY entry_read
    WHERE realm = ?1 AND code = 'secret_read' AND (at, writer, n) < (?2, ?3, ?4)
    ORDER BY at DESC, writer DESC, n DESC LIMIT ?5";

const TAKINGS: &str = "
    SELECT writer, n, at, format, leaf FROM entry INDEXED BY entry_by_task
    WHERE realm = ?1 AND task = ?2 AND code IN ('issued', 'secret_read')
    ORDER BY at, writer, n LIMIT ?3";

// Whoever started later has not made it; of those before, the newest.
const WRITERS: &str = "
    SELECT w.id, coalesce((SELECT max(e.n) FROM entry e WHERE e.writer = w.id), 0)
    FROM writer w WHERE w.started_at < ?1 ORDER BY w.id DESC LIMIT 64";

const MADE_AT: &str = "
    SELECT at FROM entry WHERE writer = ?1 AND n = ?2";

const MADE_BETWEEN: &str = "
    SELECT writer, n, at, format, leaf FROM entry
    WHERE writer = ?1 AND n >= ?2 AND n < ?3 AND at >= ?4 AND at < ?5 AND realm = ?6
    ORDER BY n LIMIT ?7";

/// The longest that a decided change waits for its commit, nearly.
const WAIT: Duration = Duration::from_secs(10);

const UNSEQUENCED: &str = "
    SELECT e.writer, e.n, e.at, e.format, e.leaf
    FROM writer w
    CROSS JOIN entry e ON e.writer = w.id
      AND e.n > coalesce((SELECT max(l.n) FROM leaf l WHERE l.writer = w.id), 0)
    ORDER BY w.id, e.n LIMIT ?1";
