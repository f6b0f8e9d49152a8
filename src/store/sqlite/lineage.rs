//! Lineages.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, realm, state, stored};
use crate::domain::ids::{LineageId, Realm, TaskId};
use crate::domain::lineage::{Lineage, LineageState};
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// How many columns [`decode`] reads.
pub(super) const COLUMNS: usize = 8;

/// Reads the lineages that a batch names by id or by instance, and notes their tasks.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &mut Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.lineages.is_empty() && keys.instances.is_empty() {
        return Ok(());
    }
    let (mut ids, mut instances) = (Bulk::default(), Bulk::default());
    for (realm, id) in &keys.lineages {
        ids.row().number(realm.number()).sized(id.as_bytes());
    }
    for (realm, task, name) in &keys.instances {
        let row = instances.row().number(realm.number());
        row.sized(task.as_bytes()).text(name.as_str());
    }
    let query = instances.bind(ids.bind(sqlx::query(LOAD)));
    let rows = query.fetch_all(db).await.map_err(down)?;
    for row in &rows {
        let (realm, lineage) = decode(row, 0, mac)?;
        keys.tasks.insert((realm, lineage.task));
        into.of(realm).put_lineage(lineage);
    }
    Ok(())
}

/// Writes the newest form of each lineage of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    lineages: &BTreeMap<(Realm, LineageId), &Lineage>,
) -> Result<u64, Down> {
    let mut rows = Bulk::default();
    for ((realm, _), lineage) in lineages {
        let body = body(lineage)?;
        let columns = Columns::of(lineage)?;
        let code = columns.seal(*realm).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(&columns.id)
            .sized(&columns.task)
            .text(columns.instance)
            .number(columns.state)
            .number(columns.epoch)
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(|done| done.rows_affected()).map_err(down)
}

pub(super) async fn of_task(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    task: TaskId,
) -> Result<Vec<Lineage>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
}

pub(super) async fn by_id(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    id: LineageId,
) -> Result<Option<Lineage>, Down> {
    let row = sqlx::query(BY_ID)
        .bind(realm.number())
        .bind(id.as_bytes().as_slice())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| Ok(decode(&row, 0, mac)?.1)).transpose()
}

pub(super) async fn newest(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    before: Option<LineageId>,
    limit: u32,
) -> Result<Vec<Lineage>, Down> {
    let before = before.map_or([0xff; 16], |id| *id.as_bytes());
    let rows = sqlx::query(NEWEST)
        .bind(realm.number())
        .bind(before.as_slice())
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
}

/// Lineages whose risk was raised or that are in quarantine, in the order of their opening, from above `after`.
pub(super) async fn constrained(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    after: Option<LineageId>,
    limit: u32,
) -> Result<Vec<Lineage>, Down> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let rows = sqlx::query(ALL_CONSTRAINED)
        .bind(realm.number())
        .bind(after.as_slice())
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
}

/// A lineage from eight columns, the first of them at `from`.
pub(super) fn decode(
    row: &SqliteRow,
    from: usize,
    mac: &dyn RowMac,
) -> Result<(Realm, Lineage), Down> {
    let realm = realm(row, from)?;
    let columns = Columns {
        id: bytes(row, from + 1)?,
        task: bytes(row, from + 2)?,
        instance: column(row, from + 3)?,
        state: column(row, from + 4)?,
        epoch: column(row, from + 5)?,
    };
    let (body, code) = (column(row, from + 6)?, column(row, from + 7)?);
    Ok((realm, columns.seal(realm).open(mac, body, code)?))
}

struct Columns<'a> {
    id: [u8; 16],
    task: [u8; 16],
    instance: &'a str,
    state: i64,
    epoch: i64,
}

impl<'a> Columns<'a> {
    fn of(lineage: &'a Lineage) -> Result<Self, Down> {
        Ok(Self {
            id: *lineage.id.as_bytes(),
            task: *lineage.task.as_bytes(),
            instance: lineage.instance.as_str(),
            state: standing(lineage),
            epoch: stored(lineage.epoch.number())?,
        })
    }

    fn seal(&self, realm: Realm) -> Seal<'_> {
        Seal::new("lineage", realm, &self.id)
            .bytes(&self.task)
            .bytes(self.instance.as_bytes())
            .number(self.state)
            .number(self.epoch)
    }
}

/// `state` of a row: that of any row, and one more for what is constrained.
const fn standing(lineage: &Lineage) -> i64 {
    match lineage.state {
        LineageState::Active | LineageState::Ended(_) => state(!lineage.is_over()),
        LineageState::StepUp(_) | LineageState::Quarantined(_) => CONSTRAINED,
    }
}

const CONSTRAINED: i64 = 3;

const ALL_CONSTRAINED: &str = "
    SELECT realm, id, task, instance, state, epoch, body, mac
    FROM lineage WHERE realm = ?1 AND state = 3 AND id > ?2 ORDER BY id LIMIT ?3";

const LOAD: &str = "
    SELECT l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac
    FROM jsonb_each(?1) j
    CROSS JOIN lineage l ON l.realm = j.value ->> 0 AND l.id = substr(?2, j.value ->> 1, 16)
    UNION ALL
    SELECT l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac
    FROM jsonb_each(?3) j
    CROSS JOIN lineage l ON l.realm = j.value ->> 0 AND l.task = substr(?4, j.value ->> 1, 16)
      AND l.instance = CAST(substr(?4, j.value ->> 2, j.value ->> 3) AS TEXT)";

const WRITE: &str = "
    INSERT INTO lineage (realm, id, task, instance, state, epoch, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16), substr(?2, j.value ->> 2, 16),
      CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT), j.value ->> 5, j.value ->> 6,
      CAST(substr(?2, j.value ->> 7, j.value ->> 8) AS TEXT), substr(?2, j.value ->> 9, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
      body = excluded.body, mac = excluded.mac
    WHERE lineage.epoch < excluded.epoch";

const BY_ID: &str = "
    SELECT realm, id, task, instance, state, epoch, body, mac
    FROM lineage WHERE realm = ?1 AND id = ?2";

const NEWEST: &str = "
    SELECT realm, id, task, instance, state, epoch, body, mac
    FROM lineage WHERE realm = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";

const OF_TASK: &str = "
    SELECT realm, id, task, instance, state, epoch, body, mac
    FROM lineage WHERE realm = ?1 AND task = ?2 ORDER BY id";
