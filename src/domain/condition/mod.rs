//! Which tasks an operator means: comparisons of what rows know, joined by `and`, as in
//! `repository_id=812345 and environment in (production, staging) and issued>2026-03-01T02:00:00Z`.
//!
//! There is no `or` and no `not`: what reads two ways at night is run twice instead.

use std::fmt;

use crate::domain::time::Timestamp;

mod clause;
mod fits;
mod nearest;
mod words;

#[cfg(test)]
mod tests;

use clause::Clause;
pub use nearest::nearest;
use words::RawClause;

/// All of its clauses have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    clauses: Vec<Clause>,
    text: String,
}

/// A condition as it was written. A time may be written as how long ago it was, so that it is read
/// together with the present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCondition(Vec<RawClause>);

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    #[error("a condition has at most {MOST_BYTES} bytes")]
    TooLong,
    #[error(
        "`{0}`: here stands FIELD=VALUE, !=, <, <=, >, >= or FIELD in (VALUE, …), and between two of them `and`"
    )]
    Syntax(String),
    #[error("`{0}` is a text: compare it with =, != or in")]
    Text(String),
    #[error(
        "`{0}` is a time: compare it with <, <=, > or >=, with a time as in 2026-03-01T06:00:00Z or with how long ago, as in -2h"
    )]
    Time(String),
}

impl RawCondition {
    /// The condition at `now`.
    pub fn at(&self, now: Timestamp) -> Result<Condition, BadCondition> {
        let clauses = self.0.iter().map(|raw| raw.read(now));
        let clauses = clauses.collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<_> = clauses.iter().map(ToString::to_string).collect();
        Ok(Condition {
            clauses,
            text: texts.join(" and "),
        })
    }
}

impl fmt::Display for Condition {
    /// The condition with its times in full: the same at any other time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is compared besides claims: a claim that is written almost like one of them was meant to be it.
pub const FIELDS: [&str; 7] = [
    "source", "profile", "task", "instance", "workload", "opened", "issued",
];

/// Longer than anything that is typed by hand.
const MOST_BYTES: usize = 2_048;
