//! `writ why`: the last refusals about a run, a task or a denial, and what happened before them.

use std::collections::HashMap;

use clap::Args;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::explain::trace;
use super::out::{Out, rows_or};
use super::table::Table;
use super::task::{ended_line, events, standing};
use crate::surface::http::admin::denial_view::Explanation;
use crate::surface::http::admin::night::WhyView;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhyArgs {
    /// The page of a run, a task's name or id, or a denial's id
    #[arg(value_name = "RUN-URL|TASK|DENIAL-ID", value_parser = about)]
    about: String,
}

pub(super) async fn run(args: WhyArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/api/v1/why/{}", segment(&args.about));
    let answer = admin.ask(Call::get(path)).await?;
    out.answer(&answer, |told: WhyView| lines(&told))
}

fn about(text: &str) -> Result<String, &'static str> {
    if crate::broker::find::is_secret(text) {
        return Err("a secret is no argument: `writ find -` reads it from standard input");
    }
    Ok(text.to_owned())
}

fn lines(told: &WhyView) -> Vec<String> {
    let mut lines = Vec::new();
    for task in &told.tasks {
        let stands = standing(task.state);
        lines.push(format!("task      {} ({})  {stands}", task.name, task.id));
        lines.extend(task.ended.iter().map(|end| ended_line("ended     ", end)));
    }
    if told.tasks.is_empty() {
        lines.push("task      none was opened for it".to_owned());
    }
    lines.push(String::new());
    match told.refusals.as_slice() {
        [] => lines.push("nothing was refused".to_owned()),
        [last, older @ ..] => {
            lines.extend(trace(last));
            if !older.is_empty() {
                lines.push(String::new());
                lines.push("before that".to_owned());
                lines.extend(rows_or(&summary(older), "nothing"));
            }
        }
    }
    if told.more {
        lines.push("there are older refusals that were not looked through".to_owned());
    }
    lines.push(String::new());
    lines.push("what happened".to_owned());
    lines.extend(events(&told.events, &HashMap::new()));
    lines
}

fn summary(refusals: &[Explanation]) -> Table<6> {
    let mut table = Table::new(["AT", "DENIAL", "ASKED TO", "FROM", "CODE", "FIELD"]);
    for one in refusals {
        table.push([
            one.at.to_the_second(),
            one.id.clone(),
            one.verb.clone(),
            one.from
                .map(|address| address.to_string())
                .unwrap_or_default(),
            one.code.to_string(),
            one.field.clone().unwrap_or_default(),
        ]);
    }
    table
}

const EXAMPLES: &str = "\
Examples:
  writ why https://github.com/octo/app/actions/runs/99001
  writ why github/812345/99001/1
  writ why dn-3-17

Evidence that did not verify is counted and not recorded: it could have been anybody's.";
