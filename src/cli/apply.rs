//! `writ apply`: the broker reads its configuration again.

use clap::Args;
use serde_json::json;

use super::CliError;
use super::client::{Admin, Call};
use super::out::Out;
use crate::surface::http::admin::configuration::{DeltaView, NewRules, PlanView};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ApplyArgs {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,

    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(args: ApplyArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let look = NewRules {
        dry_run: true,
        ..NewRules::default()
    };
    let answer = admin.ask(call(&look)).await?;
    let plan: PlanView = answer.read()?;
    if args.dry_run || plan.from == plan.to {
        return out.answer(&answer, |plan: PlanView| lines(&plan));
    }
    // What was looked at, and nothing that was written meanwhile.
    let wanted = NewRules {
        dry_run: false,
        policy_set: Some(plan.to),
        reason: args.reason,
    };
    let answer = admin.ask(call(&wanted)).await?;
    out.answer(&answer, |plan: PlanView| lines(&plan))
}

fn call(wanted: &NewRules) -> Call {
    Call::post("/api/v1/configuration/apply".to_owned(), &json!(wanted))
}

fn lines(plan: &PlanView) -> Vec<String> {
    if plan.from == plan.to {
        return vec![format!("nothing changes: {} is in force", plan.from)];
    }
    let mut lines = named("profile", &plan.profiles);
    lines.extend(named("policy", &plan.policies));
    if lines.is_empty() {
        lines.push("the files of the policies change, and no policy does".to_owned());
    }
    lines.push(if plan.applied {
        format!("in force: {} in the place of {}", plan.to, plan.from)
    } else {
        format!(
            "would be in force: {} in the place of {}",
            plan.to, plan.from
        )
    });
    lines
}

fn named(what: &str, delta: &DeltaView) -> Vec<String> {
    let all = [
        ("+", &delta.added, "added"),
        ("~", &delta.changed, "changed"),
        ("-", &delta.removed, "removed"),
    ];
    let lines = all.iter().flat_map(|(sign, names, verb)| {
        names
            .iter()
            .map(move |name| format!("{sign} {what} {name} {verb}"))
    });
    lines.collect()
}

const EXAMPLES: &str = "\
Examples:
  writ apply --dry-run
  writ apply --reason 'CHG-4711: deploys need a protected environment'

  Only profiles and policies are replaced while the broker runs, all of them or none. Anything else that
  changed is refused by its name: restart the broker for it.";
