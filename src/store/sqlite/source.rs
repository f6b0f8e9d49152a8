//! The version at which each record was last seen at its source.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;

use super::bulk::Bulk;
use super::row::down;
use crate::domain::context::RecordKey;
use crate::domain::ids::Realm;
use crate::ledger::change::SourceMark;
use crate::store::Down;

/// Writes the marks of a batch; one that was observed later already stays.
pub(super) async fn write(
    db: &mut SqliteConnection,
    marks: &BTreeMap<(Realm, &RecordKey), &SourceMark>,
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for ((realm, record), mark) in marks {
        rows.row()
            .number(realm.number())
            .text(record.source.as_str())
            .text(record.kind.as_str())
            .text(&record.id)
            .text(&mark.version)
            .number(mark.observed_at.micros());
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

const WRITE: &str = "
    INSERT INTO source_state (realm, source, kind, record, version, observed_at)
    SELECT j.value ->> 0, CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT),
      CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT),
      CAST(substr(?2, j.value ->> 5, j.value ->> 6) AS TEXT),
      CAST(substr(?2, j.value ->> 7, j.value ->> 8) AS TEXT), j.value ->> 9
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, source, kind, record) DO UPDATE
    SET version = excluded.version, observed_at = excluded.observed_at
    WHERE source_state.observed_at <= excluded.observed_at";
