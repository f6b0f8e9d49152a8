//! What can go wrong at the command line, what to do about it, and the exit code that scripts see.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;

use crate::error::{Code, Kind};
use crate::surface::http::admin::advice::advice;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Something about the arguments, or about a file that they name.
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Io { what: String, source: io::Error },
    /// A file was checked and is not sound; what is wrong has been said.
    #[error("{0}")]
    Unsound(String),
    /// Nobody reads what is printed any more: nothing to complain about.
    #[error("the output was closed")]
    NobodyReads,
    #[error("the broker cannot be reached at {}: {hint}", .socket.display())]
    Unreachable {
        socket: PathBuf,
        hint: &'static str,
        source: io::Error,
    },
    /// A client's question, not an operator's, that nobody answered.
    #[error("{0}")]
    Unanswered(String),
    #[error("the broker did not answer to the end: {0}")]
    Broken(String),
    /// Nobody is logged in, not any more, or the provider said no.
    #[error("{0}")]
    Login(String),
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The broker could not start or run.
    #[error("{what}")]
    Server {
        what: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// The broker's refusal, as its problem document says it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refused {
    pub status: u16,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub field: Option<String>,
    #[serde(default)]
    pub denial_id: Option<String>,
    /// From its header, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl CliError {
    /// 1 wrong usage or a local fault, 2 the broker could not, 3 denied. A reader that went away is
    /// no fault.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    fn number(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            Self::Usage(_) | Self::Io { .. } | Self::Unsound(_) | Self::Server { .. } => USAGE,
            Self::Refused(refused) if refused.is_denial() => DENIED,
            Self::Login(_) => DENIED,
            Self::Refused(_) | Self::Unreachable { .. } | Self::Unanswered(_) | Self::Broken(_) => {
                REMOTE
            }
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_denial() { "denied: " } else { "" })?;
        match (&self.detail, &self.title) {
            (Some(text), _) | (None, Some(text)) => f.write_str(text)?,
            (None, None) => write!(f, "the broker answered {}", self.status)?,
        }
        if let Some(code) = &self.code {
            write!(f, " ({code}")?;
            if let Some(field) = &self.field {
                write!(f, ", {field}")?;
            }
            f.write_str(")")?;
        }
        if let Some(seconds) = self.retry_after {
            write!(f, "; try again in {seconds} s")?;
        }
        if let Some(id) = &self.denial_id {
            write!(f, "\n  its id: {id}, which `writ explain` takes")?;
        }
        if let Some(advice) = self.advice() {
            write!(f, "\n  to mend: {advice}")?;
        }
        Ok(())
    }
}

impl Refused {
    /// Whether somebody said no. The OAuth endpoints say it with 400 and a code (RFC 6749 §5.2).
    fn is_denial(&self) -> bool {
        let said_no = |code: Code| {
            matches!(
                code.kind(),
                Kind::Unverified | Kind::Denied | Kind::Target | Kind::Scope
            )
        };
        matches!(self.status, 401 | 403)
            || self.status == 400 && self.known_code().is_some_and(said_no)
    }

    fn known_code(&self) -> Option<Code> {
        serde_json::from_value(self.code.clone()?.into()).ok()
    }

    /// What to do, where the text does not say it already.
    fn advice(&self) -> Option<&'static str> {
        let code = self.known_code()?;
        let said = matches!(code.kind(), Kind::Malformed | Kind::Absent);
        (!said).then(|| advice(code))
    }
}

/// An error with every cause, one per line.
pub(super) fn chain(error: &CliError) -> String {
    let mut text = format!("writ: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str("\n  because: ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

pub(super) const USAGE: u8 = 1;
const REMOTE: u8 = 2;
const DENIED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str) -> CliError {
        CliError::Refused(Box::new(serde_json::from_str(document).unwrap()))
    }

    #[test]
    fn a_denial_and_a_failure_have_different_exit_codes() {
        let denied = refused(r#"{"status":403,"code":"operator_required"}"#);
        let absent = refused(r#"{"status":404,"code":"not_found"}"#);
        let down = refused(r#"{"status":503,"code":"store_unavailable"}"#);
        assert_eq!((denied.number(), absent.number(), down.number()), (3, 2, 2));
        assert_eq!(CliError::Usage(String::new()).number(), 1);
        assert_eq!(CliError::NobodyReads.number(), 0);
    }

    #[test]
    fn a_refusal_says_what_happened_and_what_to_do() {
        let text = refused(
            r#"{"status":403,"detail":"only operators may do this","code":"operator_required"}"#,
        )
        .to_string();
        assert!(text.starts_with("denied: only operators"), "{text}");
        assert!(text.contains("admin_uids"), "{text}");
    }

    #[test]
    fn a_refusal_in_another_words_is_still_told() {
        let text = refused(r#"{"status":418,"code":"of_the_future"}"#).to_string();
        assert_eq!(text, "the broker answered 418 (of_the_future)");
    }

    #[test]
    fn every_cause_is_told() {
        let error = CliError::Io {
            what: "log.jsonl cannot be read".to_owned(),
            source: io::Error::other("the disk is gone"),
        };
        assert_eq!(
            chain(&error),
            "writ: log.jsonl cannot be read\n  because: the disk is gone"
        );
    }
}
