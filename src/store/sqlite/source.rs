//! The version at which each record was last seen at its source.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;

use super::row::{down, json};
use crate::domain::context::RecordKey;
use crate::domain::ids::Realm;
use crate::ledger::change::SourceMark;
use crate::store::Down;

/// Writes the marks of a batch; one that was observed later already stays.
pub(super) async fn write(
    db: &mut SqliteConnection,
    marks: &BTreeMap<(Realm, &RecordKey), &SourceMark>,
) -> Result<(), Down> {
    let rows: Vec<_> = marks
        .iter()
        .map(|((realm, record), mark)| {
            (
                realm.number(),
                record.source.as_str(),
                record.kind.as_str(),
                &record.id,
                &mark.version,
                mark.observed_at.micros(),
            )
        })
        .collect();
    let done = sqlx::query(WRITE).bind(json(&rows)?).execute(db).await;
    done.map(drop).map_err(down)
}

const WRITE: &str = "
    INSERT INTO source_state (realm, source, kind, record, version, observed_at)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4,
      j.value ->> 5
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, source, kind, record) DO UPDATE
    SET version = excluded.version, observed_at = excluded.observed_at
    WHERE source_state.observed_at <= excluded.observed_at";
