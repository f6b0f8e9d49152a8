//! `writ secret`. A value comes from standard input and from nowhere else: arguments and environment
//! are seen by other processes. No command gives one back.

use std::io::{self, IsTerminal as _, Read};

use bytes::Bytes;
use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::CliError;
use super::client::{Admin, Call};
use super::out::{Out, complain, rows_or};
use super::table::Table;
use crate::domain::grant::{BadGrant, SecretPath};
use crate::mint::cursor::Cursor;
use crate::surface::http::admin::secrets::{LARGEST_SECRET, SecretPage, Stored};

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Store standard input, byte for byte, as the newest version of a secret
    #[command(after_help = PUT_EXAMPLES)]
    Put(Which),
    /// List paths and versions, never values
    #[command(after_help = "Example:\n  writ secret list --limit 20")]
    List(ListArgs),
    /// Delete a secret with every version. What was read of it stays known to its readers
    #[command(after_help = "Example:\n  writ secret delete ci/prod/deploy-key")]
    Delete(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Where it is kept: segments of A-Z a-z 0-9 . _ - with slashes between
    #[arg(value_parser = path)]
    path: SecretPath,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many, at most 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last part ended, as it said
    #[arg(long)]
    cursor: Option<Cursor>,
}

pub(super) async fn run(
    command: SecretCommand,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    match command {
        SecretCommand::Put(which) => put(which, admin, out).await,
        SecretCommand::List(args) => list(args, admin, out).await,
        SecretCommand::Delete(which) => {
            let path = which.path;
            admin.ask(Call::delete(url(&path)).once()).await?;
            if out.is_json() {
                return Ok(());
            }
            out.line(&format!("deleted {path}"))
        }
    }
}

async fn put(which: Which, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::Usage(FROM_A_TERMINAL.to_owned()));
    }
    let value = value(stdin.lock())?;
    let ends_in_break = value.last() == Some(&b'\n');
    let call = Call::put(url(&which.path), Bytes::from_owner(value));
    let answer = admin.ask(call).await?;
    out.answer(&answer, |stored: Stored| vec![told(&stored)])?;
    if ends_in_break {
        complain("note: the value ends with a line break, which is part of it").ok();
    }
    Ok(())
}

fn told(stored: &Stored) -> String {
    let Stored { path, version, .. } = stored;
    if stored.unchanged {
        return format!("{path} version {version} has this value already: nothing was stored");
    }
    format!("stored {path} version {version}")
}

async fn list(args: ListArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let mut path = format!("/api/v1/secrets?limit={}", args.limit);
    if let Some(cursor) = args.cursor {
        path.push_str("&cursor=");
        path.push_str(&cursor.to_string());
    }
    let answer = admin.ask(Call::get(path)).await?;
    out.answer(&answer, listed)
}

/// Reads a whole value, into memory that is wiped and was allocated once.
fn value(from: impl Read) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut value = Zeroizing::new(Vec::with_capacity(LARGEST_SECRET + 1));
    let most = u64::try_from(LARGEST_SECRET + 1).unwrap_or(u64::MAX);
    from.take(most)
        .read_to_end(&mut value)
        .map_err(|source| CliError::Io {
            what: "standard input cannot be read".to_owned(),
            source,
        })?;
    if value.is_empty() {
        let what = "standard input was empty: nothing was stored";
        return Err(CliError::Usage(what.to_owned()));
    }
    if value.len() > LARGEST_SECRET {
        let what = format!("a secret has at most {LARGEST_SECRET} bytes: nothing was stored");
        return Err(CliError::Usage(what));
    }
    Ok(value)
}

fn listed(page: SecretPage) -> Vec<String> {
    let mut table = Table::new(["PATH", "VERSION", "STORED"]);
    for secret in page.secrets {
        table.push([
            secret.path.to_string(),
            secret.version.to_string(),
            secret.at.to_the_second(),
        ]);
    }
    let mut lines = rows_or(&table, "there are no secrets");
    lines.extend(
        page.next
            .map(|next| format!("more: writ secret list --cursor={next}")),
    );
    lines
}

fn url(path: &SecretPath) -> String {
    format!("/api/v1/secrets/{path}")
}

fn path(text: &str) -> Result<SecretPath, BadGrant> {
    text.parse()
}

const PUT_EXAMPLES: &str = "\
Examples:
  writ secret put ci/prod/deploy-key < key.pem
  pass show deploy | tr -d '\\n' | writ secret put ci/prod/token";

const FROM_A_TERMINAL: &str = "\
standard input is a terminal, where the value would be seen
  to mend: pipe it, as in `writ secret put PATH < FILE` or `COMMAND | writ secret put PATH`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stripped_from_a_value() {
        let bytes = b" canary-5d1f\r\n\n\x00";
        assert_eq!(value(bytes.as_slice()).unwrap().as_slice(), bytes);
        let largest = vec![b'x'; LARGEST_SECRET];
        assert_eq!(value(largest.as_slice()).unwrap().len(), LARGEST_SECRET);
    }

    #[test]
    fn an_empty_or_oversized_value_is_refused_and_not_repeated() {
        let huge = "canary".repeat(LARGEST_SECRET);
        for bad in ["", huge.as_str()] {
            let error = value(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, CliError::Usage(_)));
            assert!(!error.to_string().contains("canary"));
        }
    }
}
