//! Freezes: one row for each scope that was ever frozen, so few that all are read. They are never swept:
//! a scope that is frozen again goes on with its epoch.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, column, down, realm, stored};
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::ids::Realm;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads every freeze, where a batch writes one or issues anything.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if !keys.freezes {
        return Ok(());
    }
    for (realm, freeze) in all(db, mac).await? {
        into.of(realm).put_freeze(freeze);
    }
    Ok(())
}

/// Writes the newest form of each freeze of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    freezes: &BTreeMap<(Realm, &FreezeScope), &Freeze>,
) -> Result<u64, Down> {
    let mut rows = Bulk::default();
    for ((realm, scope), freeze) in freezes {
        let (scope, body, epoch) = (
            scope.to_string(),
            body(freeze)?,
            stored(freeze.epoch.number())?,
        );
        let code = seal(*realm, &scope, epoch).code(mac, &body);
        rows.row()
            .number(realm.number())
            .text(&scope)
            .number(epoch)
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(|done| done.rows_affected()).map_err(down)
}

/// Every freeze of every realm.
pub(super) async fn all(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
) -> Result<Vec<(Realm, Freeze)>, Down> {
    let rows = sqlx::query(ALL).fetch_all(db).await.map_err(down)?;
    rows.iter().map(|row| decode(row, mac)).collect()
}

fn decode(row: &SqliteRow, mac: &dyn RowMac) -> Result<(Realm, Freeze), Down> {
    let realm = realm(row, 0)?;
    let seal = seal(realm, column(row, 1)?, column(row, 2)?);
    let freeze = seal.open(mac, column(row, 3)?, column(row, 4)?)?;
    Ok((realm, freeze))
}

fn seal(realm: Realm, scope: &str, epoch: i64) -> Seal<'_> {
    Seal::new("freeze", realm, scope.as_bytes()).number(epoch)
}

const ALL: &str = "
    SELECT realm, scope, epoch, body, mac FROM freeze ORDER BY realm, scope";

const WRITE: &str = "
    INSERT INTO freeze (realm, scope, epoch, body, mac)
    SELECT j.value ->> 0, CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT), j.value ->> 3,
      CAST(substr(?2, j.value ->> 4, j.value ->> 5) AS TEXT), substr(?2, j.value ->> 6, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, scope) DO UPDATE SET epoch = excluded.epoch, body = excluded.body,
      mac = excluded.mac
    WHERE freeze.epoch < excluded.epoch";
