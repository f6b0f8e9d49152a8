//! Names that people write in configuration, and the external names of tasks and instances.
//!
//! ASCII only and one spelling each: two names that look alike are equal or refused, never folded.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(Cow<'static, str>);

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> Result<(), BadName> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

text_type!(
    /// The name of a task profile.
    ProfileName,
    plain_name
);
text_type!(
    /// The name of a grant inside a profile.
    GrantName,
    plain_name
);
text_type!(
    /// The name of a configured source: it leads the name of every task that the source opens, so
    /// that two issuers with the same run ids never meet.
    SourceName,
    plain_name
);
text_type!(
    /// The name of a registered resource server.
    ServerName,
    plain_name
);
text_type!(
    /// What is done to a resource, in the words of the service that does it: `read`, `invoice:refund`.
    ActionName,
    word
);
text_type!(
    /// What kind of thing a resource is, in the words of its service: `invoice`, `db.table`.
    ResourceKind,
    word
);
text_type!(
    /// One instance at work in a task: a job's check run, a pod, an agent.
    InstanceName,
    segment
);
text_type!(
    /// One case, by its desk's id for it.
    CaseId,
    segment
);
text_type!(
    /// The external name of a task: its source, then the segments that its profile's template
    /// gives, for example `github/812345/99001/1`.
    TaskName,
    task_name
);

impl TaskName {
    /// The source that it begins with.
    pub fn source(&self) -> Option<SourceName> {
        self.0.split('/').next().and_then(|name| name.parse().ok())
    }

    /// The name of a task of `source`.
    pub fn new(source: &SourceName, segments: &str) -> Result<Self, BadName> {
        format!("{source}/{segments}").parse()
    }
}

/// A word of another system: no blank, no slash, nothing that a log or a pattern could take for its own.
fn word(text: &str) -> Result<(), BadName> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(BadName("1 to 128 characters of A-Z a-z 0-9 . _ - :".into()))
}

fn plain_name(text: &str) -> Result<(), BadName> {
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
    if starts && plain && text.len() <= MAX_NAME {
        return Ok(());
    }
    Err(BadName(
        "a name has 1 to 63 characters of a-z 0-9 . _ - and starts with a letter or digit".into(),
    ))
}

fn segment(text: &str) -> Result<(), BadName> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let dots = text.bytes().all(|b| b == b'.');
    if plain && !dots && text.len() <= MAX_SEGMENT {
        return Ok(());
    }
    Err(BadName(
        "a segment has 1 to 128 characters of A-Z a-z 0-9 . _ - and is not only dots".into(),
    ))
}

fn task_name(text: &str) -> Result<(), BadName> {
    let mut segments = text.split('/');
    plain_name(segments.next().unwrap_or(""))?;
    let mut more = 0;
    for part in segments {
        segment(part)?;
        more += 1;
    }
    if (1..=MAX_SEGMENTS).contains(&more) {
        return Ok(());
    }
    Err(BadName(
        "a task is named by its source and 1 to 8 segments".into(),
    ))
}

const MAX_NAME: usize = 63;
const MAX_SEGMENT: usize = 128;
const MAX_SEGMENTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a32_names_that_look_alike_are_refused() {
        for bad in [
            "Deploy",
            "deploy ",
            "dеploy",
            "",
            "-deploy",
            "a/b",
            "deploy\u{200b}",
            "d\u{e9}ploy",
            "de\u{301}ploy",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<ProfileName>().is_err(), "{bad:?} was taken");
        }
        "deploy.prod_2".parse::<ProfileName>().unwrap();
    }

    #[test]
    fn a_task_name_cannot_walk_out_of_its_source() {
        for bad in [
            "github",
            "github/",
            "github/../x",
            "github//1",
            "github/1 ",
            "/1",
            "github/a%2fb",
        ] {
            assert!(bad.parse::<TaskName>().is_err(), "{bad:?} was taken");
        }
        "github/812345/99001/1".parse::<TaskName>().unwrap();
    }
}
