//! Which live lineages a record concerns: one row per binding of a lineage, from its opening to its
//! end. A lineage whose task is over keeps its rows until it is swept, and is passed over.

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

use super::row::{LIVE, down, json};
use super::{lineage, task};
use crate::domain::context::RecordKey;
use crate::domain::ids::Realm;
use crate::domain::lineage::Lineage;
use crate::domain::standing::Tied;
use crate::store::Down;
use crate::store::row_mac::RowMac;

#[derive(Serialize)]
struct Row<'a>(u16, &'a str, &'a str, &'a str, String);

/// Notes the bindings of lineages that open.
pub(super) async fn open(
    db: &mut SqliteConnection,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    each(db, OPEN, lineages).await
}

/// Forgets the bindings of lineages that end.
pub(super) async fn close(
    db: &mut SqliteConnection,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    each(db, CLOSE, lineages).await
}

async fn each(
    db: &mut SqliteConnection,
    statement: &'static str,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    let rows: Vec<_> = lineages
        .iter()
        .flat_map(|(realm, lineage)| {
            lineage.bindings.iter().map(|binding| {
                Row(
                    realm.number(),
                    binding.record.source.as_str(),
                    binding.record.kind.as_str(),
                    &binding.record.id,
                    hex::encode(lineage.id.as_bytes()),
                )
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(statement).bind(json(&rows)?).execute(db).await;
    done.map(drop).map_err(down)
}

/// The live lineages of open tasks that are bound to a record.
pub(super) async fn bound(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    record: &RecordKey,
) -> Result<Vec<Tied>, Down> {
    let rows = sqlx::query(BOUND)
        .bind(realm.number())
        .bind(record.source.as_str())
        .bind(record.kind.as_str())
        .bind(&record.id)
        .bind(LIVE)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter()
        .map(|row| {
            let (_, task) = task::decode(row, 0, mac)?;
            let (_, lineage) = lineage::decode(row, task::COLUMNS, mac)?;
            Ok(Tied { task, lineage })
        })
        .collect()
}

// A record named twice by one lineage is one row.
const OPEN: &str = "
    INSERT INTO binding (realm, source, kind, record, lineage)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, unhex(j.value ->> 4)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT DO NOTHING";

const CLOSE: &str = "
    DELETE FROM binding WHERE (realm, source, kind, record, lineage) IN (
      SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, unhex(j.value ->> 4)
      FROM jsonb_each(?1) j)";

const BOUND: &str = "
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac
    FROM binding b
    CROSS JOIN lineage l ON l.realm = b.realm AND l.id = b.lineage AND l.state = ?5
    CROSS JOIN task t ON t.realm = l.realm AND t.id = l.task AND t.state = ?5
    WHERE b.realm = ?1 AND b.source = ?2 AND b.kind = ?3 AND b.record = ?4";
