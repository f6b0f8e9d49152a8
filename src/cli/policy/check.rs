//! `writ policy check`: what is wrong with policies before a broker loads them.

use clap::Args;
use serde_json::json;

use super::sources::PolicyArgs;
use super::told::finding;
use crate::cli::CliError;
use crate::cli::out::Out;
use crate::decide::engine::PolicySet;
use crate::decide::lint::lint;

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    policies: PolicyArgs,

    /// Refuse what is only unwise as well
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &CheckArgs, out: &mut Out) -> Result<(), CliError> {
    let policies = args.policies.read()?;
    let found = lint(&policies.sources, policies.names.as_ref());
    let set = PolicySet::load(&policies.sources).ok();
    let digest = set.map(|set| set.digest().to_string());
    if out.is_json() {
        let all = |errors: &[_]| errors.iter().map(finding).collect::<Vec<_>>();
        out.line(
            &json!({
                "sound": found.problems.is_empty(),
                "problems": all(&found.problems),
                "warnings": all(&found.warnings),
                "policies": found.ids,
                "policy_set": digest,
            })
            .to_string(),
        )?;
    } else {
        let mut lines: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        let unwise = found.warnings.iter();
        lines.extend(unwise.map(|warning| format!("warning: {warning}")));
        if let (Some(digest), true) = (&digest, found.problems.is_empty()) {
            lines.push(format!("sound: {} policies, set {digest}", found.ids.len()));
        }
        out.lines(&lines)?;
    }
    match (found.problems.len(), found.warnings.len()) {
        (0, 0) => Ok(()),
        (0, _) if !args.strict => Ok(()),
        (0, n) => Err(unsound(n, "warning")),
        (n, _) => Err(unsound(n, "problem")),
    }
}

fn unsound(count: usize, what: &str) -> CliError {
    let s = if count == 1 { "" } else { "s" };
    CliError::Unsound(format!("the policies have {count} {what}{s}"))
}

pub(super) const EXAMPLES: &str = "\
Examples:
  writ policy check policies/
  writ policy check --config /etc/writ/writ.toml            what the broker would load
  writ policy check policies/ --config writ.toml --strict   with the names of profiles and sources";
