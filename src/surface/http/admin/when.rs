//! Points in time as the API writes them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::time::Timestamp;

/// RFC 3339 in UTC, with the fraction that the ledger has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct When(String);

impl When {
    /// To the second, for eyes.
    pub fn to_the_second(&self) -> String {
        match self.0.split_once('.') {
            Some((whole, _)) => format!("{whole}Z"),
            None => self.0.clone(),
        }
    }
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self(at.to_string())
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_for_eyes_is_the_same_second() {
        let when = When::from(Timestamp::from_micros(1_500_000));
        assert_eq!(when.to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!(when.to_the_second(), "1970-01-01T00:00:01Z");
        let whole = When::from(Timestamp::EPOCH);
        assert_eq!(whole.to_the_second(), "1970-01-01T00:00:00Z");
    }
}
