//! Orders that were carried out under a key, each with what it came to.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::Bulk;
use super::row::{Seal, body, bytes, column, down, realm};
use crate::domain::ids::Realm;
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::ledger::answered::Answered;
use crate::store::Down;
use crate::store::row_mac::RowMac;
use crate::store::writer::{Keys, Ledgers};

/// Reads the orders whose keys a batch names.
pub(super) async fn load(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    keys: &Keys,
    into: &mut Ledgers,
) -> Result<(), Down> {
    if keys.answered.is_empty() {
        return Ok(());
    }
    let mut wanted = Bulk::default();
    for (realm, key) in &keys.answered {
        let row = wanted.row().number(realm.number());
        row.sized(key.as_bytes());
    }
    let rows = wanted.bind(sqlx::query(LOAD)).fetch_all(db).await;
    for row in &rows.map_err(down)? {
        let (realm, answered) = decode(row, mac)?;
        into.of(realm).put_answered(&answered);
    }
    Ok(())
}

/// Notes the orders of a batch. A key that is used again after its time takes the old one's place.
pub(super) async fn write(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    all: &[(Realm, &Answered)],
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    for (realm, answered) in all {
        let body = body(&answered.answer)?;
        let code = seal(*realm, answered).code(mac, &body);
        rows.row()
            .number(realm.number())
            .sized(answered.key.as_bytes())
            .number(answered.until.micros())
            .sized(answered.request.as_bytes())
            .text(&body)
            .sized(&code);
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

pub(super) async fn by_key(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    key: Digest,
) -> Result<Option<Answered>, Down> {
    let row = sqlx::query(BY_KEY)
        .bind(realm.number())
        .bind(key.as_bytes().as_slice())
        .fetch_optional(db)
        .await
        .map_err(down)?;
    row.map(|row| Ok(decode(&row, mac)?.1)).transpose()
}

fn decode(row: &SqliteRow, mac: &dyn RowMac) -> Result<(Realm, Answered), Down> {
    let realm = realm(row, 0)?;
    let found = Answered {
        key: Digest::from_bytes(bytes(row, 1)?),
        until: Timestamp::from_micros(column(row, 2)?),
        request: Digest::from_bytes(bytes(row, 3)?),
        answer: None,
    };
    let answer = seal(realm, &found).open(mac, column(row, 4)?, column(row, 5)?)?;
    Ok((realm, Answered { answer, ..found }))
}

fn seal(realm: Realm, answered: &Answered) -> Seal<'_> {
    Seal::new("answered", realm, answered.key.as_bytes())
        .number(answered.until.micros())
        .bytes(answered.request.as_bytes())
}

const LOAD: &str = "
    SELECT a.realm, a.digest, a.until, a.request, a.body, a.mac
    FROM jsonb_each(?1) j
    CROSS JOIN answered a ON a.realm = j.value ->> 0 AND a.digest = substr(?2, j.value ->> 1, 32)";

const BY_KEY: &str = "
    SELECT realm, digest, until, request, body, mac FROM answered WHERE realm = ?1 AND digest = ?2";

const WRITE: &str = "
    INSERT INTO answered (realm, digest, until, request, body, mac)
    SELECT j.value ->> 0, substr(?2, j.value ->> 1, 32), j.value ->> 2, substr(?2, j.value ->> 3, 32),
      CAST(substr(?2, j.value ->> 4, j.value ->> 5) AS TEXT), substr(?2, j.value ->> 6, 32)
    FROM jsonb_each(?1) j WHERE true
    ON CONFLICT (realm, digest) DO UPDATE SET until = excluded.until, request = excluded.request,
      body = excluded.body, mac = excluded.mac";
