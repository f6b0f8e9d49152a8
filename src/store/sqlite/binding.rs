//! Which lineages a record concerns: one row per binding of a lineage, from its opening to its end.
//! What ties it to a run stays until it is swept: the run is what the task stands on, and may end
//! after every job of it has. A lineage whose task is over is passed over.

use sqlx::sqlite::SqliteConnection;

use super::bulk::Bulk;
use super::row::{LIVE, column, down};
use super::{lineage, task};
use crate::domain::context::{RecordKey, RecordKind};
use crate::domain::ids::Realm;
use crate::domain::lineage::Lineage;
use crate::domain::standing::Tied;
use crate::store::Down;
use crate::store::row_mac::RowMac;

/// Notes the bindings of lineages that open.
pub(super) async fn open(
    db: &mut SqliteConnection,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    each(db, OPEN, lineages, |_| true).await
}

/// Forgets the bindings of lineages that end, those to a run excepted.
pub(super) async fn close(
    db: &mut SqliteConnection,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    each(db, CLOSE, lineages, |kind| kind != RecordKind::Pipeline).await
}

/// Forgets every binding of lineages that are swept.
pub(super) async fn forget(
    db: &mut SqliteConnection,
    lineages: &[(Realm, &Lineage)],
) -> Result<(), Down> {
    each(db, CLOSE, lineages, |_| true).await
}

async fn each(
    db: &mut SqliteConnection,
    statement: &'static str,
    lineages: &[(Realm, &Lineage)],
    kinds: impl Fn(RecordKind) -> bool,
) -> Result<(), Down> {
    if lineages.is_empty() {
        return Ok(());
    }
    let mut rows = Bulk::default();
    for (realm, lineage) in lineages {
        let bindings = lineage.bindings.iter();
        for binding in bindings.filter(|binding| kinds(binding.record.kind)) {
            rows.row()
                .number(realm.number())
                .text(binding.record.source.as_str())
                .text(binding.record.kind.as_str())
                .text(&binding.record.id)
                .sized(lineage.id.as_bytes());
        }
    }
    let done = rows.bind(sqlx::query(statement)).execute(db).await;
    done.map(drop).map_err(down)
}

/// The lineages of open tasks that are bound to a record.
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

/// Records that lineages are bound to, from above `after`.
pub(super) async fn records(
    db: &mut SqliteConnection,
    realm: Realm,
    after: Option<&RecordKey>,
    limit: u32,
) -> Result<Vec<RecordKey>, Down> {
    let rows = sqlx::query(RECORDS)
        .bind(realm.number())
        .bind(after.map_or("", |record| record.source.as_str()))
        .bind(after.map_or("", |record| record.kind.as_str()))
        .bind(after.map_or("", |record| record.id.as_str()))
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter()
        .map(|row| {
            let (source, kind): (&str, &str) = (column(row, 0)?, column(row, 1)?);
            let unknown = || Down(format!("a binding names no record: {source} {kind}"));
            Ok(RecordKey {
                source: source.parse().map_err(|_| unknown())?,
                kind: RecordKind::ALL
                    .into_iter()
                    .find(|known| known.as_str() == kind)
                    .ok_or_else(unknown)?,
                id: column(row, 2)?,
            })
        })
        .collect()
}

// A record named twice by one lineage is one row.
const OPEN: &str = "
    INSERT INTO binding (realm, source, kind, record, lineage)
    SELECT j.value ->> 0, CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT),
      CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT),
      CAST(substr(?2, j.value ->> 5, j.value ->> 6) AS TEXT), substr(?2, j.value ->> 7, 16)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT DO NOTHING";

const CLOSE: &str = "
    DELETE FROM binding WHERE realm IN (SELECT j.value ->> 0 FROM jsonb_each(?1) j)
      AND (source, kind, record, lineage) IN (
      SELECT CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT),
        CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT),
        CAST(substr(?2, j.value ->> 5, j.value ->> 6) AS TEXT), substr(?2, j.value ->> 7, 16)
      FROM jsonb_each(?1) j)";

const RECORDS: &str = "
    SELECT DISTINCT source, kind, record FROM binding
    WHERE realm = ?1 AND (source, kind, record) > (?2, ?3, ?4)
    ORDER BY source, kind, record LIMIT ?5";

const BOUND: &str = "
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac
    FROM binding b
    CROSS JOIN lineage l ON l.realm = b.realm AND l.id = b.lineage
    CROSS JOIN task t ON t.realm = l.realm AND t.id = l.task AND t.state = ?5
    WHERE b.realm = ?1 AND b.source = ?2 AND b.kind = ?3 AND b.record = ?4";
