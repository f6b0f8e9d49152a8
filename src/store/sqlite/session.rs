//! Sessions, and the two look-ups that a verb begins with.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, placed, realm, state, stored};
use super::{lineage, task};
use crate::domain::ids::{Realm, SessionId, TaskId};
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
    let (mut ids, mut by_key) = (Bulk::default(), Bulk::default());
    for (realm, id) in &keys.sessions {
        ids.row().number(realm.number()).sized(id.as_bytes());
    }
    for (realm, lineage, key) in &keys.held_by {
        let row = by_key.row().number(realm.number());
        row.sized(lineage.as_bytes()).bytes(jkt(key.as_ref()));
    }
    let query = by_key.bind(ids.bind(sqlx::query(LOAD)));
    let rows = query.fetch_all(db).await.map_err(down)?;
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
    let mut rows = Bulk::default();
    for ((realm, _), session) in sessions {
        let body = body(session)?;
        let columns = Columns::of(session)?;
        let code = columns.seal(*realm).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(&columns.id)
            .sized(&columns.lineage)
            .bytes(columns.jkt)
            .number(columns.state)
            .number(columns.epoch)
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(|done| done.rows_affected()).map_err(down)
}

/// What stands under a task's name is asked by these.
pub(super) struct StandingKey {
    pub(super) realm: Realm,
    pub(super) name: TaskName,
    pub(super) instance: InstanceName,
    pub(super) key: Option<Thumbprint>,
}

/// What stands under each of these names, where anything does.
pub(super) async fn standing(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    asked: &[StandingKey],
) -> Result<Vec<Option<Standing>>, Down> {
    let mut wanted = Bulk::default();
    for one in asked {
        wanted
            .row()
            .number(one.realm.number())
            .text(one.name.as_str())
            .text(one.instance.as_str())
            .bytes(jkt(one.key.as_ref()));
    }
    let rows = wanted.bind(sqlx::query(STANDING)).fetch_all(db).await;
    placed(&rows.map_err(down)?, asked.len(), |row| {
        let (_, task) = task::decode(row, 1, mac)?;
        let at = 1 + task::COLUMNS;
        let lineage = present(row, at)?
            .then(|| lineage::decode(row, at, mac))
            .transpose()?;
        let at = at + lineage::COLUMNS;
        let session = present(row, at)?
            .then(|| decode(row, at, mac))
            .transpose()?;
        Ok(Standing {
            task: Some(task),
            lineage: lineage.map(|(_, lineage)| lineage),
            session: session.map(|(_, session)| session),
        })
    })
}

/// Sessions with their lineages and tasks, where there are any.
pub(super) async fn held(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    asked: &[(Realm, SessionId)],
) -> Result<Vec<Option<Held>>, Down> {
    let mut wanted = Bulk::default();
    for (realm, id) in asked {
        wanted.row().number(realm.number()).sized(id.as_bytes());
    }
    let rows = wanted.bind(sqlx::query(HELD)).fetch_all(db).await;
    placed(&rows.map_err(down)?, asked.len(), |row| {
        let (_, session) = decode(row, 1 + task::COLUMNS + lineage::COLUMNS, mac)?;
        // A session always has a lineage, and that a task: a row that is missing was taken away.
        if !present(row, 1)? || !present(row, 1 + task::COLUMNS)? {
            let lost = format!("the lineage or task of session {} is missing", session.id);
            tracing::error!(lost, "a row of the store is broken");
            return Err(Down(lost));
        }
        let (_, task) = task::decode(row, 1, mac)?;
        let (_, lineage) = lineage::decode(row, 1 + task::COLUMNS, mac)?;
        Ok(Held {
            task,
            lineage,
            session,
        })
    })
}

/// The sessions of a task's lineages.
pub(super) async fn of_task(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    task: TaskId,
) -> Result<Vec<Session>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
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
    CROSS JOIN session s ON s.realm = j.value ->> 0 AND s.id = substr(?2, j.value ->> 1, 16)
    UNION ALL
    SELECT s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM jsonb_each(?3) j
    CROSS JOIN session s ON s.realm = j.value ->> 0 AND s.lineage = substr(?4, j.value ->> 1, 16)
      AND s.jkt = substr(?4, j.value ->> 2, j.value ->> 3)";

const WRITE: &str = "
    INSERT INTO session (realm, id, lineage, jkt, state, epoch, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16), substr(?2, j.value ->> 2, 16),
      substr(?2, j.value ->> 3, j.value ->> 4), j.value ->> 5, j.value ->> 6,
      CAST(substr(?2, j.value ->> 7, j.value ->> 8) AS TEXT), substr(?2, j.value ->> 9, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
      body = excluded.body, mac = excluded.mac
    WHERE session.epoch < excluded.epoch";

const OF_TASK: &str = "
    SELECT s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM lineage l
    CROSS JOIN session s ON s.realm = l.realm AND s.lineage = l.id
    WHERE l.realm = ?1 AND l.task = ?2 ORDER BY s.id";

const STANDING: &str = "
    SELECT j.key, t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac,
      s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM jsonb_each(?1) j
    CROSS JOIN task t ON t.realm = j.value ->> 0
      AND t.external = CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT)
    LEFT JOIN lineage l ON l.realm = t.realm AND l.task = t.id
      AND l.instance = CAST(substr(?2, j.value ->> 3, j.value ->> 4) AS TEXT)
    LEFT JOIN session s ON s.realm = l.realm AND s.lineage = l.id
      AND s.jkt = substr(?2, j.value ->> 5, j.value ->> 6)";

const HELD: &str = "
    SELECT j.key, t.realm, t.id, t.external, t.state, t.epoch, t.deadline_at, t.body, t.mac,
      l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac,
      s.realm, s.id, s.lineage, s.jkt, s.state, s.epoch, s.body, s.mac
    FROM jsonb_each(?1) j
    CROSS JOIN session s ON s.realm = j.value ->> 0 AND s.id = substr(?2, j.value ->> 1, 16)
    LEFT JOIN lineage l ON l.realm = s.realm AND l.id = s.lineage
    LEFT JOIN task t ON t.realm = l.realm AND t.id = l.task";
