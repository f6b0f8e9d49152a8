//! Single-use keys. This process is the only writer of its database, so a key that is not there
//! when the transaction begins is free for the first change of the batch that wants it.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{bytes, column, down, realm};
use crate::domain::ids::{Realm, SessionId};
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::ledger::change::{Once, OnceKind};
use crate::store::{Down, OnceUsed};

/// Those of the keys that were used before.
pub(super) async fn used(
    db: &mut SqliteConnection,
    once: &[(Realm, Once)],
) -> Result<Vec<(Realm, Once)>, Down> {
    let keys = bulk(once.iter().map(|(r, o)| (*r, o)));
    let rows = keys.bind(sqlx::query(USED)).fetch_all(db).await;
    let rows = rows.map_err(down)?;
    rows.iter().map(decode).collect()
}

/// Notes the keys of a batch as used.
pub(super) async fn write(db: &mut SqliteConnection, once: &[(Realm, &Once)]) -> Result<(), Down> {
    let keys = bulk(once.iter().copied());
    let done = keys.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

pub(super) async fn by_key(
    db: &mut SqliteConnection,
    realm: Realm,
    kind: OnceKind,
    until: Timestamp,
    digest: Digest,
) -> Result<Option<OnceUsed>, Down> {
    let row = sqlx::query(BY_KEY)
        .bind(realm.number())
        .bind(until.micros())
        .bind(digest.as_bytes().as_slice())
        .bind(kind.number())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| {
        let session = session(&row, 0)?;
        Ok(OnceUsed { session })
    })
    .transpose()
}

fn bulk<'a>(once: impl Iterator<Item = (Realm, &'a Once)>) -> Bulk {
    let mut bulk = Bulk::default();
    for (realm, once) in once {
        let session = once
            .session
            .map_or_else(Vec::new, |s| s.as_bytes().to_vec());
        bulk.row()
            .number(realm.number())
            .number(once.until.micros())
            .sized(once.digest.as_bytes())
            .number(once.kind.number())
            .bytes(&session);
    }
    bulk
}

fn decode(row: &SqliteRow) -> Result<(Realm, Once), Down> {
    let number: i64 = column(row, 3)?;
    let kind = [OnceKind::Evidence, OnceKind::Proof]
        .into_iter()
        .find(|kind| i64::from(kind.number()) == number)
        .ok_or_else(|| Down(format!("there is no kind {number} of single-use keys")))?;
    let once = Once {
        kind,
        until: Timestamp::from_micros(column(row, 1)?),
        digest: Digest::from_bytes(bytes(row, 2)?),
        session: session(row, 4)?,
    };
    Ok((realm(row, 0)?, once))
}

fn session(row: &SqliteRow, index: usize) -> Result<Option<SessionId>, Down> {
    let session: Option<&[u8]> = column(row, index)?;
    session
        .map(|id| id.try_into().map(SessionId::from_bytes))
        .transpose()
        .map_err(|_| Down("a single-use key names no session".to_owned()))
}

const USED: &str = "
    SELECT o.realm, o.until, o.digest, o.kind, o.session
    FROM jsonb_each(?1) j
    CROSS JOIN once o ON o.realm = j.value ->> 0 AND o.until = j.value ->> 1
      AND o.digest = substr(?2, j.value ->> 2, 32) AND o.kind = j.value ->> 3";

const WRITE: &str = "
    INSERT INTO once (realm, until, digest, kind, session)
    SELECT j.value ->> 0, j.value ->> 1, substr(?2, j.value ->> 2, 32), j.value ->> 3,
      nullif(substr(?2, j.value ->> 4, j.value ->> 5), x'')
    FROM jsonb_each(?1) j";

const BY_KEY: &str = "
    SELECT session FROM once WHERE realm = ?1 AND until = ?2 AND digest = ?3 AND kind = ?4";
