//! Lists in parts: a bounded page, and a cursor behind it that is good for this list alone.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use http::Uri;
use serde::Deserialize;

use super::AdminState;
use super::decode::{malformed, parse};
use super::gate::Operator;
use crate::error::Error;
use crate::mint::cursor::{Cursor, Place};

/// A list that an operator reads.
pub(super) struct List<'a> {
    state: &'a AdminState,
    place: Place<'a>,
}

/// Which part of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    /// The last item that was seen.
    pub(super) from: Option<T>,
    pub(super) limit: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl<T> Page<T> {
    /// Whether there may be more behind so many.
    pub(super) fn is_full(&self, found: usize) -> bool {
        u32::try_from(found).is_ok_and(|found| found >= self.limit)
    }
}

impl<'a> List<'a> {
    /// The list of this name, narrowed to `filter`; its cursors are this operator's own.
    pub(super) fn of(
        state: &'a AdminState,
        list: &'a str,
        filter: &'a str,
        operator: &'a Operator,
    ) -> Self {
        let place = Place {
            realm: state.broker.realm,
            list,
            filter,
            by: operator.as_str(),
        };
        Self { state, place }
    }

    /// Reads `?cursor=` and `?limit=`.
    pub(super) fn page<T: FromStr<Err: Display>>(&self, uri: &Uri) -> Result<Page<T>, Error> {
        let raw = read(uri)?;
        let limit = raw.limit.unwrap_or(USUAL_PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            let what = format!("a page has 1 to {LARGEST_PAGE} items");
            return Err(malformed(what, "limit"));
        }
        let cursor = raw.cursor.map(|text| parse(&text, "cursor")).transpose()?;
        let from = self.from(cursor.as_ref())?;
        Ok(Page { from, limit })
    }

    /// The item that a cursor of this list stands behind.
    pub(super) fn from<T: FromStr<Err: Display>>(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<Option<T>, Error> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let keys = self.state.broker.minter.keys.load();
        let last = self.place.open(&keys, cursor);
        let last = last.map_err(|bad| malformed(bad.to_string(), "cursor"))?;
        parse(&last, "cursor").map(Some)
    }

    /// The cursor behind the last item of a page that is full.
    pub(super) fn behind(&self, last: Option<impl Display>) -> Option<Cursor> {
        let keys = self.state.broker.minter.keys.load();
        last.map(|last| self.place.seal(&keys, &last.to_string()))
    }
}

fn read(uri: &Uri) -> Result<RawPage, Error> {
    let query = Query::<RawPage>::try_from_uri(uri);
    let Query(raw) = query.map_err(|e| malformed(e.body_text(), "query"))?;
    Ok(raw)
}

const USUAL_PAGE: u32 = 50;
pub(super) const LARGEST_PAGE: u32 = 200;
