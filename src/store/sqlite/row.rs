//! Between rows and types: what every table's file shares. A row whose code does not match, or that
//! cannot be read back, is named in an error and is never treated as absent.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::domain::ids::Realm;
use crate::store::Down;
use crate::store::row_mac::RowMac;

/// A column of a row, by its place in the statement.
pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, Down>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(down)
}

/// A realm's column.
pub(super) fn realm(row: &SqliteRow, index: usize) -> Result<Realm, Down> {
    let number: i64 = column(row, index)?;
    u16::try_from(number)
        .map(Realm::from_number)
        .map_err(|_| Down(format!("there is no realm {number}")))
}

/// A column of exactly `N` bytes.
pub(super) fn bytes<const N: usize>(row: &SqliteRow, index: usize) -> Result<[u8; N], Down> {
    let bytes: &[u8] = column(row, index)?;
    bytes
        .try_into()
        .map_err(|_| Down(format!("a column has {} bytes instead of {N}", bytes.len())))
}

/// A column of a number that is never negative.
pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, index: usize) -> Result<T, Down> {
    let number: i64 = column(row, index)?;
    T::try_from(number).map_err(|_| Down(format!("a column holds {number}")))
}

/// What was found, each at the place of its question: the first column is that place.
pub(super) fn placed<T>(
    rows: &[SqliteRow],
    asked: usize,
    decode: impl Fn(&SqliteRow) -> Result<T, Down>,
) -> Result<Vec<Option<T>>, Down> {
    let mut found: Vec<Option<T>> = Vec::new();
    found.resize_with(asked, || None);
    for row in rows {
        let place: usize = number(row, 0)?;
        let place = found.get_mut(place);
        *place.ok_or_else(|| Down("an answer has no question".to_owned()))? = Some(decode(row)?);
    }
    Ok(found)
}

/// A row's JSON body.
pub(super) fn body<T: Serialize>(value: &T) -> Result<String, Down> {
    serde_json::to_string(value).map_err(|error| Down(format!("a row cannot be written: {error}")))
}

/// A number as SQLite keeps it.
pub(super) fn stored(number: u64) -> Result<i64, Down> {
    i64::try_from(number).map_err(|_| Down(format!("{number} cannot be kept")))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` hands the error over"
)]
pub(super) fn down(error: sqlx::Error) -> Down {
    Down(error.to_string())
}

/// The place and columns of a row that its code covers besides the body. Each part carries its
/// length, so that no two rows have the same text.
pub(super) struct Seal<'a> {
    table: &'static str,
    key: &'a [u8],
    covered: Vec<u8>,
}

impl<'a> Seal<'a> {
    /// `key` is the column that names the row to a reader of the log.
    pub(super) fn new(table: &'static str, realm: Realm, key: &'a [u8]) -> Self {
        Self {
            table,
            key,
            covered: Vec::with_capacity(160),
        }
        .bytes(table.as_bytes())
        .number(realm.number().into())
        .bytes(key)
    }

    pub(super) fn bytes(mut self, part: &[u8]) -> Self {
        self.covered
            .extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.covered.extend_from_slice(part);
        self
    }

    pub(super) fn number(self, part: i64) -> Self {
        self.bytes(&part.to_be_bytes())
    }

    /// The code of the row with this body.
    pub(super) fn code(&self, mac: &dyn RowMac, body: &str) -> [u8; 32] {
        mac.mac(&[&self.covered, body.as_bytes()])
    }

    /// Checks a row that was read.
    pub(super) fn check(&self, mac: &dyn RowMac, body: &str, code: &[u8]) -> Result<(), Down> {
        if mac.verify(&[&self.covered, body.as_bytes()], code) {
            return Ok(());
        }
        Err(self.broken("was not written by this server"))
    }

    /// Checks a row that was read, and reads its body.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        mac: &dyn RowMac,
        body: &str,
        code: &[u8],
    ) -> Result<T, Down> {
        self.check(mac, body, code)?;
        serde_json::from_str(body).map_err(|error| self.broken(&format!("has no meaning: {error}")))
    }

    fn broken(&self, how: &str) -> Down {
        let table = self.table;
        let row = match std::str::from_utf8(self.key) {
            Ok(text) if text.bytes().all(|b| b.is_ascii_graphic()) => text.to_owned(),
            Ok(_) | Err(_) => hex::encode(self.key),
        };
        tracing::error!(table, row, how, "a row of the store is broken");
        Down(format!("row {row} of table {table} {how}"))
    }
}

/// `state` of a row that may be worked under.
pub(super) const LIVE: i64 = 1;
/// `state` of a row that is over for good.
pub(super) const OVER: i64 = 2;

pub(super) const fn state(live: bool) -> i64 {
    if live { LIVE } else { OVER }
}
