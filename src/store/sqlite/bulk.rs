//! Many rows as two parameters of one statement: their numbers as JSON, and their bytes end to end
//! in one blob, in which each row says where its parts are. So bytes and bodies reach SQLite as they
//! are: neither as hexadecimal digits, nor escaped in the strings of a JSON text.

use std::fmt::Write as _;

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

/// The rows of one statement.
#[derive(Default)]
pub(super) struct Bulk {
    numbers: String,
    bytes: Vec<u8>,
}

/// A row that is being added. A statement reads its elements as `j.value ->> N`, in the order in
/// which they were added.
pub(super) struct Row<'a> {
    bulk: &'a mut Bulk,
    first: bool,
}

impl Bulk {
    /// Begins another row.
    pub(super) fn row(&mut self) -> Row<'_> {
        self.numbers
            .push_str(if self.numbers.is_empty() { "[[" } else { "],[" });
        Row {
            bulk: self,
            first: true,
        }
    }

    /// Binds the numbers, and then the bytes, to the statement's next two parameters.
    pub(super) fn bind(
        mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Query<'_, Sqlite, SqliteArguments> {
        self.numbers
            .push_str(if self.numbers.is_empty() { "[]" } else { "]]" });
        query.bind(self.numbers).bind(self.bytes)
    }
}

impl Row<'_> {
    /// One element.
    pub(super) fn number(mut self, number: impl Into<i64>) -> Self {
        self.element(number.into());
        self
    }

    /// One element, the place of bytes whose length the statement knows:
    /// `substr(?2, j.value ->> N, LENGTH)`.
    pub(super) fn sized(mut self, bytes: &[u8]) -> Self {
        self.place(bytes);
        self
    }

    /// Two elements, place and length: `substr(?2, j.value ->> N, j.value ->> N+1)`.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.place(bytes);
        self.element(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self
    }

    /// Two elements, as [`Self::bytes`]; the statement makes them text again by `CAST(… AS TEXT)`.
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn place(&mut self, bytes: &[u8]) {
        // SQLite counts bytes from 1.
        let place = self.bulk.bytes.len() + 1;
        self.bulk.bytes.extend_from_slice(bytes);
        self.element(i64::try_from(place).unwrap_or(i64::MAX));
    }

    fn element(&mut self, number: i64) {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        // Writing to a string does not fail.
        let _written = write!(self.bulk.numbers, "{comma}{number}");
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnection;
    use sqlx::{Connection as _, Row as _};

    use super::*;

    #[tokio::test]
    async fn bytes_and_text_arrive_as_they_were_given() {
        let mut bulk = Bulk::default();
        let odd = "a\"b\\c\u{0}d\u{1f600}";
        bulk.row()
            .number(7_u8)
            .sized(&[0, 255])
            .bytes(b"")
            .text(odd);
        bulk.row()
            .number(i64::MIN)
            .sized(&[1, 2])
            .bytes(&[0; 3])
            .text("");
        let statement = "SELECT j.value ->> 0, substr(?2, j.value ->> 1, 2),
            substr(?2, j.value ->> 2, j.value ->> 3),
            CAST(substr(?2, j.value ->> 4, j.value ->> 5) AS TEXT) FROM jsonb_each(?1) j";
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let rows = bulk.bind(sqlx::query(statement)).fetch_all(&mut db).await;
        let rows: Vec<(i64, Vec<u8>, Vec<u8>, String)> = rows
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
            .collect();
        let expected = vec![
            (7, vec![0, 255], vec![], odd.to_owned()),
            (i64::MIN, vec![1, 2], vec![0; 3], String::new()),
        ];
        assert_eq!(rows, expected);
    }

    #[tokio::test]
    async fn no_rows_are_no_rows() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let query = sqlx::query("SELECT 1 FROM jsonb_each(?1) j WHERE ?2 IS NOT NULL");
        let rows = Bulk::default().bind(query).fetch_all(&mut db).await;
        assert!(rows.unwrap().is_empty());
    }
}
