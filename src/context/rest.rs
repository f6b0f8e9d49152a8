//! What reading a record from a vendor's REST API takes, whoever the vendor is.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;

use crate::context::{Reading, Unreadable};
use crate::domain::context::{Locator, RecordKey};
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::outbound::{OutboundError, Peer};

/// A REST API below one URL.
pub struct RestApi {
    pub peer: Peer,
    /// The path of the API's root, without a final slash.
    pub root: String,
}

impl RestApi {
    /// What is at `path` below the root, asked at `now`; `None` when nothing is there.
    ///
    /// # Errors
    /// The API cannot be asked, or does not answer as one.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: HeaderMap,
        record: &RecordKey,
        now: Timestamp,
    ) -> Result<Option<Bytes>, Unreadable> {
        let path = format!("{}{path}", self.root);
        match self.peer.get(&path, headers, now.plus(DEADLINE)).await {
            Ok(response) => Ok(Some(response.body)),
            Err(OutboundError::Status(404)) => Ok(None),
            Err(why) => Err(Unreadable(format!("{record}: {why}"))),
        }
    }
}

/// The source has no such record.
pub(super) const fn absent() -> Reading {
    Reading {
        record: None,
        version: None,
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    record: &RecordKey,
) -> Result<T, Unreadable> {
    serde_json::from_slice(body)
        .map_err(|_| Unreadable(format!("{record}: the answer has not the expected shape")))
}

/// A vendor's API that knows runs was asked for a case.
pub(super) fn no_cases(record: &RecordKey) -> Unreadable {
    Unreadable(format!("{record}: only a desk has cases"))
}

/// A status that is not known says nothing: neither alive nor over.
pub(super) fn unknown_status(record: &RecordKey) -> Unreadable {
    Unreadable(format!(
        "{record}: the source gives a status that is not known"
    ))
}

/// A part of the locator, as one segment of a path.
pub(super) fn part(locate: &Locator, name: &str) -> Result<String, Unreadable> {
    let value = locate.0.get(name);
    let value = value.ok_or_else(|| Unreadable(format!("nothing says which {name}")))?;
    Ok(escape(value))
}

/// One segment of a path: whatever is not plain is percent-encoded (RFC 3986 §2.1).
pub(super) fn escape(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        let dots = segment.bytes().all(|b| b == b'.');
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && !dots)
        {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// A digest over a canonical text, short enough for a line: it tells one set of rules from another.
pub(super) fn digest(canonical: &str) -> String {
    let digest = Digest::of(&[canonical.as_bytes()]).to_string();
    digest.chars().take(DIGEST_SHOWN).collect()
}

const DEADLINE: Duration = Duration::from_secs(5);

/// 128 bits of the digest tell two sets of rules apart and still fit a line.
const DIGEST_SHOWN: usize = 32;
