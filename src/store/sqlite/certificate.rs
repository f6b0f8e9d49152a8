//! Which credentials are certificates: found by their end, so that those which may still be shown are
//! one range.

use sqlx::sqlite::SqliteConnection;

use super::bulk::Bulk;
use super::credential;
use super::row::down;
use crate::domain::credential::{CredentialRecord, RecallClass};
use crate::domain::ids::Realm;
use crate::domain::time::Timestamp;
use crate::store::Down;
use crate::store::row_mac::RowMac;

/// Notes the certificates among the credentials of a batch.
pub(super) async fn write(
    db: &mut SqliteConnection,
    credentials: &[(Realm, &CredentialRecord)],
) -> Result<(), Down> {
    let mut rows = Bulk::default();
    let mut any = false;
    let listed = credentials.iter();
    for (realm, one) in listed.filter(|(_, one)| one.recall == RecallClass::List) {
        any = true;
        let row = rows.row().number(realm.number());
        row.number(one.expires_at.micros())
            .sized(one.lineage.as_bytes())
            .sized(one.id.as_bytes());
    }
    if !any {
        return Ok(());
    }
    let done = rows.bind(sqlx::query(WRITE)).execute(db).await;
    done.map(drop).map_err(down)
}

/// Certificates in the order of their ends, from above `after`: a moment, or a certificate.
pub(super) async fn page(
    db: &mut SqliteConnection,
    mac: &dyn RowMac,
    realm: Realm,
    after: (Timestamp, Option<&CredentialRecord>),
    limit: u32,
) -> Result<Vec<CredentialRecord>, Down> {
    let (moment, last) = after;
    let (lineage, id) = last.map_or((&[][..], &[][..]), |last| {
        (last.lineage.as_bytes(), last.id.as_bytes())
    });
    let rows = sqlx::query(PAGE)
        .bind(realm.number())
        .bind(last.map_or(moment, |last| last.expires_at).micros())
        .bind(lineage)
        .bind(id)
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(down)?;
    let decoded = rows
        .iter()
        .map(|row| Ok(credential::decode(row, 0, mac)?.1));
    decoded.collect()
}

const WRITE: &str = "
    INSERT INTO certificate (realm, until, lineage, id)
    SELECT j.value ->> 0, j.value ->> 1, substr(?2, j.value ->> 2, 16),
      substr(?2, j.value ->> 3, 16)
    FROM jsonb_each(?1) j";

const PAGE: &str = "
    SELECT c.realm, c.lineage, c.id, c.expires_at, c.body, c.mac
    FROM certificate k
    CROSS JOIN credential c ON c.realm = k.realm AND c.lineage = k.lineage AND c.id = k.id
    WHERE k.realm = ?1 AND (k.until, k.lineage, k.id) > (?2, ?3, ?4)
    ORDER BY k.until, k.lineage, k.id LIMIT ?5";
