//! `writ policy simulate`: one question, its answer, and what would change it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::question;
use super::sources::{PolicyArgs, read};
use super::told;
use crate::cli::CliError;
use crate::cli::out::Out;
use crate::cli::text::plain;
use crate::decide::engine::Verdict;
use crate::decide::turn::{OTHER, Turn, turns};

#[derive(Debug, Args)]
pub(in crate::cli) struct SimulateArgs {
    #[command(flatten)]
    policies: PolicyArgs,

    /// A case, a question, or what `writ explain -o json` told of a refusal; `-` is standard input
    #[arg(long, value_name = "FILE")]
    question: PathBuf,

    /// Change the question, as in `case.status=closed`, `claims.ref=refs/heads/main` or `request.key_bound=true`; an
    /// empty value takes it away
    #[arg(long = "with", value_name = "FIELD=VALUE", value_parser = pair)]
    with: Vec<(String, String)>,
}

pub(super) fn run(args: &SimulateArgs, out: &mut Out) -> Result<(), CliError> {
    let policies = args.policies.read()?;
    let compiled = policies.compiled()?;
    let name = args.question.display().to_string();
    let asked = question::read(&name, &text(&args.question)?)?;
    let asked = question::changed(&name, &asked, &args.with)?;
    let verdict = asked.judged_by(&compiled);
    let turns = turns(&asked, &compiled, &policies.sources)
        .map_err(|error| CliError::Unsound(error.to_string()))?;
    if out.is_json() {
        let turns: Vec<_> = turns.iter().map(turn).collect();
        let mut document = told::document(&verdict);
        if let Value::Object(members) = &mut document {
            members.insert("would_change_it".to_owned(), json!(turns));
            members.insert("asked".to_owned(), json!(asked));
        }
        return out.line(&document.to_string());
    }
    out.lines(&lines(&verdict, &turns))
}

fn lines(verdict: &Verdict, turns: &[Turn]) -> Vec<String> {
    let mut lines = vec![told::line(verdict)];
    if let Verdict::Denied { advice, errors, .. } = verdict {
        lines.extend(advice.iter().map(|advice| format!("  to mend   {advice}")));
        lines.extend(
            errors
                .iter()
                .map(|error| format!("  because   {}", plain(error))),
        );
    }
    if turns.is_empty() {
        lines.push("nothing would change it by itself".to_owned());
        return lines;
    }
    lines.push("it would be otherwise with any one of".to_owned());
    for turn in turns {
        let shown = |value: &Option<String>| match value.as_deref() {
            None => "(absent)".to_owned(),
            Some(OTHER) => "(anything else)".to_owned(),
            Some(value) => plain(value),
        };
        let (from, to) = (shown(&turn.from), shown(&turn.to));
        let then = told::line(&turn.verdict);
        lines.push(format!("  {}: {from} -> {to}: {then}", turn.field));
    }
    lines
}

fn turn(turn: &Turn) -> Value {
    json!({
        "field": turn.field,
        "from": turn.from,
        "to": turn.to,
        "then": told::document(&turn.verdict),
    })
}

fn text(from: &Path) -> Result<String, CliError> {
    if from.as_os_str() != "-" {
        return read(from);
    }
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    let taken = stdin.take(MOST).read_to_string(&mut text);
    taken.map_err(|source| CliError::Io {
        what: "standard input cannot be read".to_owned(),
        source,
    })?;
    Ok(text)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("it is FIELD=VALUE")?;
    if field.split('.').count() < 2 {
        return Err("a field is as in request.key_bound, claims.ref or case.status".to_owned());
    }
    Ok((field.to_owned(), value.to_owned()))
}

const MOST: u64 = 1024 * 1024;

pub(super) const EXAMPLES: &str = "\
Examples:
  writ policy simulate policies/ --question policies/cases/case-closed.json
  writ policy simulate policies/ --question policies/cases/case-closed.json --with case.status=open
  writ explain dn-3-17 -o json | writ policy simulate policies/ --question -";
