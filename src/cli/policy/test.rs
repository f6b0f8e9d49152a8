//! `writ policy test`: the cases that ship with policies, decided.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::sources::{CaseFile, Policies, PolicyArgs};
use super::told;
use crate::cli::CliError;
use crate::cli::out::Out;
use crate::cli::table::Table;
use crate::decide::cases::{Case, Expected};
use crate::decide::engine::{PolicySet, Verdict};
use crate::domain::condition::nearest;

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    policies: PolicyArgs,

    /// A further folder of cases; those in `cases/` beside the policies are always decided
    #[arg(long, value_name = "FOLDER")]
    cases: Vec<PathBuf>,
}

/// A case that was decided.
struct Tried {
    name: String,
    case: Case,
    verdict: Verdict,
}

pub(super) fn run(args: &TestArgs, out: &mut Out) -> Result<(), CliError> {
    let policies = args.policies.read()?;
    let compiled = policies.compiled()?;
    let files = policies.cases(&args.cases)?;
    if files.is_empty() {
        let what = "there are no cases: put them into `cases/` beside the policies, or name a folder with --cases";
        return Err(CliError::Usage(what.to_owned()));
    }
    let tried = files
        .iter()
        .map(|file| decide(file, &policies, &compiled))
        .collect::<Result<Vec<_>, _>>()?;
    let deciding: BTreeSet<_> = tried
        .iter()
        .flat_map(|tried| tried.verdict.policies())
        .collect();
    let own = compiled.ids().iter();
    let undecided: Vec<_> = own.filter(|id| !deciding.contains(id)).collect();
    if out.is_json() {
        out.line(&document(&tried, &undecided).to_string())?;
    } else {
        out.lines(&lines(&tried, &undecided, compiled.ids()))?;
    }
    let failed = tried.iter().filter(|tried| !tried.holds()).count();
    match failed {
        0 => Ok(()),
        1 => Err(CliError::Unsound("1 case is decided otherwise".to_owned())),
        n => Err(CliError::Unsound(format!(
            "{n} cases are decided otherwise"
        ))),
    }
}

fn decide(file: &CaseFile, policies: &Policies, compiled: &PolicySet) -> Result<Tried, CliError> {
    let unsound =
        |why: &dyn std::fmt::Display| CliError::Unsound(format!("{}: {why}", file.path.display()));
    let case = Case::read(&file.text).map_err(|why| unsound(&why))?;
    let verdict = case
        .verdict(&policies.sources, compiled)
        .map_err(|why| unsound(&why))?;
    Ok(Tried {
        name: file.name.clone(),
        case,
        verdict,
    })
}

impl Tried {
    fn holds(&self) -> bool {
        self.case.expected.holds(&self.verdict)
    }
}

fn lines(tried: &[Tried], undecided: &[&String], ids: &[String]) -> Vec<String> {
    let mut table = Table::new(["CASE", "DECISION", "CLAIM"]);
    for one in tried.iter().filter(|one| one.holds()) {
        let decision = if one.verdict.is_permitted() {
            "permitted"
        } else {
            "denied"
        };
        let claim = one.case.claim.clone();
        table.push([one.name.clone(), decision.to_owned(), claim]);
    }
    let mut lines = table.lines();
    for one in tried.iter().filter(|one| !one.holds()) {
        lines.push(format!("FAILED {}: {}", one.name, one.case.claim));
        lines.push(format!("  expected  {}", expected(&one.case.expected)));
        lines.push(format!("  decided   {}", told::line(&one.verdict)));
        lines.extend(errors(&one.verdict).map(|error| format!("  because   {error}")));
        for id in one.case.expected.policies() {
            if let (false, Some(meant)) = (
                ids.contains(id),
                nearest(id, ids.iter().map(String::as_str)),
            ) {
                lines.push(format!("  no policy is called {id}: did you mean {meant}?"));
            }
        }
    }
    let passed = tried.iter().filter(|one| one.holds()).count();
    lines.push(format!(
        "{passed} of {} cases are decided as they say",
        tried.len()
    ));
    if !undecided.is_empty() {
        let all: Vec<_> = undecided.iter().map(|id| id.as_str()).collect();
        lines.push(format!("no case is decided by: {}", all.join(", ")));
    }
    lines
}

fn errors(verdict: &Verdict) -> impl Iterator<Item = &String> {
    let errors = match verdict {
        Verdict::Permitted { .. } => &[][..],
        Verdict::Denied { errors, .. } => errors.as_slice(),
    };
    errors.iter()
}

fn expected(expected: &Expected) -> String {
    told::line(&match expected {
        Expected::Permitted { policies } => Verdict::Permitted {
            policies: policies.clone(),
        },
        Expected::Denied {
            code,
            policies,
            errors,
        } => Verdict::Denied {
            code: *code,
            policies: policies.clone(),
            advice: None,
            errors: vec![String::new(); *errors],
        },
    })
}

fn document(tried: &[Tried], undecided: &[&String]) -> Value {
    let failed = tried.iter().filter(|one| !one.holds()).count();
    let cases: Vec<_> = tried
        .iter()
        .map(|one| {
            json!({
                "name": one.name,
                "claim": one.case.claim,
                "passed": one.holds(),
                "expected": one.case.expected,
                "decided": told::document(&one.verdict),
            })
        })
        .collect();
    json!({
        "passed": tried.len() - failed,
        "failed": failed,
        "cases": cases,
        "undecided": undecided,
    })
}

pub(super) const EXAMPLES: &str = "\
Examples:
  writ policy test policies/                        its policies on the cases in policies/cases/
  writ policy test --config writ.toml --cases cases/
  writ -o json policy test policies/ | jq '.cases[] | select(.passed | not)'

  A case is a JSON file: `claim`, `request`, `claims`, `records` and `expect`; see docs/reference/policies.md.";
