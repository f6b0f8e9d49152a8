//! Bars: tombstones over what has no row of its own. A bar is only ever extended.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, column, down, realm};
use crate::domain::ids::Realm;
use crate::domain::time::Timestamp;
use crate::ledger::bar::{Bar, BarKey};
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the bars that a batch must not meet.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.bars.is_empty() {
        return Ok(());
    }
    let mut wanted = Bulk::default();
    for (realm, key) in &keys.bars {
        let row = wanted.row().number(realm.number());
        row.text(key.kind()).text(&key.value());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, bar) = decode(row, mac)?;
        into.of(realm).put_bar(bar);
    }
    Ok(())
}

/// Writes the bars of a batch; one that holds longer already stays.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    bars: &BTreeMap<(Realm, &BarKey), &Bar>,
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for ((realm, key), bar) in bars {
        let (body, value) = (body(bar)?, key.value());
        let code = seal(*realm, key.kind(), &value, bar.until.micros()).code(mac, &body);
        rows.row()
            .number(realm.number())
            .text(key.kind())
            .text(&value)
            .number(bar.until.micros())
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

/// Every bar that still holds at `now`.
pub(super) async fn holding(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    now: Timestamp,
) -> Result<Vec<Bar>, Down> {
    let rows = sqlx::query(HOLDING).bind(now.micros()).fetch_all(db).await;
    let rows = rows.map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, mac)?.1)).collect()
}

fn decode(row: &SqliteRow, mac: &dyn RowMac) -> Result<(Realm, Bar), Down> {
    let realm = realm(row, 0)?;
    let (kind, value) = (column(row, 1)?, column(row, 2)?);
    let seal = seal(realm, kind, value, column(row, 3)?);
    Ok((realm, seal.open(mac, column(row, 4)?, column(row, 5)?)?))
}

fn seal<'a>(realm: Realm, kind: &str, value: &'a str, until: i64) -> Seal<'a> {
    Seal::new("bar", realm, value.as_bytes())
        .bytes(kind.as_bytes())
        .number(until)
}

const LOAD: &str = "
    SELECT b.realm, b.kind, b.value, b.until, b.body, b.mac
    FROM jsonb_each(?1) j
    CROSS JOIN bar b ON b.realm = j.value ->> 0
      AND b.kind = CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT)
      AND b.value = CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT)";

const WRITE: &str = "
    INSERT INTO bar (realm, kind, value, until, body, mac)
    SELECT j.value ->> 0, CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT),
      CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT), j.value ->> 5,
      CAST(substr(?2, j.value ->> 6, j.value ->> 7) AS TEXT), substr(?2, j.value ->> 8, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, kind, value) DO UPDATE
    SET until = excluded.until, body = excluded.body, mac = excluded.mac
    WHERE bar.until < excluded.until";

// Few: every bar that holds is in memory anyway.
const HOLDING: &str = "
    SELECT realm, kind, value, until, body, mac FROM bar WHERE until > ?1";
