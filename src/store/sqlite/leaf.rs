//! The audit tree's leaves and checkpoints: inserted only.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::entry;
use super::row::{bytes, column, down, number, stored};
use crate::domain::key::Digest;
use crate::domain::position::{Position, WriterId};
use crate::domain::time::Timestamp;
use crate::store::{Down, Sequenced, SequencedLeaf, StoredCheckpoint};

/// Appends leaves. An index or entry that is in the tree already fails the statement.
pub(super) async fn append(
    db: &mut SqliteConnection,
    leaves: &[SequencedLeaf],
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for leaf in leaves {
        rows.row()
            .number(stored(leaf.index)?)
            .number(leaf.position.writer.0)
            .number(stored(leaf.position.n)?)
            .sized(leaf.hash.as_bytes());
    }
    let done = rows.bind(sqlx::query(APPEND)).execute(db).await;
    done.map(drop).map_err(down)
}

/// Sequenced entries from index `from`, in the tree's order.
pub(super) async fn from(
    db: &mut SqliteConnection,
    from: u64,
    limit: u32,
) -> Result<Vec<Sequenced>, Down> {
    let rows = sqlx::query(FROM)
        .bind(stored(from)?)
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(decode).collect()
}

/// Notes a tree head; the same tree signed again replaces its note.
pub(super) async fn write_checkpoint(
    db: &mut SqliteConnection,
    checkpoint: &StoredCheckpoint,
) -> Result<(), Down> {
    let frontier: Vec<u8> = checkpoint
        .frontier
        .iter()
        .flat_map(|hash| *hash.as_bytes())
        .collect();
    let done = sqlx::query(WRITE_CHECKPOINT)
        .bind(stored(checkpoint.size)?)
        .bind(checkpoint.at.micros())
        .bind(frontier)
        .bind(&checkpoint.note)
        .execute(db)
        .await;
    done.map(drop).map_err(down)
}

/// The newest tree head.
pub(super) async fn checkpoint(
    db: &mut SqliteConnection,
) -> Result<Option<StoredCheckpoint>, Down> {
    let row = sqlx::query(CHECKPOINT).fetch_optional(db).await;
    let Some(row) = row.map_err(down)? else {
        return Ok(None);
    };
    let frontier: &[u8] = column(&row, 2)?;
    let (hashes, rest) = frontier.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Down("a checkpoint's frontier is not whole".to_owned()));
    }
    Ok(Some(StoredCheckpoint {
        size: number(&row, 0)?,
        at: Timestamp::from_micros(column(&row, 1)?),
        frontier: hashes.iter().copied().map(Digest::from_bytes).collect(),
        note: column(&row, 3)?,
    }))
}

fn decode(row: &SqliteRow) -> Result<Sequenced, Down> {
    let leaf = SequencedLeaf {
        index: number(row, 0)?,
        position: Position {
            writer: WriterId(number(row, 1)?),
            n: number(row, 2)?,
        },
        hash: Digest::from_bytes(bytes(row, 3)?),
    };
    // The entry of a leaf is never deleted: one that is missing was taken away.
    if column::<Option<i64>>(row, 4)?.is_none() {
        let lost = format!("the entry of leaf {} is missing", leaf.index);
        tracing::error!(lost, "a row of the store is broken");
        return Err(Down(lost));
    }
    let entry = entry::decode(row, 4)?;
    Ok(Sequenced { leaf, entry })
}

const APPEND: &str = "
    INSERT INTO leaf (idx, writer, n, hash)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, substr(?2, j.value ->> 3, 32)
    FROM jsonb_each(?1) j";

const FROM: &str = "
    SELECT l.idx, l.writer, l.n, l.hash, e.writer, e.n, e.at, e.format, e.leaf
    FROM leaf l
    LEFT JOIN entry e ON e.writer = l.writer AND e.n = l.n
    WHERE l.idx >= ?1 ORDER BY l.idx LIMIT ?2";

const WRITE_CHECKPOINT: &str = "
    INSERT INTO checkpoint (size, at, frontier, note) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (size) DO UPDATE SET at = excluded.at, note = excluded.note";

const CHECKPOINT: &str = "
    SELECT size, at, frontier, note FROM checkpoint ORDER BY size DESC LIMIT 1";
