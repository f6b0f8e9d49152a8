//! `writ quarantine` and `writ release`: one lineage may do nothing until somebody has looked at it, and
//! then goes on with less.

use clap::Args;
use serde_json::json;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::out::Out;
use crate::domain::grant::{BadGrant, Scope};
use crate::domain::ids::LineageId;
use crate::domain::name::{ActionName, BadName, GrantName};
use crate::surface::http::admin::lineages::{ConstrainedView, NewRelease};
use crate::surface::http::admin::task_view::LineageView;

#[derive(Debug, Args)]
#[command(after_help = QUARANTINE_EXAMPLES)]
pub(super) struct QuarantineArgs {
    /// As `writ task show` and `writ find` show it: lin_…
    lineage: LineageId,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = RELEASE_EXAMPLES)]
pub(super) struct ReleaseArgs {
    /// As `writ task show` and `writ find` show it: lin_…
    lineage: LineageId,
    /// A grant that it loses
    #[arg(long, value_name = "GRANT", value_parser = grant)]
    without_grant: Vec<GrantName>,
    /// An action that it loses, in whatever grant
    #[arg(long, value_name = "ACTION", value_parser = action)]
    without_action: Vec<ActionName>,
    /// A scope that it loses, in whatever grant
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    without_scope: Vec<Scope>,
    /// Every action that changes something
    #[arg(long)]
    without_writes: bool,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn quarantine(
    args: QuarantineArgs,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let path = at(args.lineage, "quarantine");
    let body = match args.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let answer = admin.ask(Call::post(path, &body)).await?;
    out.answer(&answer, |done: ConstrainedView| {
        let id = done.lineage.id;
        let first = if done.already {
            format!("{id} was in quarantine before; nothing was changed")
        } else {
            format!("{id} is in quarantine: it is given nothing and may do nothing")
        };
        let next = "what it had been given is dead where it is asked about; a secret that it read is not: `writ task exposure`";
        vec![
            first,
            next.to_owned(),
            format!("`writ release {id} --without-…` lets it go on with less; somebody else has to"),
        ]
    })
}

pub(super) async fn release(
    args: ReleaseArgs,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let scopes = args
        .without_scope
        .iter()
        .map(|scope| scope.as_str().to_owned());
    let body = NewRelease {
        without_grants: args.without_grant,
        without_actions: args.without_action,
        without_scopes: scopes.collect(),
        without_writes: args.without_writes,
        reason: args.reason,
    };
    let path = at(args.lineage, "release");
    let answer = admin.ask(Call::post(path, &json!(body)).once()).await?;
    out.answer(&answer, |released: LineageView| {
        vec![
            format!("{} goes on, with less than it had", released.id),
            "nothing that it was given before stands: it renews, or shows its evidence again"
                .to_owned(),
        ]
    })
}

fn at(lineage: LineageId, order: &str) -> String {
    format!("/api/v1/lineages/{}/{order}", segment(&lineage.to_string()))
}

fn grant(text: &str) -> Result<GrantName, BadName> {
    text.parse()
}

fn action(text: &str) -> Result<ActionName, BadName> {
    text.parse()
}

fn scope(text: &str) -> Result<Scope, BadGrant> {
    text.parse()
}

const QUARANTINE_EXAMPLES: &str = "\
Example:
  writ quarantine lin_0190… --reason 'the ticket tells it to refund itself'

Its next action, token, renewal and secret are refused with `quarantined`, whatever evidence it shows, and
introspection finds none of its tokens. The other lineages of its task go on.";

const RELEASE_EXAMPLES: &str = "\
Examples:
  writ release lin_0190… --without-writes --reason 'reading is enough for what is left'
  writ release lin_0190… --without-action refund --without-scope billing.write

What it loses never comes back to it, whatever it shows. Whoever had it stopped, or opened its task, does
not release it.";
