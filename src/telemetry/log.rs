//! Logs: structured, to standard error, and scrubbed. Types that hold secrets do not print; this is
//! the second line, for a token that somebody else's error text repeats.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line, for programs.
    Json,
    /// For eyes.
    Text,
}

/// Starts logging. `WRIT_LOG` sets what is logged (`info` where it is unset); a filter that cannot
/// be read falls back to `info`, and says so.
pub fn start(form: Form) {
    let wanted = std::env::var("WRIT_LOG").unwrap_or_else(|_| "info".to_owned());
    let (filter, broken) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, false),
        Err(_) => (EnvFilter::new("info"), true),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Scrubbed);
    match form {
        Form::Json => builder.json().flatten_event(true).init(),
        Form::Text => builder.with_ansi(false).with_target(false).init(),
    }
    if broken {
        tracing::warn!("WRIT_LOG is not a filter: logging at info");
    }
}

/// Standard error, without anything that looks like a token.
struct Scrubbed;

struct ScrubbedLine;

impl<'a> MakeWriter<'a> for Scrubbed {
    type Writer = ScrubbedLine;

    fn make_writer(&'a self) -> ScrubbedLine {
        ScrubbedLine
    }
}

impl Write for ScrubbedLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&scrub(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The line with JWTs and handles replaced. A word is looked at whole, so that no part of one is
/// left over; and all through, because what stands before a token may be glued to it, as the `n` of an
/// escaped line break or the `22` of a percent-encoded quote.
fn scrub(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    for word in line.split_inclusive(|byte| !is_token_byte(*byte)) {
        let (body, end) = match word.split_last() {
            Some((last, body)) if !is_token_byte(*last) => (body, Some(*last)),
            _ => (word, None),
        };
        if MARKS
            .iter()
            .any(|mark| body.windows(mark.len()).any(|at| at == mark.as_bytes()))
        {
            out.extend_from_slice(HIDDEN.as_bytes());
        } else {
            out.extend_from_slice(body);
        }
        out.extend(end);
    }
    out
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// How a JWS in compact form begins (`{"`), and a renewal handle.
const MARKS: [&str; 2] = ["eyJ", "wrh_"];

const HIDDEN: &str = "[hidden]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_handles_do_not_reach_the_log() {
        let line = b"refused: eyJhbGciOiJub25lIn0.eyJhIjoxfQ.sig, \"wrh_AbC-_9\" from 10.0.0.1\n";
        let scrubbed = String::from_utf8(scrub(line)).unwrap();
        assert_eq!(scrubbed, "refused: [hidden], \"[hidden]\" from 10.0.0.1\n");
    }

    #[test]
    fn what_stands_right_before_a_token_does_not_save_it() {
        for glued in [
            "a\\neyJhbGciOiJub25lIn0.eyJhIjoxfQ.canary",
            "?t=%22eyJhbGciOiJub25lIn0.eyJhIjoxfQ.canary",
            "tokenwrh_canary",
        ] {
            let scrubbed = String::from_utf8(scrub(glued.as_bytes())).unwrap();
            assert!(!scrubbed.contains("canary"), "{scrubbed}");
        }
    }
}
