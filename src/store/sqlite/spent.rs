//! How often a task's grants were used.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, bytes, column, down, number, realm};
use crate::domain::ids::{Realm, TaskId};
use crate::domain::name::GrantName;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the counts that a batch adds to.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.spent.is_empty() {
        return Ok(());
    }
    let mut wanted = Bulk::default();
    for (realm, task, grant) in &keys.spent {
        let row = wanted.row().number(realm.number());
        row.sized(task.as_bytes()).text(grant.as_str());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, task, grant, used) = decode(row, mac)?;
        into.of(realm).put_spent(task, grant, used);
    }
    Ok(())
}

/// The counts of one task.
pub(super) async fn of_task(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    task: TaskId,
) -> Result<Vec<(GrantName, u32)>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .fetch_all(db)
        .await
        .map_err(down)?;
    let count = |row| {
        let (_, _, grant, used) = decode(row, mac)?;
        Ok((grant, used))
    };
    rows.iter().map(count).collect()
}

/// Writes the counts after a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    moved: &BTreeSet<(Realm, TaskId, &GrantName)>,
    after: &Ledgers,
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for (realm, task, grant) in moved {
        let used = after.get(*realm).map_or(0, |rows| rows.spent(*task, grant));
        let code = seal(*realm, task.as_bytes(), grant.as_str(), used).code(mac, "");
        rows.row()
            .number(realm.number())
            .sized(task.as_bytes())
            .text(grant.as_str())
            .number(used)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

fn decode(row: &SqliteRow, mac: &dyn RowMac) -> Result<(Realm, TaskId, GrantName, u32), Down> {
    let realm = realm(row, 0)?;
    let task: [u8; 16] = bytes(row, 1)?;
    let grant: &str = column(row, 2)?;
    let used: u32 = number(row, 3)?;
    seal(realm, &task, grant, used).check(mac, "", column(row, 4)?)?;
    let grant = grant
        .parse()
        .map_err(|_| Down("a count of uses names no grant".to_owned()))?;
    Ok((realm, TaskId::from_bytes(task), grant, used))
}

fn seal<'a>(realm: Realm, task: &'a [u8; 16], grant: &str, used: u32) -> Seal<'a> {
    Seal::new("spent", realm, task)
        .bytes(grant.as_bytes())
        .number(used.into())
}

const LOAD: &str = "
    SELECT s.realm, s.task, s.grant_name, s.used, s.mac
    FROM jsonb_each(?1) j
    CROSS JOIN spent s ON s.realm = j.value ->> 0 AND s.task = substr(?2, j.value ->> 1, 16)
      AND s.grant_name = CAST(substr(?2, j.value ->> 2, j.value ->> 3) AS TEXT)";

const OF_TASK: &str = "
    SELECT realm, task, grant_name, used, mac FROM spent WHERE realm = ?1 AND task = ?2";

const WRITE: &str = "
    INSERT INTO spent (realm, task, grant_name, used, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16),
      CAST(substr(?2, j.value ->> 2, j.value ->> 3) AS TEXT), j.value ->> 4,
      substr(?2, j.value ->> 5, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, task, grant_name) DO UPDATE
    SET used = excluded.used, mac = excluded.mac";
