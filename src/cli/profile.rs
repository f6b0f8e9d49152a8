//! `writ profile new`: from a real ID token to a profile that can be put into a configuration.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::CliError;
use super::out::{Out, complain};
use crate::config::propose::{Proposal, Wish, propose};
use crate::config::{Dev, Problem};

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// Write a profile for jobs like the one that an ID token is of
    #[command(after_help = NEW)]
    New(NewArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The file with the token; `-` is standard input
    #[arg(long, value_name = "FILE")]
    from_token: PathBuf,

    /// The profile's name
    #[arg(long, default_value = "deploy")]
    name: String,

    /// The name of the source in the configuration [default: the one that `writ init` gives it: github,
    /// gitlab, kubernetes]
    #[arg(long)]
    source: Option<String>,

    /// A service that the job needs a token for
    #[arg(long, value_name = "URL", default_value = "https://service.example")]
    audience: Vec<String>,

    /// The vendor's API may not be asked: bind to what the token itself proves
    #[arg(long)]
    no_api: bool,
}

pub(super) fn run(command: ProfileCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        ProfileCommand::New(args) => new(args, out),
    }
}

fn new(args: NewArgs, out: &mut Out) -> Result<(), CliError> {
    let claims = claims(&token(&args.from_token)?)?;
    let wish = Wish {
        name: args.name,
        source: args.source,
        audiences: args.audience,
        api: !args.no_api,
    };
    let proposal = propose(&claims, &wish).map_err(|e| CliError::Usage(e.to_string()))?;
    let judged = proposal.judged(&elsewhere());
    if out.is_json() {
        out.line(&document(&proposal, &judged).to_string())?;
    } else {
        out.lines(&text(&proposal))?;
    }
    match judged {
        Ok(warnings) => {
            for warning in &warnings {
                told("warning", warning);
            }
            Ok(())
        }
        Err(problems) => {
            for problem in &problems {
                told("problem", problem);
            }
            let what = "the lint refuses this profile: mend what it says before using it";
            Err(CliError::Unsound(what.to_owned()))
        }
    }
}

fn text(proposal: &Proposal) -> Vec<String> {
    let mut lines = vec![
        "# From an ID token that was read, not verified. What is commented is for people: names can"
            .to_owned(),
        "# be given away and taken, ids cannot. Choose audiences and scopes before using it.".to_owned(),
        String::new(),
        "# The source that it needs, where the configuration has none yet:".to_owned(),
    ];
    lines.extend(proposal.source.lines().map(|line| format!("# {line}")));
    lines.push(String::new());
    lines.extend(proposal.profile.lines().map(str::to_owned));
    lines
}

fn document(proposal: &Proposal, judged: &Result<Vec<Problem>, Vec<Problem>>) -> Value {
    let said = |problems: &[Problem]| -> Vec<Value> {
        let one = |p: &Problem| json!({ "rule": p.rule.code(), "what": p.what, "mend": p.mend });
        problems.iter().map(one).collect()
    };
    json!({
        "preset": proposal.preset.as_str(),
        "source": proposal.source,
        "profile": proposal.profile,
        "sound": judged.is_ok(),
        "problems": judged.as_ref().err().map(|p| said(p)).unwrap_or_default(),
        "warnings": judged.as_ref().ok().map(|p| said(p)).unwrap_or_default(),
    })
}

/// Without the place: the reader has the text without the configuration around it.
fn told(kind: &str, problem: &Problem) {
    let Problem {
        rule, what, mend, ..
    } = problem;
    complain(&format!("{kind}: {rule}: {what}\n  mend: {mend}")).ok();
}

/// The rest of a configuration, for the lint to have one.
fn elsewhere() -> Dev {
    Dev {
        data: PathBuf::from("/var/lib/writ"),
        address: ([127, 0, 0, 1], 8443).into(),
        metrics: None,
        admin_uid: 0,
        ci: None,
    }
}

fn token(from: &std::path::Path) -> Result<Zeroizing<String>, CliError> {
    let unreadable = |source| CliError::Io {
        what: format!("{} cannot be read", from.display()),
        source,
    };
    let mut text = Zeroizing::new(String::new());
    if from.as_os_str() == "-" {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let what = "give the token on standard input: `… | writ profile new --from-token -`";
            return Err(CliError::Usage(what.to_owned()));
        }
        stdin.lock().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(from).and_then(|file| file.take(MOST).read_to_string(&mut text))
    }
    .map_err(unreadable)?;
    Ok(text)
}

/// The claims as they stand; nothing of a token that cannot be read is repeated.
fn claims(token: &str) -> Result<Map<String, Value>, CliError> {
    let unreadable = || CliError::Usage("the input is not a JWT".to_owned());
    let part = token.trim().split('.').nth(1).ok_or_else(unreadable)?;
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

const MOST: u64 = 64 * 1024;

const NEW: &str = "\
Examples:
  writ profile new --from-token id-token.jwt > profile.toml

  In a GitHub Actions job, to see what a profile for it would be:
    curl -sH \"Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \\
      \"$ACTIONS_ID_TOKEN_REQUEST_URL\" \\
      | jq -r .value | writ profile new --from-token - --audience https://deploy.example";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        for bad in ["", "canary", "a.canary!.c", "a.Y2FuYXJ5.c", "a.W10.c"] {
            let why = claims(bad).unwrap_err().to_string();
            assert_eq!(why, "the input is not a JWT");
        }
        assert!(claims("a.e30.c\n").unwrap().is_empty());
    }
}
