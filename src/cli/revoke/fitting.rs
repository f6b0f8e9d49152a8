//! What fits a condition: looked for part by part, shown, and counted before anything is done to it.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};

use serde::Serialize;
use serde_json::json;

use super::{MOST_SHOWN, usage};
use crate::cli::CliError;
use crate::cli::client::{Admin, Call};
use crate::cli::out::{Out, complain, rows_or};
use crate::cli::table::Table;
use crate::domain::condition::RawCondition;
use crate::seams::{Clock as _, SystemClock};
use crate::surface::http::admin::revocations::{MatchView, PreviewView, Wanted};

/// What fits a condition.
#[derive(Debug, Serialize)]
pub(super) struct Fitting {
    pub(super) r#where: String,
    pub(super) tasks: Vec<MatchView>,
    /// More fit and are over already.
    over: u32,
}

/// Looks through all tasks, part by part.
pub(super) async fn fitting(condition: &str, admin: &Admin) -> Result<Fitting, CliError> {
    let mut all = Fitting {
        r#where: condition.to_owned(),
        tasks: Vec::new(),
        over: 0,
    };
    let (mut cursor, mut looked_at) = (None, 0);
    let mut met = BTreeSet::new();
    loop {
        let wanted = Wanted {
            r#where: all.r#where.clone(),
            cursor,
        };
        let call = Call::post("/api/v1/revocations/preview", &json!(wanted));
        let page = admin.ask(call).await.map_err(misread)?;
        let page: PreviewView = page.read()?;
        all.tasks.extend(page.tasks);
        all.over += page.over;
        all.r#where = page.r#where;
        met.extend(page.claims_met);
        looked_at += page.looked_at;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        complain(&format!(
            "looked at {looked_at} tasks, {} fit",
            all.tasks.len()
        ))
        .ok();
    }
    let known: RawCondition = condition.parse().map_err(usage)?;
    let known = known.at(SystemClock.now()).map_err(usage)?;
    let unmet = known.claims().find(|claim| !met.contains(*claim));
    match unmet {
        Some(claim) if looked_at > 0 => Err(CliError::Usage(format!(
            "nothing was revoked: no identity under these tasks has a claim `{claim}`"
        ))),
        Some(_) | None => Ok(all),
    }
}

/// A condition that the broker cannot read is the operator's to mend, as one that this command cannot.
fn misread(error: CliError) -> CliError {
    if let CliError::Refused(refused) = &error
        && refused.field.as_deref() == Some("where")
    {
        let detail = refused.detail.as_deref().unwrap_or_default();
        return CliError::Usage(format!("nothing was revoked: {detail}"));
    }
    error
}

pub(super) fn show(fitting: &Fitting, out: &mut Out) -> Result<(), CliError> {
    if out.is_json() {
        return out.line(&json!(fitting).to_string());
    }
    out.lines(&preview(fitting))
}

fn preview(fitting: &Fitting) -> Vec<String> {
    let mut table = Table::new(["TASK", "PROFILE", "OPENED", "LIVE", "READ SECRETS"]);
    for one in fitting.tasks.iter().take(MOST_SHOWN) {
        table.push([
            one.task.name.to_string(),
            one.task.profile.to_string(),
            one.task.opened_at.to_the_second(),
            one.credentials.live.to_string(),
            one.credentials.exposed.to_string(),
        ]);
    }
    let mut lines = vec![format!("where {}", fitting.r#where)];
    lines.extend(rows_or(&table, "no open task fits"));
    let more = fitting.tasks.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more; -o json --dry-run shows them all"));
    }
    if fitting.over > 0 {
        lines.push(format!("{} more fit and are over already", fitting.over));
    }
    lines
}

/// Whether it is what the operator means: by the number, which nobody types by accident.
pub(super) fn confirmed(
    fitting: &Fitting,
    expect: Option<usize>,
    out: &mut Out,
) -> Result<bool, CliError> {
    let count = fitting.tasks.len();
    if let Some(expected) = expect {
        if expected == count {
            return Ok(true);
        }
        return Err(CliError::Usage(format!(
            "{count} tasks fit, not {expected}: nothing was revoked"
        )));
    }
    if out.is_json() {
        show(fitting, out)?;
    } else {
        for line in preview(fitting) {
            complain(&line).ok();
        }
    }
    if count == 0 {
        return Ok(false);
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(format!(
            "nothing was revoked: give --expect {count} to revoke these"
        )));
    }
    complain(&format!(
        "type {count} to revoke them, with everything under them:"
    ))
    .ok();
    let mut typed = String::new();
    io::stdin()
        .read_line(&mut typed)
        .map_err(|source| CliError::Io {
            what: "standard input cannot be read".to_owned(),
            source,
        })?;
    if typed.trim() == count.to_string() {
        return Ok(true);
    }
    Err(CliError::Usage(
        "that is not the number: nothing was revoked".to_owned(),
    ))
}
