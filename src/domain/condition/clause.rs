//! Clauses: what is compared with what, after the fields were recognised and the times were read.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use super::BadCondition;
use super::words::RawClause;
use crate::domain::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// A text is, or is not, one of these.
    Text {
        of: TextField,
        within: bool,
        values: Vec<String>,
    },
    Time {
        of: TimeField,
        test: Test,
        at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextField {
    Source,
    Profile,
    Task,
    /// A segment of the task's name below its source, counted from 1.
    Part(usize),
    Instance,
    Workload,
    /// A claim that the identity is made of.
    Claim(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeField {
    /// The task's opening.
    Opened,
    /// The issue of any credential under it.
    Issued,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Is,
    IsNot,
    In,
    Less,
    LessOrSame,
    More,
    MoreOrSame,
}

impl RawClause {
    pub(super) fn read(&self, now: Timestamp) -> Result<Clause, BadCondition> {
        let time = match self.field.as_str() {
            "opened" => Some(TimeField::Opened),
            "issued" => Some(TimeField::Issued),
            _ => None,
        };
        if let Some(of) = time {
            let wrong = || BadCondition::Time(self.field.clone());
            let ordered = !matches!(self.test, Test::Is | Test::IsNot | Test::In);
            let [text] = self.values.as_slice() else {
                return Err(wrong());
            };
            let at = moment(text, now).filter(|_| ordered).ok_or_else(wrong)?;
            return Ok(Clause::Time {
                of,
                test: self.test,
                at,
            });
        }
        let within = match self.test {
            Test::Is | Test::In => true,
            Test::IsNot => false,
            Test::Less | Test::LessOrSame | Test::More | Test::MoreOrSame => {
                return Err(BadCondition::Text(self.field.clone()));
            }
        };
        Ok(Clause::Text {
            of: TextField::read(&self.field)?,
            within,
            values: self.values.clone(),
        })
    }
}

impl TextField {
    fn read(field: &str) -> Result<Self, BadCondition> {
        let wrong = || BadCondition::Syntax(field.to_owned());
        if let Some(n) = field.strip_prefix("task.") {
            let n: usize = n.parse().map_err(|_| wrong())?;
            return if (1..=8).contains(&n) {
                Ok(Self::Part(n))
            } else {
                Err(wrong())
            };
        }
        match field {
            "source" => Ok(Self::Source),
            "profile" => Ok(Self::Profile),
            "task" => Ok(Self::Task),
            "instance" => Ok(Self::Instance),
            "workload" => Ok(Self::Workload),
            claim if claim.contains('.') => Err(wrong()),
            claim => Ok(Self::Claim(claim.to_owned())),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Source => "source".to_owned(),
            Self::Profile => "profile".to_owned(),
            Self::Task => "task".to_owned(),
            Self::Part(n) => format!("task.{n}"),
            Self::Instance => "instance".to_owned(),
            Self::Workload => "workload".to_owned(),
            Self::Claim(name) => name.clone(),
        }
    }
}

impl Test {
    pub(super) fn holds(self, value: Timestamp, than: Timestamp) -> bool {
        match (self, value.cmp(&than)) {
            (Self::Less | Self::LessOrSame, Ordering::Less)
            | (Self::More | Self::MoreOrSame, Ordering::Greater)
            | (Self::LessOrSame | Self::MoreOrSame | Self::Is | Self::In, Ordering::Equal) => true,
            (Self::IsNot, order) => order != Ordering::Equal,
            (_, _) => false,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::In => " in ",
            Self::Less => "<",
            Self::LessOrSame => "<=",
            Self::More => ">",
            Self::MoreOrSame => ">=",
        }
    }
}

fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(length) = text.strip_prefix('-') {
        return ago(length).map(|length| now.minus(length));
    }
    text.parse().ok()
}

/// A number and a unit: `90s`, `45m`, `2h`, `3d`.
fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(Duration::from_secs(seconds * u64::from(number)))
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { of, test, at } => {
                let of = match of {
                    TimeField::Opened => "opened",
                    TimeField::Issued => "issued",
                };
                write!(f, "{of}{}{at}", test.as_str())
            }
            Self::Text { of, within, values } => match (values.as_slice(), within) {
                ([value], true) => write!(f, "{}={}", of.name(), quoted(value)),
                ([value], false) => write!(f, "{}!={}", of.name(), quoted(value)),
                (values, _) => {
                    let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                    write!(f, "{} in ({})", of.name(), values.join(", "))
                }
            },
        }
    }
}

/// A value has one kind of quotes at most, because it was written between the other.
fn quoted(value: &str) -> String {
    if value.contains('\'') {
        return format!("\"{value}\"");
    }
    format!("'{value}'")
}
