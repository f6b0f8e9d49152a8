//! `writ task watch`: what happens to a task, as it happens, until it is over.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time;

use super::CliError;
use super::client::{Admin, Call};
use super::out::{Out, complain};
use super::task::{Which, ended_line, path, standing};
use super::text::plain;
use crate::surface::http::admin::entry_view::EntryView;
use crate::surface::http::admin::task_view::{TaskDetail, TaskStanding, TaskView};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    which: Which,

    /// How often the broker is asked
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    every: Duration,
}

/// The newest entry that was told, by writer.
type Told = std::collections::BTreeMap<u32, u64>;

pub(super) async fn run(args: &WatchArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let mut told = Told::new();
    let mut before = None;
    loop {
        let answer = admin.ask(Call::get(path(&args.which, ""))).await?;
        let TaskDetail { task, entries, .. } = answer.read()?;
        if !told.is_empty() && entries.iter().all(|entry| !is_known(&told, entry)) {
            complain("more has happened meanwhile than a task is shown with: some of it is left out here").ok();
        }
        // A history has the newest first.
        for entry in entries
            .iter()
            .rev()
            .filter(|entry| is_new(&mut told, entry))
        {
            out.line(&event(out, entry))?;
        }
        if before != Some(task.state) {
            out.line(&state(out, &task))?;
            before = Some(task.state);
        }
        if task.state != TaskStanding::Open {
            return Ok(());
        }
        time::sleep(args.every).await;
    }
}

fn is_known(told: &Told, entry: &EntryView) -> bool {
    told.get(&entry.writer).is_some_and(|last| entry.n <= *last)
}

fn is_new(told: &mut Told, entry: &EntryView) -> bool {
    if is_known(told, entry) {
        return false;
    }
    told.insert(entry.writer, entry.n);
    true
}

fn event(out: &Out, entry: &EntryView) -> String {
    if out.is_json() {
        return json!({"entry": entry}).to_string();
    }
    let code = entry.code.map(|code| code.as_str().to_owned());
    let by = entry.by.as_ref().map(|by| format!("by {by}"));
    let parts = [
        code,
        entry.field.clone(),
        entry.about.clone(),
        by,
        entry.reason.clone(),
        entry.denial_id.clone(),
    ];
    let more: Vec<_> = parts
        .into_iter()
        .flatten()
        .map(|part| plain(&part))
        .collect();
    let line = format!("{}  {:<16}  {}", entry.at, entry.event, more.join("  "));
    line.trim_end().to_owned()
}

fn state(out: &Out, task: &TaskView) -> String {
    if out.is_json() {
        return json!({"task": task}).to_string();
    }
    match &task.ended {
        Some(end) => ended_line(&format!("{} is over: ", task.name), end),
        None => format!("{} is {}", task.name, standing(task.state)),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|why| why.to_string())?;
    if (SHORTEST..=LONGEST).contains(&every) {
        return Ok(every);
    }
    Err("it is between 200ms and 1h".to_owned())
}

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_hours(1);

const EXAMPLES: &str = "\
Examples:
  writ task watch github/812345/99001/1
  writ -o json task watch helpdesk/case/4711 | jq -r 'select(.entry.denial_id) | .entry.denial_id'

  It ends when the task does.";
