//! Uses of actions that tasks have reserved: made once, and consumed at most once. They go with their task.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, realm, state};
use crate::domain::ids::{Realm, ReservationId, TaskId};
use crate::domain::reservation::Reservation;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the reservations that a batch names.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.reservations.is_empty() {
        return Ok(());
    }
    let mut wanted = Bulk::default();
    for (realm, task, id) in &keys.reservations {
        let row = wanted.row().number(realm.number());
        row.sized(task.as_bytes()).sized(id.as_bytes());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, one) = decode(row, mac)?;
        into.of(realm).put_reservation(one);
    }
    Ok(())
}

/// Writes the newest form of each reservation of a batch. One that was consumed stays as it is.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    all: &BTreeMap<(Realm, ReservationId), &Reservation>,
) -> Result<u64, Down> {
    let mut rows = Bulk::default();
    for ((realm, _), one) in all {
        let body = body(one)?;
        let columns = Columns::of(one);
        let code = columns.seal(*realm).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(&columns.task)
            .sized(&columns.id)
            .number(columns.state)
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
    task: TaskId,
    id: ReservationId,
) -> Result<Option<Reservation>, Down> {
    let row = sqlx::query(BY_ID)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .bind(id.as_bytes().as_slice())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| Ok(decode(&row, mac)?.1)).transpose()
}

/// The reservations of one task, newest first. A grant has at most a thousand uses.
pub(super) async fn of_task(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    task: TaskId,
) -> Result<Vec<Reservation>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, mac)?.1)).collect()
}

fn decode(row: &SqliteRow, mac: &dyn RowMac) -> Result<(Realm, Reservation), Down> {
    let realm = realm(row, 0)?;
    let columns = Columns {
        task: bytes(row, 1)?,
        id: bytes(row, 2)?,
        state: column(row, 3)?,
    };
    let (body, code) = (column(row, 4)?, column(row, 5)?);
    Ok((realm, columns.seal(realm).open(mac, body, code)?))
}

struct Columns {
    task: [u8; 16],
    id: [u8; 16],
    state: i64,
}

impl Columns {
    const fn of(one: &Reservation) -> Self {
        Self {
            task: *one.task.as_bytes(),
            id: *one.id.as_bytes(),
            state: state(!one.is_consumed()),
        }
    }

    fn seal(&self, realm: Realm) -> Seal<'_> {
        Seal::new("reservation", realm, &self.id)
            .bytes(&self.task)
            .number(self.state)
    }
}

const LOAD: &str = "
    SELECT r.realm, r.task, r.id, r.state, r.body, r.mac
    FROM jsonb_each(?1) j
    CROSS JOIN reservation r ON r.realm = j.value ->> 0 AND r.task = substr(?2, j.value ->> 1, 16)
      AND r.id = substr(?2, j.value ->> 2, 16)";

const WRITE: &str = "
    INSERT INTO reservation (realm, task, id, state, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16), substr(?2, j.value ->> 2, 16),
      j.value ->> 3, CAST(substr(?2, j.value ->> 4, j.value ->> 5) AS TEXT),
      substr(?2, j.value ->> 6, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, task, id) DO UPDATE SET state = excluded.state, body = excluded.body,
      mac = excluded.mac
    WHERE reservation.state = 1";

const BY_ID: &str = "
    SELECT realm, task, id, state, body, mac
    FROM reservation WHERE realm = ?1 AND task = ?2 AND id = ?3";

const OF_TASK: &str = "
    SELECT realm, task, id, state, body, mac
    FROM reservation WHERE realm = ?1 AND task = ?2 ORDER BY id DESC";
