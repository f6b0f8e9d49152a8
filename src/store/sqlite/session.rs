//! Sessions, and the two look-ups that a verb begins with.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::row::{Seal, body, bytes, column, down, json, realm, state, stored};
use super::{lineage, task};
use crate::domain::ids::{Realm, SessionId};
use crate::domain::key::Thumbprint;
use crate::domain::name::{InstanceName, TaskName};
use crate::domain::session::Session;
use crate::domain::standing::{Held, Standing};
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the sessions that a batch names by id or by key.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.sessions.is_empty() && keys.held_by.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = keys
        .sessions
        .iter()
        .map(|(realm, id)| (realm.number(), hex::encode(id.as_bytes())))
        .collect();
    let by_key: Vec<_> = keys
        .held_by
        .iter()
        .map(|(realm, lineage, key)| {
            let (lineage, jkt) = (
                hex::encode(lineage.as_bytes()),
                hex::encode(jkt(key.as_ref())),
            );
            (realm.number(), lineage, jkt)
        })
        .collect();
    let rows = sqlx::query(LOAD)
        .bind(json(&ids)?)
        .bind(json(&by_key)?)
        .fetch_all(db)
        .await
        .map_err(down)?;
    for row in &rows {
        let (realm, session) = decode(row, 0, mac)?;
        into.of(realm).put_session(session);
    }
    Ok(())
}

/// Writes the newest form of each session of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    sessions: &BTreeMap<(Realm, SessionId), &Session>,
) -> Result<u64, Down> {
    let mut rows = Vec::with_capacity(sessions.len());
    for ((realm, _), session) in sessions {
        let body = body(session)?;
        let columns = Columns::of(session)?;
        let code = columns.seal(*realm).code(mac, &body);
        rows.push((
            realm.number(),
            hex::encode(columns.id),
            hex::encode(columns.lineage),
            hex::encode(columns.jkt),
            columns.state,
            columns.epoch,
            body,
            code,
        ));
    }
    let done = sqlx::query(WRITE).bind(json(&rows)?).execute(db).await;
    done.map(|done| done.rows_affected()).map_err(down)
}

/// What stands under a task's name.
pub(super) async fn standing(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    name: &TaskName,
    instance: &InstanceName,
    key: Option<Thumbprint>,
) -> Result<Standing, Down> {
    let row = sqlx::query(STANDING)
        .bind(realm.number())
        .bind(name.as_str())
        .bind(instance.as_str())
        .bind(jkt(key.as_ref()))
        .fetch_optional(db)
        .await
        .map_err(down)?;
    let Some(row) = row else {
        return Ok(Standing::default());
    };
    let (_, task) = task::decode(&row, 0, mac)?;
    let at = task::COLUMNS;
    let lineage = present(&row, at)?
        .then(|| lineage::decode(&row, at, mac))
        .transpose()?;
    let at = at + lineage::COLUMNS;
    let session = present(&row, at)?
        .then(|| decode(&row, at, mac))
        .transpose()?;
    Ok(Standing {
        task: Some(task),
        lineage: lineage.map(|(_, lineage)| lineage),
        session: session.map(|(_, session)| session),
    })
}

/// A session with its lineage and task.
pub(super) async fn held(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    id: SessionId,
) -> Result<Option<Held>, Down> {
    let row = sqlx::query(HELD)
        .bind(realm.number())
        .bind(id.as_bytes().as_slice())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    let Some(row) = row else { return Ok(None) };
    let (_, session) = decode(&row, task::COLUMNS + lineage::COLUMNS, mac)?;
    // A session always has a lineage, and that a task: a row that is missing was taken away.
    if !present(&row, 0)? || !present(&row, task::COLUMNS)? {
        let lost = format!("the lineage or task of session {id} is missing");
        tracing::error!(lost, "a row of the store is broken");
        return Err(Down(lost));
    }
    let (_, task) = task::decode(&row, 0, mac)?;
    let (_, lineage) = lineage::decode(&row, task::COLUMNS, mac)?;
    Ok(Some(Held {
        task,
        lineage,
        session,
    }))
}

/// Whether an outer join found its row.
fn present(row: &SqliteRow, realm: usize) -> Result<bool, Down> {
    Ok(column::<Option<i64>>(row, realm)?.is_some())
}

/// The bytes of a session's key; none for the session without one.
fn jkt(key: Option<&Thumbprint>) -> &[u8] {
    key.map_or(&[], |key| key.as_bytes().as_slice())
}

fn decode(row: &SqliteRow, from: usize, mac: &dyn RowMac) -> Result<(Realm, Session), Down> {
    let realm = realm(row, from)?;
    let columns = Columns {
        id: bytes(row, from + 1)?,
        lineage: bytes(row, from + 2)?,
        jkt: column(row, from + 3)?,
        state: column(row, from + 4)?,
        epoch: column(row, from + 5)?,
    };
    let (body, code) = (column(row, from + 6)?, column(row, from + 7)?);
    Ok((realm, columns.seal(realm).open(mac, body, code)?))
}

struct Columns<'a> {
    id: [u8; 16],
    lineage: [u8; 16],
    jkt: &'a [u8],
    state: i64,
    epoch: i64,
}

impl<'a> Columns<'a> {
    fn of(session: &'a Session) -> Result<Self, Down> {
        Ok(Self {
            id: *session.id.as_bytes(),
            lineage: *session.lineage.as_bytes(),
            jkt: jkt(session.key.as_ref()),
            state: state(session.is_live()),
            epoch: stored(session.epoch.number())?,
        })
    }

    fn seal(&self, realm: Realm) -> Seal<'_> {
        Seal::new("session", realm, &self.id)
            .bytes(&self.lineage)
            .bytes(self.jkt)
            .number(self.state)
            .number(self.epoch)
    }
}

const LOAD: &str = "
    SELECT s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM jsonb_each(?1) j
    CROSS JOIN session s ON s.realm = j.value ->> 0 AND s.id = unhex(j.value ->> 1)
    UNION ALL
    SELECT s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM jsonb_each(?2) j
    CROSS JOIN session s ON s.realm = j.value ->> 0 AND s.lineage = unhex(j.value ->> 1)
      AND s.jkt = unhex(j.value ->> 2)";

const WRITE: &str = "
    INSERT INTO session (realm, id, lineage, jkt, state, epoch, body, mac)
    SELECT j.value ->> 0, unhex(j.value ->> 1), unhex(j.value ->> 2), unhex(j.value ->> 3),
      j.value ->> 4, j.value ->> 5, j.value ->> 6, unhex(j.value ->> 7)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
      body = excluded.body, mac = excluded.mac
    WHERE session.epoch < excluded.epoch";

const STANDING: &str = "
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac,
      s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM task t
    LEFT JOIN lineage l ON l.realm = t.realm AND l.task = t.id AND l.instance = ?3
    LEFT JOIN session s ON s.realm = l.realm AND s.lineage = l.id AND s.jkt = ?4
    WHERE t.realm = ?1 AND t.external = ?2";

const HELD: &str = "
    SELECT t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac,
      s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM session s
    LEFT JOIN lineage l ON l.realm = s.realm AND l.id = s.lineage
    LEFT JOIN task t ON t.realm = l.realm AND t.id = l.task
    WHERE s.realm = ?1 AND s.id = ?2";
