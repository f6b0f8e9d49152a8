//! Tasks.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, realm, state, stored};
use crate::domain::ids::{Realm, TaskId};
use crate::domain::name::TaskName;
use crate::domain::task::Task;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// How many columns [`decode`] reads.
pub(super) const COLUMNS: usize = 8;

/// Reads the tasks that a batch names by id or by name.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.tasks.is_empty() && keys.names.is_empty() {
        return Ok(());
    }
    let (mut ids, mut names) = (Bulk::default(), Bulk::default());
    for (realm, id) in &keys.tasks {
        ids.row().number(realm.number()).sized(id.as_bytes());
    }
    for (realm, name) in &keys.names {
        names.row().number(realm.number()).text(name.as_str());
    }
    let query = names.bind(ids.bind(sqlx::query(LOAD)));
    let rows = query.fetch_all(db).await.map_err(down)?;
    for row in &rows {
        let (realm, task) = decode(row, 0, mac)?;
        into.of(realm).put_task(task);
    }
    Ok(())
}

/// Writes the newest form of each task of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    tasks: &BTreeMap<(Realm, TaskId), &Task>,
) -> Result<u64, Down> {
    let mut rows = Bulk::default();
    for ((realm, _), task) in tasks {
        let body = body(task)?;
        let columns = Columns::of(task)?;
        let code = columns.seal(*realm).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(&columns.id)
            .text(columns.external)
            .number(columns.state)
            .number(columns.epoch)
            .number(columns.deadline)
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(|done| done.rows_affected()).map_err(down)
}

pub(super) async fn by_id(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    id: TaskId,
) -> Result<Option<Task>, Down> {
    let row = sqlx::query(BY_ID)
        .bind(realm.number())
        .bind(id.as_bytes().as_slice())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| Ok(decode(&row, 0, mac)?.1)).transpose()
}

pub(super) async fn by_name(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    name: &TaskName,
) -> Result<Option<Task>, Down> {
    let row = sqlx::query(BY_NAME)
        .bind(realm.number())
        .bind(name.as_str())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| Ok(decode(&row, 0, mac)?.1)).transpose()
}

pub(super) async fn newest(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    before: Option<TaskId>,
    limit: u32,
) -> Result<Vec<Task>, Down> {
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

/// Names at or above `from`.
pub(super) async fn names(
    db: &mut SqliteConnection,
    realm: Realm,
    from: &str,
    limit: u32,
) -> Result<Vec<TaskName>, Down> {
    let rows = sqlx::query(NAMES)
        .bind(realm.number())
        .bind(from)
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    let name = |row| {
        let text: &str = column(row, 0)?;
        let bad = |_| Down("a task has a name that is none".to_owned());
        text.parse().map_err(bad)
    };
    rows.iter().map(name).collect()
}

/// A task from eight columns, the first of them at `from`.
pub(super) fn decode(
    row: &SqliteRow,
    from: usize,
    mac: &dyn RowMac,
) -> Result<(Realm, Task), Down> {
    let realm = realm(row, from)?;
    let columns = Columns {
        id: bytes(row, from + 1)?,
        external: column(row, from + 2)?,
        state: column(row, from + 3)?,
        epoch: column(row, from + 4)?,
        deadline: column(row, from + 5)?,
    };
    let (body, code) = (column(row, from + 6)?, column(row, from + 7)?);
    Ok((realm, columns.seal(realm).open(mac, body, code)?))
}

struct Columns<'a> {
    id: [u8; 16],
    external: &'a str,
    state: i64,
    epoch: i64,
    deadline: i64,
}

impl<'a> Columns<'a> {
    fn of(task: &'a Task) -> Result<Self, Down> {
        Ok(Self {
            id: *task.id.as_bytes(),
            external: task.name.as_str(),
            state: state(task.is_open()),
            epoch: stored(task.epoch.number())?,
            deadline: task.deadline.micros(),
        })
    }

    fn seal(&self, realm: Realm) -> Seal<'_> {
        Seal::new("task", realm, &self.id)
            .bytes(self.external.as_bytes())
            .number(self.state)
            .number(self.epoch)
            .number(self.deadline)
    }
}

const LOAD: &str = "
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac
    FROM jsonb_each(?1) j
    CROSS JOIN task t ON t.realm = j.value ->> 0 AND t.id = substr(?2, j.value ->> 1, 16)
    UNION ALL
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac
    FROM jsonb_each(?3) j
    CROSS JOIN task t ON t.realm = j.value ->> 0 AND 
      t.external = CAST(substr(?4, j.value ->> 1, j.value ->> 2) AS TEXT)";

const WRITE: &str = "
    INSERT INTO task (realm, id, external, state, epoch, deadline_at, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16),
      CAST(substr(?2, j.value ->> 2, j.value ->> 3) AS TEXT), j.value ->> 4, j.value ->> 5,
      j.value ->> 6, CAST(substr(?2, j.value ->> 7, j.value ->> 8) AS TEXT),
      substr(?2, j.value ->> 9, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
      body = excluded.body, mac = excluded.mac
    WHERE task.epoch < excluded.epoch";

const BY_ID: &str = "
    SELECT realm, id, external, state, epoch, deadline_at, body, mac
    FROM task WHERE realm = ?1 AND id = ?2";

const BY_NAME: &str = "
    SELECT realm, id, external, state, epoch, deadline_at, body, mac
    FROM task WHERE realm = ?1 AND external = ?2";

// The row itself is not looked at: whoever goes by a name reads it.
const NAMES: &str = "
    SELECT external FROM task WHERE realm = ?1 AND external >= ?2 ORDER BY external LIMIT ?3";

const NEWEST: &str = "
    SELECT realm, id, external, state, epoch, deadline_at, body, mac
    FROM task WHERE realm = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
