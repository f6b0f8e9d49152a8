//! `writ revoke`: by condition, after it was shown what the condition means and how many that are; or one
//! lineage, credential, workload or key.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::CliError;
use super::client::Admin;
use super::out::Out;
use crate::domain::condition::RawCondition;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId};
use crate::domain::key::Thumbprint;
use crate::domain::time::Timestamp;
use crate::seams::{Clock as _, SystemClock};
use crate::surface::http::admin::revocations::NewRevocation;

mod fitting;
mod orders;
mod outcome;

use fitting::{confirmed, fitting, show};
use orders::{give, revoke_tasks};
use outcome::finish;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
pub(super) struct RevokeArgs {
    /// Every open task that fits: see below for what can be compared
    #[arg(long, value_name = "CONDITION", group = "what", value_parser = condition)]
    r#where: Option<String>,
    /// One instance, with everything that it was given; its task goes on
    #[arg(long, value_name = "ID", group = "what")]
    lineage: Option<LineageId>,
    /// One credential; its session goes on and can get another
    #[arg(long, value_name = "ID", group = "what")]
    credential: Option<CredentialId>,
    /// A workload under whatever task, for 72 hours or until a time
    #[arg(long, value_name = "SPIFFE-ID", group = "what", value_parser = workload)]
    workload: Option<SpiffeId>,
    /// A session key wherever it is shown, by its RFC 7638 thumbprint
    #[arg(long, value_name = "THUMBPRINT", group = "what", value_parser = key)]
    key: Option<Thumbprint>,
    /// Until when a workload or a key is barred: a length of time or a time
    #[arg(long, value_name = "TIME", value_parser = super::freeze::until)]
    until: Option<Timestamp>,
    /// How many tasks must fit; asked for at the terminal where it is left out
    #[arg(long, value_name = "N", requires = "where")]
    expect: Option<usize>,
    /// Show what fits and revoke nothing
    #[arg(long, requires = "where")]
    dry_run: bool,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Return when everything that can die is dead, or say what is not
    #[arg(long, conflicts_with_all = ["workload", "key"])]
    wait: bool,
}

pub(super) async fn run(args: RevokeArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let Some(condition) = &args.r#where else {
        let order = NewRevocation {
            lineage: args.lineage,
            credential: args.credential,
            workload: args.workload.clone(),
            key: args.key,
            until: args.until.map(|until| until.to_string()),
            reason: args.reason.clone(),
            ..NewRevocation::default()
        };
        let results = give(&order, admin).await?;
        return finish(None, results, &args, admin, out).await;
    };
    let fitting = fitting(condition, admin).await?;
    if args.dry_run {
        return show(&fitting, out);
    }
    if !confirmed(&fitting, args.expect, out)? {
        return Ok(());
    }
    let ids: Vec<_> = fitting.tasks.iter().map(|one| one.task.id).collect();
    let results = revoke_tasks(&ids, &fitting.r#where, &args, admin).await?;
    finish(Some(fitting.r#where), results, &args, admin, out).await
}

fn condition(text: &str) -> Result<String, String> {
    let read: RawCondition = text.parse().map_err(|bad| format!("{bad}"))?;
    read.at(SystemClock.now()).map_err(|bad| bad.to_string())?;
    Ok(text.to_owned())
}

fn workload(text: &str) -> Result<SpiffeId, String> {
    text.parse()
        .map_err(|bad: crate::domain::identity::BadIdentity| bad.to_string())
}

fn key(text: &str) -> Result<Thumbprint, String> {
    text.parse()
        .map_err(|bad: crate::domain::key::BadThumbprint| bad.to_string())
}

fn usage(bad: impl std::fmt::Display) -> CliError {
    CliError::Usage(bad.to_string())
}

/// How many are shown by name.
const MOST_SHOWN: usize = 20;

const BREATH: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  writ revoke --where 'repository_id=812345 and issued>-2h' --reason 'workflow was tampered with'
  writ revoke --where 'profile=deploy and opened>2026-03-01T02:00:00Z' --dry-run
  writ revoke --where 'source=github and environment in (production, staging)' --expect 12 --wait
  writ revoke --lineage lin_0190…              one job; the others of its run go on
  writ revoke --credential cred_0190…          one token
  writ revoke --workload spiffe://example.org/github/9/812345 --until 24h
  writ revoke --key 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I

A condition is made of comparisons and `and`. What can be compared:
  source, profile, task (its whole name), task.1, task.2, … (the parts of the name below its source)
  instance, workload (a SPIFFE ID), and every claim that identities are made of: repository_id,
  environment, ref, project_id, …                                    with =, != and in (…)
  opened (the task), issued (any credential under it)  with <, <=, >, >= and a time, or -2h for ago

A task that fits is revoked as a whole, with what is in flight; so is one of which any lineage \
fits. It shows what fits and asks for the number. Broken off, give it again: what is over stays \
over. Runs that start meanwhile open new tasks: `writ freeze` first.";
