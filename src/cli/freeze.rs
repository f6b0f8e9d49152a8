//! `writ freeze`: stop issue and renewal for a while, for everybody or for a part.

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::out::{Out, rows_or};
use super::table::Table;
use crate::domain::freeze::{BadScope, FreezeScope};
use crate::domain::time::Timestamp;
use crate::seams::{Clock as _, SystemClock};
use crate::surface::http::admin::freezes::{FreezeList, FreezeView, NewFreeze};

#[derive(Debug, Subcommand)]
pub(super) enum FreezeCommand {
    /// Freeze what one task profile may give
    #[command(after_help = EXAMPLES)]
    Profile(Named),
    /// Freeze everybody whose evidence comes from one issuer, by the name of its source
    #[command(after_help = EXAMPLES)]
    Issuer(Named),
    /// Freeze one repository or project, as SOURCE/ID
    #[command(after_help = EXAMPLES)]
    Repository(Named),
    /// Freeze everything
    #[command(after_help = EXAMPLES)]
    All(How),
    /// List the freezes that hold
    #[command(after_help = "Example:\n  writ freeze list")]
    List,
    /// End a freeze before its time
    #[command(
        after_help = "Example:\n  writ freeze lift repository/github/812345 --reason 'token rotated'"
    )]
    Lift(LiftArgs),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// Its name; a repository is SOURCE/ID, as in github/812345
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(super) struct How {
    /// When it ends by itself: a length of time from now (2h, 30m) or a time (2026-03-01T06:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Timestamp,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct LiftArgs {
    /// As `writ freeze list` shows it
    #[arg(value_parser = scope)]
    scope: FreezeScope,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(
    command: FreezeCommand,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    match command {
        FreezeCommand::Profile(named) => freeze("profile/", named, admin, out).await,
        FreezeCommand::Issuer(named) => freeze("issuer/", named, admin, out).await,
        FreezeCommand::Repository(named) => freeze("repository/", named, admin, out).await,
        FreezeCommand::All(how) => {
            let name = String::new();
            freeze("all", Named { name, how }, admin, out).await
        }
        FreezeCommand::List => {
            let answer = admin.ask(Call::get("/api/v1/freezes")).await?;
            out.answer(&answer, |list: FreezeList| rows(&list.freezes))
        }
        FreezeCommand::Lift(args) => {
            let path = format!("/api/v1/freezes/{}/lift", segment(&args.scope.to_string()));
            let body = match args.reason {
                Some(reason) => json!({ "reason": reason }),
                None => json!({}),
            };
            let answer = admin.ask(Call::post(path, &body).once()).await?;
            out.answer(&answer, |lifted: FreezeView| {
                vec![format!("{} is issued again", lifted.scope)]
            })
        }
    }
}

async fn freeze(
    kind: &str,
    Named { name, how }: Named,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let text = format!("{kind}{name}");
    let scope = scope(&text).map_err(|bad| CliError::Usage(bad.to_string()))?;
    let body = NewFreeze {
        scope: scope.to_string(),
        until: how.until.to_string(),
        reason: how.reason,
    };
    let answer = admin
        .ask(Call::post("/api/v1/freezes", &json!(body)))
        .await?;
    out.answer(&answer, |frozen: FreezeView| {
        vec![
            format!("{} is frozen until {}", frozen.scope, frozen.until),
            "what is out stays good until it expires: `writ revoke` ends it".to_owned(),
        ]
    })
}

fn rows(freezes: &[FreezeView]) -> Vec<String> {
    let mut table = Table::new(["SCOPE", "UNTIL", "SINCE", "BY", "REASON"]);
    for freeze in freezes {
        table.push([
            freeze.scope.to_string(),
            freeze.until.to_the_second(),
            freeze.at.to_the_second(),
            freeze.by.clone(),
            freeze.reason.clone().unwrap_or_default(),
        ]);
    }
    rows_or(&table, "nothing is frozen")
}

fn scope(text: &str) -> Result<FreezeScope, BadScope> {
    text.parse()
}

/// A length of time from now, or a time.
pub(super) fn until(text: &str) -> Result<Timestamp, String> {
    if let Ok(length) = humantime::parse_duration(text) {
        return Ok(SystemClock.now().plus(length));
    }
    let what = "a length of time from now, as in 2h, or a time, as in 2026-03-01T06:00:00Z";
    text.parse().map_err(|_| what.to_owned())
}

const EXAMPLES: &str = "\
Examples:
  writ freeze repository github/812345 --until 2h --reason 'workflow was tampered with'
  writ freeze profile deploy --until 2026-03-01T06:00:00Z
  writ freeze issuer github --until 30m
  writ freeze all --until 15m --reason 'looking at it'

Nothing is issued or renewed within it until then; callers get 503 `frozen` and try again. What is
out stays good until it expires, and revocation is never frozen. A freeze ends by itself.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_ends_at_a_time_or_after_one() {
        let at = until("2026-03-01T06:00:00Z").unwrap();
        assert_eq!(at.to_string(), "2026-03-01T06:00:00Z");
        let now = SystemClock.now();
        let later = until("2h").unwrap().since(now).as_secs();
        assert!((7_199..=7_201).contains(&later), "{later}");
        for bad in ["", "tomorrow", "2026-03-01", "forever", "-2h"] {
            assert!(until(bad).is_err(), "{bad}");
        }
    }
}
