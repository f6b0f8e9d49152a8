//! Secrets: one row per path that outlives deletion, so that a version number is never given twice,
//! and the sealed bytes of each version until the secret is deleted. Writes are rare and one by one.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{LIVE, OVER, Seal, bytes, column, down, number, placed, realm};
use crate::domain::grant::SecretPath;
use crate::domain::ids::Realm;
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::ledger::change::SealedVersion;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};
use crate::store::{Down, SecretListing};

/// Reads the newest version numbers of the paths that a batch writes to, also of deleted ones.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.secrets.is_empty() {
        return Ok(());
    }
    let mut wanted = Bulk::default();
    for (realm, path) in &keys.secrets {
        wanted.row().number(realm.number()).text(path.as_str());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, listed) = decode_head(row, 0, mac)?;
        into.of(realm).put_secret(listed.path, listed.version);
    }
    Ok(())
}

/// Appends a version.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    version: &SealedVersion,
) -> Result<(), Down> {
    let code = seal_version(realm, version).code(mac, "");
    sqlx::query(WRITE_VERSION)
        .bind(realm.number())
        .bind(version.path.as_str())
        .bind(version.version)
        .bind(version.at.micros())
        .bind(&version.key_id)
        .bind(version.digest.as_bytes().as_slice())
        .bind(&version.wrapped)
        .bind(&version.sealed)
        .bind(code.as_slice())
        .execute(&mut *db)
        .await
        .map_err(down)?;
    let head = Head {
        path: version.path.as_str(),
        latest: version.version,
        state: LIVE,
        at: version.at.micros(),
    };
    head.write(db, mac, realm).await
}

/// Deletes what is sealed under a path and keeps its number. Nothing happens where nothing is.
pub(super) async fn delete(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    path: &SecretPath,
    at: Timestamp,
) -> Result<(), Down> {
    let row = sqlx::query(HEAD)
        .bind(realm.number())
        .bind(path.as_str())
        .fetch_optional(&mut *db)
        .await
        .map_err(down)?;
    let Some(row) = row else { return Ok(()) };
    let (_, listed) = decode_head(&row, 0, mac)?;
    sqlx::query(DELETE_VERSIONS)
        .bind(realm.number())
        .bind(path.as_str())
        .execute(&mut *db)
        .await
        .map_err(down)?;
    let head = Head {
        path: path.as_str(),
        latest: listed.version,
        state: OVER,
        at: at.micros(),
    };
    head.write(db, mac, realm).await
}

/// The newest version of each of these secrets, unless it was deleted.
pub(super) async fn newest(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    asked: &[(Realm, SecretPath)],
) -> Result<Vec<Option<SealedVersion>>, Down> {
    let mut wanted = Bulk::default();
    for (realm, path) in asked {
        wanted.row().number(realm.number()).text(path.as_str());
    }
    let query = wanted.bind(sqlx::query(NEWEST)).bind(LIVE);
    let rows = query.fetch_all(db).await.map_err(down)?;
    placed(&rows, asked.len(), |row| {
        let (realm, listed) = decode_head(row, 1, mac)?;
        let version = SealedVersion {
            path: listed.path,
            version: number(row, 7)?,
            at: Timestamp::from_micros(column(row, 8)?),
            key_id: column(row, 9)?,
            digest: Digest::from_bytes(bytes(row, 10)?),
            wrapped: column(row, 11)?,
            sealed: column(row, 12)?,
        };
        seal_version(realm, &version).check(mac, "", column(row, 13)?)?;
        Ok(version)
    })
}

/// Stored paths above `after`, in their order.
pub(super) async fn list(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    after: Option<&SecretPath>,
    limit: u32,
) -> Result<Vec<SecretListing>, Down> {
    let rows = sqlx::query(LIST)
        .bind(realm.number())
        .bind(after.map_or("", SecretPath::as_str))
        .bind(LIVE)
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    rows.iter()
        .map(|row| Ok(decode_head(row, 0, mac)?.1))
        .collect()
}

/// The highest version that a path ever had, deleted ones included; 0 where there was none.
pub(super) async fn latest(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    path: &SecretPath,
) -> Result<u32, Down> {
    let row = sqlx::query(HEAD)
        .bind(realm.number())
        .bind(path.as_str())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    match row {
        Some(row) => Ok(decode_head(&row, 0, mac)?.1.version),
        None => Ok(0),
    }
}

struct Head<'a> {
    path: &'a str,
    latest: u32,
    state: i64,
    at: i64,
}

impl<'a> Head<'a> {
    fn seal(&self, realm: Realm) -> Seal<'a> {
        Seal::new("secret", realm, self.path.as_bytes())
            .number(self.latest.into())
            .number(self.state)
            .number(self.at)
    }

    async fn write(
        &self,
        db: &mut SqliteConnection,
        mac: &dyn RowMac,
        realm: Realm,
    ) -> Result<(), Down> {
        let done = sqlx::query(WRITE_HEAD)
            .bind(realm.number())
            .bind(self.path)
            .bind(self.latest)
            .bind(self.state)
            .bind(self.at)
            .bind(self.seal(realm).code(mac, "").to_vec())
            .execute(db)
            .await;
        done.map(drop).map_err(down)
    }
}

/// A secret's own row from six columns, the first of them at `from`.
fn decode_head(
    row: &SqliteRow,
    from: usize,
    mac: &dyn RowMac,
) -> Result<(Realm, SecretListing), Down> {
    let realm = realm(row, from)?;
    let head = Head {
        path: column(row, from + 1)?,
        latest: number(row, from + 2)?,
        state: column(row, from + 3)?,
        at: column(row, from + 4)?,
    };
    head.seal(realm).check(mac, "", column(row, from + 5)?)?;
    let path = head
        .path
        .parse()
        .map_err(|error| Down(format!("a secret's path cannot be read: {error}")))?;
    let listed = SecretListing {
        path,
        version: head.latest,
        at: Timestamp::from_micros(head.at),
    };
    Ok((realm, listed))
}

fn seal_version(realm: Realm, version: &SealedVersion) -> Seal<'_> {
    Seal::new("secret_version", realm, version.path.as_str().as_bytes())
        .number(version.version.into())
        .number(version.at.micros())
        .bytes(version.key_id.as_bytes())
        .bytes(version.digest.as_bytes())
        .bytes(&version.wrapped)
        .bytes(&version.sealed)
}

const LOAD: &str = "
    SELECT s.realm, s.path, s.latest, s.state, s.at, s.mac
    FROM jsonb_each(?1) j
    CROSS JOIN secret s ON s.realm = j.value ->> 0 AND s.path = CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT)";

const HEAD: &str = "
    SELECT realm, path, latest, state, at, mac FROM secret WHERE realm = ?1 AND path = ?2";

const WRITE_HEAD: &str = "
    INSERT INTO secret (realm, path, latest, state, at, mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (realm, path) DO UPDATE SET latest = excluded.latest, state = excluded.state,
      at = excluded.at, mac = excluded.mac";

const WRITE_VERSION: &str = "
    INSERT INTO secret_version (realm, path, version, at, key_id, digest, wrapped, sealed, mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const DELETE_VERSIONS: &str = "
    DELETE FROM secret_version WHERE realm = ?1 AND path = ?2";

const NEWEST: &str = "
    SELECT j.key, s.realm, s.path, s.latest, s.state, s.at, s.mac,
      v.version, v.at, v.key_id, v.digest, v.wrapped, v.sealed, v.mac
    FROM jsonb_each(?1) j
    CROSS JOIN secret s ON s.realm = j.value ->> 0
      AND s.path = CAST(substr(?2, j.value ->> 1, j.value ->> 2) AS TEXT) AND s.state = ?3
    LEFT JOIN secret_version v ON v.realm = s.realm AND v.path = s.path AND v.version = s.latest";

const LIST: &str = "
    SELECT realm, path, latest, state, at, mac
    FROM secret WHERE realm = ?1 AND path > ?2 AND state = ?3 ORDER BY path LIMIT ?4";
