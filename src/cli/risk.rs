//! `writ risk` and `writ approve`: one lineage is trusted less, and somebody else lets it act for a while.

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::freeze::until;
use super::out::{Out, rows_or};
use super::table::Table;
use crate::domain::constraint::{BadChallenge, BadRisk, ChallengeId, Risk};
use crate::domain::ids::LineageId;
use crate::domain::time::Timestamp;
use crate::surface::http::admin::challenges::{NewApproval, WaitingPage, WaitingView};
use crate::surface::http::admin::lineages::{ConstrainedView, NewRisk};

#[derive(Debug, Subcommand)]
pub(super) enum RiskCommand {
    /// Trust a lineage less: what its policies do not allow then waits for approval
    #[command(after_help = RAISE_EXAMPLES)]
    Raise(RaiseArgs),
    /// List the lineages that are constrained, with what each waits for
    #[command(after_help = "Example:\n  writ risk list")]
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct RaiseArgs {
    /// As `writ task show` and `writ find` show it: lin_…
    lineage: LineageId,
    /// `medium` or `high`
    #[arg(long, value_name = "RISK", value_parser = risk)]
    to: Risk,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Go on where the last list ended
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = APPROVE_EXAMPLES)]
pub(super) struct ApproveArgs {
    /// As the refusal and `writ risk list` show it: ch-…
    #[arg(value_parser = challenge)]
    challenge: ChallengeId,
    /// How long, or until when: 10m, 2026-03-01T06:00:00Z
    #[arg(long = "for", value_name = "TIME", value_parser = until)]
    until: Timestamp,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(
    command: RiskCommand,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    match command {
        RiskCommand::Raise(args) => raise(args, admin, out).await,
        RiskCommand::List(args) => {
            let cursor = args
                .cursor
                .map(|cursor| format!("?cursor={}", segment(&cursor)));
            let path = format!("/api/v1/challenges{}", cursor.unwrap_or_default());
            let answer = admin.ask(Call::get(path)).await?;
            out.answer(&answer, |page: WaitingPage| rows(&page))
        }
    }
}

async fn raise(args: RaiseArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let path = format!(
        "/api/v1/lineages/{}/risk",
        segment(&args.lineage.to_string())
    );
    let body = NewRisk {
        risk: args.to.to_string(),
        reason: args.reason,
    };
    let answer = admin.ask(Call::post(path, &json!(body))).await?;
    out.answer(&answer, |done: ConstrainedView| {
        let id = done.lineage.id;
        let Some(under) = done.lineage.step_up else {
            return vec![format!("{id} is as it was")];
        };
        let first = if done.already {
            format!(
                "{id} was at {} risk before; nothing was changed",
                under.risk
            )
        } else {
            format!("{id} is at {} risk", under.risk)
        };
        let next = format!(
            "`writ approve {} --for 10m` by somebody else lets it act",
            under.challenge
        );
        vec![first, next]
    })
}

pub(super) async fn approve(
    args: ApproveArgs,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let path = format!("/api/v1/challenges/{}/approve", args.challenge);
    let body = NewApproval {
        until: args.until.to_string(),
        reason: args.reason,
    };
    let answer = admin.ask(Call::post(path, &json!(body))).await?;
    out.answer(&answer, |waiting: WaitingView| vec![waits_for(&waiting)])
}

fn waits_for(waiting: &WaitingView) -> String {
    let Some(under) = &waiting.lineage.step_up else {
        return "in quarantine: `writ release`, `writ revoke`".to_owned();
    };
    let quorum = waiting.quorum;
    match &waiting.approved_until {
        Some(until) => format!("approved until {}", until.to_the_second()),
        None => format!("{} given, {quorum} have to hold", under.approvals.len()),
    }
}

fn rows(page: &WaitingPage) -> Vec<String> {
    let mut table = Table::new(["CHALLENGE", "TASK", "RISK", "BY", "REASON", "WAITS"]);
    for one in &page.waiting {
        let lineage = &one.lineage;
        let (name, risk, by, reason) = match (&lineage.step_up, &lineage.quarantined) {
            (Some(under), _) => (
                under.challenge.clone(),
                under.risk.to_string(),
                &under.by,
                &under.reason,
            ),
            (None, Some(why)) => (
                lineage.id.to_string(),
                "quarantine".to_owned(),
                &why.by,
                &why.reason,
            ),
            (None, None) => continue,
        };
        table.push([
            name,
            one.task.to_string(),
            risk,
            by.clone(),
            reason.clone().unwrap_or_default(),
            waits_for(one),
        ]);
    }
    let mut lines = rows_or(&table, "nothing is constrained");
    let next = page.next.as_ref();
    lines.extend(next.map(|next| format!("more: writ risk list --cursor={next}")));
    lines
}

fn risk(text: &str) -> Result<Risk, BadRisk> {
    text.parse()
}

fn challenge(text: &str) -> Result<ChallengeId, BadChallenge> {
    text.parse()
}

const RAISE_EXAMPLES: &str = "\
Examples:
  writ risk raise lin_0190… --to medium --reason 'a login from elsewhere'
  writ risk raise lin_0190… --to high

With the shipped policies, at medium risk what changes something and secrets wait for approval, at high risk
everything does. Whoever waits is told `step_up_required` and the challenge. Nobody lowers a risk: an approval
holds for a time, and `writ release` lets a lineage go on with less, for good.";

const APPROVE_EXAMPLES: &str = "\
Example:
  writ approve ch-0190…-2 --for 10m --reason 'looked at the ticket'

It ends by itself, and counts for this challenge alone: a risk that rises again, a quarantine or a release ends
it. Of one approver the last word counts. Not by whoever raised the risk or opened the task.";
