//! `writ policy diff`: which questions two sets of policies answer differently.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::question::{self, Posed};
use super::sources::{Policies, read};
use super::told;
use crate::cli::CliError;
use crate::cli::config::{self as configured, policy_sources};
use crate::cli::out::Out;
use crate::decide::engine::{PolicySet, Verdict};

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The policies before: a folder, a `.cedar` file, or a configuration (`.toml`)
    old: PathBuf,
    /// The policies after
    new: PathBuf,

    /// A further folder of cases; those in `cases/` beside either are always asked
    #[arg(long, value_name = "FOLDER")]
    cases: Vec<PathBuf>,

    /// A file with refusals, one to a line, as `writ explain -o json` tells them
    #[arg(long, value_name = "FILE")]
    denials: Option<PathBuf>,

    /// Leave out the policies that are part of the product
    #[arg(long)]
    no_shipped: bool,
}

/// A question that is answered differently.
struct Changed {
    name: String,
    old: Verdict,
    new: Verdict,
}

pub(super) fn run(args: &DiffArgs, out: &mut Out) -> Result<(), CliError> {
    let (old, new) = (policies(args, &args.old)?, policies(args, &args.new)?);
    let (before, after) = (old.compiled()?, new.compiled()?);
    let (posed, left_out) = questions(args, &old, &new)?;
    if posed.is_empty() {
        let what = "there is nothing to compare by: put cases into `cases/` beside the policies, or name --cases or --denials";
        return Err(CliError::Usage(what.to_owned()));
    }
    let changed: Vec<_> = posed
        .iter()
        .map(|posed| Changed {
            name: posed.name.clone(),
            old: posed.asked.judged_by(&before),
            new: posed.asked.judged_by(&after),
        })
        .filter(|one| one.old != one.new)
        .collect();
    let policies = delta(&before, &after);
    if out.is_json() {
        let document = json!({
            "asked": posed.len(),
            "not_asked": left_out,
            "changed": changed.iter().map(Changed::document).collect::<Vec<_>>(),
            "policies": policies,
        });
        return out.line(&document.to_string());
    }
    let mut lines: Vec<_> = policies
        .iter()
        .map(|(sign, id)| format!("{sign} policy {id}"))
        .collect();
    for one in &changed {
        lines.push(format!("{} is answered differently", one.name));
        lines.push(format!("  before  {}", told::line(&one.old)));
        lines.push(format!("  after   {}", told::line(&one.new)));
    }
    lines.extend(left_out.iter().map(|why| format!("not asked: {why}")));
    lines.push(format!(
        "{} of {} questions are answered differently",
        changed.len(),
        posed.len()
    ));
    out.lines(&lines)
}

fn policies(args: &DiffArgs, path: &Path) -> Result<Policies, CliError> {
    if path.extension().is_some_and(|ending| ending == "toml") {
        let config = configured::load(path)?;
        return Ok(Policies::configured(policy_sources(&config)));
    }
    Policies::of(&[path.to_owned()], !args.no_shipped)
}

/// Every question, each once, and why others cannot be asked. A case with policies of its own asks something else.
fn questions(
    args: &DiffArgs,
    old: &Policies,
    new: &Policies,
) -> Result<(Vec<Posed>, Vec<String>), CliError> {
    let (mut posed, mut left_out) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let files = old.cases(&args.cases)?.into_iter().chain(new.cases(&[])?);
    for file in files.filter(|file| seen.insert(file.text.clone())) {
        let name = file.path.display().to_string();
        let asked = question::read(&name, &file.text)?;
        let name = file.name;
        posed.push(Posed { name, asked });
    }
    if let Some(file) = &args.denials {
        let text = read(file)?;
        for (n, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let document: Value = serde_json::from_str(line).unwrap_or_default();
            let id = document
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or("a refusal");
            let place = format!("{}:{}", file.display(), n + 1);
            match question::read(&place, line) {
                Ok(asked) => posed.push(Posed {
                    name: id.to_owned(),
                    asked,
                }),
                Err(error) => left_out.push(error.to_string()),
            }
        }
    }
    Ok((posed, left_out))
}

impl Changed {
    fn document(&self) -> Value {
        json!({
            "name": self.name,
            "before": told::document(&self.old),
            "after": told::document(&self.new),
        })
    }
}

/// What became of each policy.
fn delta(old: &PolicySet, new: &PolicySet) -> Vec<(&'static str, String)> {
    let ids: BTreeSet<_> = old.marks().keys().chain(new.marks().keys()).collect();
    ids.into_iter()
        .filter_map(|id| {
            let sign = match (old.marks().get(id), new.marks().get(id)) {
                (None, _) => "+",
                (_, None) => "-",
                (was, is) if was != is => "~",
                _ => return None,
            };
            Some((sign, id.clone()))
        })
        .collect()
}

pub(super) const EXAMPLES: &str = "\
Examples:
  writ policy diff /etc/writ/policies policies/
  writ policy diff /etc/writ/writ.toml writ.toml --cases policies/cases
  for id in dn-3-17 dn-3-21; do writ explain $id -o json; done > denials.jsonl
  writ policy diff before/ after/ --denials denials.jsonl";
