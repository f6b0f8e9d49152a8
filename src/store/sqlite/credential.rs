//! Credentials: appended, never updated.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, placed, realm};
use crate::domain::credential::CredentialRecord;
use crate::domain::ids::{CredentialId, LineageId, Realm, TaskId};
use crate::domain::time::Timestamp;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the credentials that a batch names: parents, and those that it would record again.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.credentials.is_empty() {
        return Ok(());
    }
    let mut ids = Bulk::default();
    for (realm, lineage, id) in &keys.credentials {
        let row = ids.row().number(realm.number());
        row.sized(lineage.as_bytes()).sized(id.as_bytes());
    }
    let rows = ids.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, credential) = decode(row, 1, mac)?;
        into.of(realm).put_credential(credential);
    }
    Ok(())
}

/// Appends the credentials of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    credentials: &[(Realm, &CredentialRecord)],
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for (realm, credential) in credentials {
        let body = body(credential)?;
        let columns = Columns::of(credential);
        let code = columns.seal(*realm).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(&columns.lineage)
            .sized(&columns.id)
            .number(columns.expires_at)
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

/// Each of these credentials, where it is.
pub(super) async fn by_ids(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    asked: &[(Realm, LineageId, CredentialId)],
) -> Result<Vec<Option<CredentialRecord>>, Down> {
    let mut wanted = Bulk::default();
    for (realm, lineage, id) in asked {
        let row = wanted.row().number(realm.number());
        row.sized(lineage.as_bytes()).sized(id.as_bytes());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    let decode = |row: &SqliteRow| Ok(decode(row, 1, mac)?.1);
    placed(&rows.map_err(down)?, asked.len(), decode)
}

/// The credentials of a task's lineages that had not expired at `now`.
pub(super) async fn of_task(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    task: TaskId,
    now: Timestamp,
) -> Result<Vec<CredentialRecord>, Down> {
    let rows = sqlx::query(OF_TASK)
        .bind(realm.number())
        .bind(task.as_bytes().as_slice())
        .bind(now.micros())
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
}

/// The credentials of a lineage that had not expired at `now`.
pub(super) async fn of_lineage(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    lineage: LineageId,
    now: Timestamp,
) -> Result<Vec<CredentialRecord>, Down> {
    let rows = sqlx::query(OF_LINEAGE)
        .bind(realm.number())
        .bind(lineage.as_bytes().as_slice())
        .bind(now.micros())
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter().map(|row| Ok(decode(row, 0, mac)?.1)).collect()
}

/// A credential from six columns, the first of them at `from`.
pub(super) fn decode(
    row: &SqliteRow,
    from: usize,
    mac: &dyn RowMac,
) -> Result<(Realm, CredentialRecord), Down> {
    let realm = realm(row, from)?;
    let columns = Columns {
        lineage: bytes(row, from + 1)?,
        id: bytes(row, from + 2)?,
        expires_at: column(row, from + 3)?,
    };
    let (body, code) = (column(row, from + 4)?, column(row, from + 5)?);
    Ok((realm, columns.seal(realm).open(mac, body, code)?))
}

struct Columns {
    lineage: [u8; 16],
    id: [u8; 16],
    expires_at: i64,
}

impl Columns {
    const fn of(credential: &CredentialRecord) -> Self {
        Self {
            lineage: *credential.lineage.as_bytes(),
            id: *credential.id.as_bytes(),
            expires_at: credential.expires_at.micros(),
        }
    }

    fn seal(&self, realm: Realm) -> Seal<'_> {
        Seal::new("credential", realm, &self.id)
            .bytes(&self.lineage)
            .number(self.expires_at)
    }
}

const LOAD: &str = "
    SELECT j.key, c.realm, c.lineage, c.id, c.expires_at, c.body, c.mac
    FROM jsonb_each(?1) j
    CROSS JOIN credential c ON c.realm = j.value ->> 0 AND c.lineage = substr(?2, j.value ->> 1, 16)
      AND c.id = substr(?2, j.value ->> 2, 16)";

const WRITE: &str = "
    INSERT INTO credential (realm, lineage, id, expires_at, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 16), substr(?2, j.value ->> 2, 16),
      j.value ->> 3, CAST(substr(?2, j.value ->> 4, j.value ->> 5) AS TEXT),
      substr(?2, j.value ->> 6, 32)
    FROM jsonb_each(?1) j";

const OF_LINEAGE: &str = "
    SELECT realm, lineage, id, expires_at, body, mac
    FROM credential WHERE realm = ?1 AND lineage = ?2 AND expires_at > ?3";

const OF_TASK: &str = "
    SELECT c.realm, c.lineage, c.id, c.expires_at, c.body, c.mac
    FROM lineage l
    CROSS JOIN credential c ON c.realm = l.realm AND c.lineage = l.id
    WHERE l.realm = ?1 AND l.task = ?2 AND c.expires_at > ?3
    ORDER BY c.lineage, c.id";
