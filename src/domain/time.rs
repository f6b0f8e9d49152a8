//! Points in time: microseconds since the Unix epoch, UTC. Rows, leaves and SQL parameters all
//! carry this one form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const EPOCH: Self = Self(0);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From a JWT `NumericDate` in whole seconds (RFC 7519 §2); `None` when out of range.
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(1_000_000) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down: what a JWT carries.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The time cut to whole seconds, so that a token's `exp` and its row say the same.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.seconds().saturating_mul(1_000_000))
    }

    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(by)))
    }

    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(by)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; the bare number of microseconds where no calendar date exists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|t| t.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}us", self.0),
        }
    }
}

/// The text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in 2026-03-01T06:00:00Z")]
pub struct BadTime;

impl FromStr for Timestamp {
    type Err = BadTime;

    /// RFC 3339, with any offset.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadTime)?;
        let micros = time.unix_timestamp_nanos().div_euclid(1_000);
        i64::try_from(micros).map(Self).map_err(|_| BadTime)
    }
}

fn micros_of(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_micros(1_999_999).seconds(), 1);
        assert_eq!(Timestamp::from_micros(-1).seconds(), -1);
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping_into_the_past() {
        let end = Timestamp::from_micros(i64::MAX - 1);
        assert_eq!(
            end.plus(Duration::from_secs(10)),
            Timestamp::from_micros(i64::MAX)
        );
        assert_eq!(Timestamp::from_seconds(i64::MAX), None);
    }

    #[test]
    fn a_time_survives_its_text() {
        let at = Timestamp::from_micros(1_700_000_000_123_456);
        assert_eq!(at.to_string().parse(), Ok(at));
        let offset = "2026-03-01T07:00:00+01:00".parse::<Timestamp>().unwrap();
        assert_eq!(offset.to_string(), "2026-03-01T06:00:00Z");
        for bad in ["", "2026-03-01", "1700000000", "2026-03-01T06:00:00"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(BadTime), "{bad}");
        }
    }

    #[test]
    fn prints_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_micros(1_500_000).to_string(),
            "1970-01-01T00:00:01.5Z"
        );
    }
}
