//! Where an entry stands in the log: which writer made it, and its number there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One start of one process. Each writer numbers its own entries without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterId(pub u32);

/// An entry's place: contiguous per writer, starting at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub writer: WriterId,
    pub n: u64,
}

/// The id of a recorded refusal: the position of its entry, as `dn-<writer>-<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DenialId(pub Position);

/// The text is not a denial id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a denial id looks like dn-3-17")]
pub struct BadDenialId;

impl fmt::Display for DenialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dn-{}-{}", self.0.writer.0, self.0.n)
    }
}

impl FromStr for DenialId {
    type Err = BadDenialId;

    fn from_str(text: &str) -> Result<Self, BadDenialId> {
        let (writer, n) = text
            .strip_prefix("dn-")
            .and_then(|t| t.split_once('-'))
            .ok_or(BadDenialId)?;
        let plain = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if !plain(writer) || !plain(n) {
            return Err(BadDenialId);
        }
        Ok(Self(Position {
            writer: WriterId(writer.parse().map_err(|_| BadDenialId)?),
            n: n.parse().map_err(|_| BadDenialId)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_id_survives_its_text() {
        let id = DenialId(Position {
            writer: WriterId(3),
            n: 17,
        });
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["dn-3", "dn-3-", "dn-+3-1", "dn-3-17 ", "3-17"] {
            assert_eq!(bad.parse::<DenialId>(), Err(BadDenialId), "{bad}");
        }
    }
}
