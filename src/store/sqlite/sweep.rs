//! What can no longer matter is deleted: in small transactions, by index ranges only, a task's rows
//! before the task. Entries, leaves and secrets are never deleted.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use super::bulk::Bulk;
use super::gate::Gate;
use super::row::{bytes, column, down};
use super::{binding, lineage};
use crate::domain::ids::Realm;
use crate::domain::time::Timestamp;
use crate::store::Down;
use crate::store::row_mac::RowMac;

/// Deletes at most `limit` rows whose time was over an hour before `now`.
pub(super) async fn sweep(
    gate: &Gate,
    mac: &dyn RowMac,
    now: Timestamp,
    limit: u32,
) -> Result<u64, Down> {
    let cutoff = now.minus(GRACE);
    let mut swept = 0;
    let mut realm = next_realm(gate, None).await?;
    while let Some(here) = realm {
        loop {
            let left = u64::from(limit).saturating_sub(swept);
            let room = left.min(CHUNK);
            if room == 0 {
                return Ok(swept);
            }
            let mut transaction = gate.begin().await?;
            let done = chunk(transaction.db(), mac, here, cutoff, room).await;
            let did = transaction.end(done).await?;
            if did == 0 {
                break;
            }
            swept += did;
        }
        realm = next_realm(gate, Some(here)).await?;
    }
    Ok(swept)
}

/// Deletes at most `room` rows of one realm.
async fn chunk(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    cutoff: Timestamp,
    room: u64,
) -> Result<u64, Down> {
    let mut did = 0;
    for statement in [ONCE, ANSWERED, BARS, CERTIFICATES, CREDENTIALS, SESSIONS] {
        did += delete(db, statement, realm, cutoff, room - did).await?;
        if did == room {
            return Ok(did);
        }
    }
    did += lineages(db, mac, realm, cutoff, room - did).await?;
    for statement in [SPENT, RESERVATIONS, TASKS] {
        if did == room {
            return Ok(did);
        }
        did += delete(db, statement, realm, cutoff, room - did).await?;
    }
    Ok(did)
}

async fn delete(
    db: &mut SqliteConnection,
    statement: &'static str,
    realm: Realm,
    cutoff: Timestamp,
    room: u64,
) -> Result<u64, Down> {
    let done = sqlx::query(statement)
        .bind(realm.number())
        .bind(cutoff.micros())
        .bind(super::row::stored(room)?)
        .execute(db)
        .await;
    done.map(|done| done.rows_affected()).map_err(down)
}

/// The lineages of tasks that are due, with their bindings.
async fn lineages(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    cutoff: Timestamp,
    room: u64,
) -> Result<u64, Down> {
    let rows = sqlx::query(LINEAGES)
        .bind(realm.number())
        .bind(cutoff.micros())
        .bind(super::row::stored(room)?)
        .fetch_all(&mut *db)
        .await
        .map_err(down)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut found = Vec::with_capacity(rows.len());
    let mut ids = Bulk::default();
    for row in &rows {
        found.push(lineage::decode(row, 0, mac)?.1);
        let id: [u8; 16] = bytes(row, 1)?;
        ids.row().sized(&id);
    }
    let found: Vec<_> = found.iter().map(|lineage| (realm, lineage)).collect();
    binding::forget(db, &found).await?;
    let done = ids
        .bind(sqlx::query(DELETE_LINEAGES))
        .bind(realm.number())
        .execute(db);
    done.await.map(|done| done.rows_affected()).map_err(down)
}

/// The next realm in which there is anything that can be swept.
async fn next_realm(gate: &Gate, after: Option<Realm>) -> Result<Option<Realm>, Down> {
    let mut transaction = gate.begin().await?;
    let row = sqlx::query(NEXT_REALM)
        .bind(after.map_or(-1, |realm| i64::from(realm.number())))
        .fetch_one(transaction.db())
        .await
        .map_err(down);
    transaction.rollback().await;
    let realm: Option<i64> = column(&row?, 0)?;
    realm
        .map(|number| u16::try_from(number).map(Realm::from_number))
        .transpose()
        .map_err(|_| Down("there is a row of an impossible realm".to_owned()))
}

/// How long a row outlives its time: longer than any clock may be off, and than anybody would still
/// ask what became of it.
const GRACE: Duration = Duration::from_hours(1);

/// How many rows one transaction deletes: few enough that a revocation does not notice the wait.
const CHUNK: u64 = 512;

const NEXT_REALM: &str = "
    SELECT min(realm) FROM (
      SELECT min(realm) AS realm FROM task WHERE realm > ?1
      UNION ALL SELECT min(realm) FROM once WHERE realm > ?1
      UNION ALL SELECT min(realm) FROM answered WHERE realm > ?1
      UNION ALL SELECT min(realm) FROM bar WHERE realm > ?1)";

const ONCE: &str = "
    DELETE FROM once WHERE realm = ?1 AND (until, digest, kind) IN (
      SELECT until, digest, kind FROM once
      WHERE realm = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)";

const ANSWERED: &str = "
    DELETE FROM answered WHERE realm = ?1 AND digest IN (
      SELECT digest FROM answered INDEXED BY answered_by_until
      WHERE realm = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)";

const BARS: &str = "
    DELETE FROM bar WHERE realm = ?1 AND (kind, value) IN (
      SELECT kind, value FROM bar INDEXED BY bar_by_until
      WHERE realm = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)";

const CERTIFICATES: &str = "
    DELETE FROM certificate WHERE realm = ?1 AND (until, lineage, id) IN (
      SELECT until, lineage, id FROM certificate
      WHERE realm = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)";

const CREDENTIALS: &str = "
    DELETE FROM credential WHERE realm = ?1 AND (lineage, id) IN (
      SELECT lineage, id FROM credential INDEXED BY credential_by_expiry
      WHERE realm = ?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3)";

// A few tasks at a time, so that what one step has emptied is not walked through again and again.
// No credential outlives its task, so when this step is reached those of these tasks are gone.
const SESSIONS: &str = "
    WITH due AS MATERIALIZED (
      SELECT realm, id FROM task INDEXED BY task_by_deadline
      WHERE realm = ?1 AND deadline_at <= ?2 ORDER BY deadline_at LIMIT 128)
    DELETE FROM session WHERE realm = ?1 AND id IN (
      SELECT s.id FROM due d
      CROSS JOIN lineage l ON l.realm = d.realm AND l.task = d.id
      CROSS JOIN session s ON s.realm = l.realm AND s.lineage = l.id
      LIMIT ?3)";

const LINEAGES: &str = "
    WITH due AS MATERIALIZED (
      SELECT realm, id FROM task INDEXED BY task_by_deadline
      WHERE realm = ?1 AND deadline_at <= ?2 ORDER BY deadline_at LIMIT 128)
    SELECT l.realm, l.id, l.task, l.instance, l.state, l.epoch, l.body, l.mac FROM due d
    CROSS JOIN lineage l ON l.realm = d.realm AND l.task = d.id
    LIMIT ?3";

const DELETE_LINEAGES: &str = "
    DELETE FROM lineage WHERE realm = ?3 AND id IN (
      SELECT substr(?2, j.value ->> 0, 16) FROM jsonb_each(?1) j)";

const SPENT: &str = "
    WITH due AS MATERIALIZED (
      SELECT realm, id FROM task INDEXED BY task_by_deadline
      WHERE realm = ?1 AND deadline_at <= ?2 ORDER BY deadline_at LIMIT 128)
    DELETE FROM spent WHERE realm = ?1 AND (task, grant_name) IN (
      SELECT s.task, s.grant_name FROM due d
      CROSS JOIN spent s ON s.realm = d.realm AND s.task = d.id
      LIMIT ?3)";

const RESERVATIONS: &str = "
    WITH due AS MATERIALIZED (
      SELECT realm, id FROM task INDEXED BY task_by_deadline
      WHERE realm = ?1 AND deadline_at <= ?2 ORDER BY deadline_at LIMIT 128)
    DELETE FROM reservation WHERE realm = ?1 AND (task, id) IN (
      SELECT r.task, r.id FROM due d
      CROSS JOIN reservation r ON r.realm = d.realm AND r.task = d.id
      LIMIT ?3)";

const TASKS: &str = "
    DELETE FROM task WHERE realm = ?1 AND id IN (
      SELECT id FROM task INDEXED BY task_by_deadline
      WHERE realm = ?1 AND deadline_at <= ?2 ORDER BY deadline_at LIMIT min(?3, 128))";
