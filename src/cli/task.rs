//! `writ task`: what is at work, opening and ending it.

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::out::{Out, rows_or};
use super::table::Table;
use super::text::plain;
use super::watch::{self, WatchArgs};
use crate::domain::grant::Audience;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::LineageId;
use crate::domain::name::{ProfileName, TaskName};
use crate::mint::cursor::Cursor;
use crate::surface::http::admin::credential_view::{
    CredentialView, GoodFor, RecallView, StateView,
};
use crate::surface::http::admin::decode;
use crate::surface::http::admin::entry_view::EntryView;
use crate::surface::http::admin::night::{ExposureView, ValueView};
use crate::surface::http::admin::task_view::{
    EndView, Ended, LineageView, Outcome, PermitStanding, PermitView, TaskDetail, TaskPage,
    TaskStanding, TaskView, UsesView,
};

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// List tasks, newest first
    #[command(after_help = "Example:\n  writ task list --limit 20")]
    List(ListArgs),
    /// Show a task: who is at work in it, what is out under it, what happened last
    #[command(after_help = "Example:\n  writ task show github/812345/99001/1")]
    Show(Which),
    /// Tell what happens to a task as it happens, until it is over
    Watch(WatchArgs),
    /// List the secret values that a task has read: no revocation takes them back, rotate them
    #[command(after_help = EXPOSURE)]
    Exposure(Which),
    /// Open a case's task for an agent that the case does not name. The agent still shows its evidence
    #[command(
        after_help = "Example:\n  writ task open desk/case/4711 --profile support \\\n    --agent spiffe://example.org/agents/a-7 --reason 'night shift'"
    )]
    Open(OpenArgs),
    /// Close a task: its work is done. Nothing more is issued, and what is out is dead
    #[command(after_help = "Example:\n  writ task close helpdesk/case/4711 --reason resolved")]
    Close(EndArgs),
    /// Revoke a task and everything under it. A name that was never opened is barred for 72 hours
    #[command(
        after_help = "Example:\n  writ task revoke github/812345/99001/1 --reason 'runner was compromised'"
    )]
    Revoke(EndArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many, at most 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last part ended, as it said
    #[arg(long)]
    cursor: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Its id (task_…) or its name (github/812345/99001/1)
    #[arg(value_parser = task)]
    task: String,
}

#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// The name of the case: the desk, `case`, and its id there
    #[arg(value_name = "DESK/case/ID")]
    task: TaskName,
    /// The profile that the agent's evidence is for
    #[arg(long)]
    profile: ProfileName,
    /// The agent's SPIFFE ID, as `writ run --dry-run` and the log have it
    #[arg(long, value_name = "SPIFFE_ID")]
    agent: SpiffeId,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct EndArgs {
    #[command(flatten)]
    which: Which,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(
    command: TaskCommand,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    match command {
        TaskCommand::List(args) => list(&args, admin, out).await,
        TaskCommand::Show(which) => {
            let answer = admin.ask(Call::get(path(&which, ""))).await?;
            out.answer(&answer, |detail: TaskDetail| shown(&detail))
        }
        TaskCommand::Watch(args) => watch::run(&args, admin, out).await,
        TaskCommand::Exposure(which) => {
            let answer = admin.ask(Call::get(path(&which, "/exposure"))).await?;
            out.answer(&answer, |told: ExposureView| exposed(&told))
        }
        TaskCommand::Open(args) => {
            let body = json!({
                "task": args.task,
                "profile": args.profile,
                "agent": args.agent,
                "reason": args.reason,
            });
            let answer = admin.ask(Call::post("/api/v1/tasks", &body).once()).await?;
            out.answer(&answer, |task: TaskView| heading(&task))
        }
        TaskCommand::Close(args) => end(&args, "/close", admin, out).await,
        TaskCommand::Revoke(args) => end(&args, "/revoke", admin, out).await,
    }
}

async fn list(args: &ListArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let mut path = format!("/api/v1/tasks?limit={}", args.limit);
    if let Some(cursor) = &args.cursor {
        path.push_str("&cursor=");
        path.push_str(&cursor.to_string());
    }
    let answer = admin.ask(Call::get(path)).await?;
    out.answer(&answer, listed)
}

async fn end(args: &EndArgs, step: &str, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let body = match &args.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let answer = admin
        .ask(Call::post(path(&args.which, step), &body))
        .await?;
    let name = args.which.task.clone();
    out.answer(&answer, |ended: Ended| told(&ended, &name))
}

pub(super) fn path(which: &Which, step: &str) -> String {
    format!("/api/v1/tasks/{}{step}", segment(&which.task))
}

/// Refuses at once what the broker could not find.
fn task(text: &str) -> Result<String, decode::BadTaskRef> {
    decode::task_ref(text).map(|_| text.to_owned())
}

fn listed(page: TaskPage) -> Vec<String> {
    let mut table = Table::new([
        "NAME", "STATE", "WHY", "PROFILE", "OPENED", "DEADLINE", "ID",
    ]);
    for task in page.tasks {
        table.push([
            task.name.to_string(),
            standing(task.state).to_owned(),
            task.ended.as_ref().map_or_else(String::new, why),
            task.profile.to_string(),
            task.opened_at.to_the_second(),
            task.deadline.to_the_second(),
            task.id.to_string(),
        ]);
    }
    let mut lines = rows_or(&table, "there are no tasks");
    lines.extend(
        page.next
            .map(|next| format!("more: writ task list --cursor={next}")),
    );
    lines
}

fn shown(detail: &TaskDetail) -> Vec<String> {
    let mut lines = heading(&detail.task);
    for lineage in &detail.lineages {
        lines.push(String::new());
        lines.extend(lineage_lines(lineage));
    }
    for uses in &detail.uses {
        lines.push(String::new());
        lines.extend(uses_lines(uses));
    }
    lines.push(String::new());
    lines.extend(credentials(&detail.credentials));
    lines.push(String::new());
    let names = detail.lineages.iter();
    let names = names.map(|one| (one.id, one.instance.as_str())).collect();
    lines.extend(events(&detail.entries, &names));
    lines
}

fn heading(task: &TaskView) -> Vec<String> {
    let mut lines = vec![
        format!("task      {} ({})", task.name, task.id),
        format!("profile   {}", task.profile),
        format!("state     {}", standing(task.state)),
        format!("opened    {}", task.opened_at),
        format!("deadline  {}", task.deadline),
    ];
    lines.extend(task.agent.iter().map(|agent| format!("opened for {agent}")));
    if let Some(end) = &task.ended {
        lines.push(ended_line("ended     ", end));
    }
    lines
}

fn lineage_lines(lineage: &LineageView) -> Vec<String> {
    let mut lines = vec![
        format!("lineage   {} ({})", lineage.instance, lineage.id),
        format!("identity  {}", lineage.identity),
    ];
    if let Some(end) = &lineage.ended {
        lines.push(ended_line("ended     ", end));
    }
    if let Some(under) = &lineage.step_up {
        let (since, by) = (under.since.to_the_second(), plain(&under.by));
        lines.push(format!(
            "risk      {} since {since} by {by}: {}",
            under.risk, under.challenge
        ));
        let approvals = under.approvals.iter();
        lines.extend(approvals.map(|one| {
            format!(
                "approved  until {} by {}",
                one.until.to_the_second(),
                plain(&one.by)
            )
        }));
    }
    if let Some(why) = &lineage.quarantined {
        let reason = why.reason.as_deref().unwrap_or("no reason given");
        let (since, by) = (why.since.to_the_second(), plain(&why.by));
        lines.push(format!(
            "stopped   in quarantine since {since} by {by}: {}",
            plain(reason)
        ));
    }
    if let Some(at) = &lineage.released_at {
        let at = at.to_the_second();
        lines.push(format!("released  at {at}, with less than the task has"));
    }
    for binding in &lineage.bindings {
        lines.push(format!("bound to  {}", plain(&binding.record)));
        let pins = binding.pins.iter();
        lines.extend(pins.map(|(k, v)| format!("          {} = {}", plain(k), plain(v))));
    }
    lines
}

fn uses_lines(uses: &UsesView) -> Vec<String> {
    let UsesView {
        grant, limit, left, ..
    } = uses;
    let count = |state| uses.permits.iter().filter(|one| one.state == state).count();
    let left = format!("uses      {grant}: {left} of {limit} left");
    if uses.permits.is_empty() {
        return vec![left];
    }
    let (reserved, consumed, lapsed) = (
        count(PermitStanding::Reserved),
        count(PermitStanding::Consumed),
        count(PermitStanding::Lapsed),
    );
    let mut table = Table::new(["PERMIT", "FOR", "AT", "STATE", "RESERVED", "LAPSES", "BY"]);
    for one in &uses.permits {
        let (action, kind, id) = (&one.action, &one.kind, plain(&one.id));
        table.push([
            one.permit.to_string(),
            format!("{action} {kind} {id}"),
            one.audience.to_string(),
            permit_state(one),
            one.reserved_at.to_the_second(),
            one.expires_at.to_the_second(),
            one.by
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        ]);
    }
    let mut lines = vec![format!(
        "{left}; {reserved} reserved, {consumed} consumed, {lapsed} lapsed"
    )];
    lines.extend(table.lines());
    lines
}

fn permit_state(one: &PermitView) -> String {
    match (one.state, &one.consumed_at) {
        (PermitStanding::Consumed, Some(at)) => format!("consumed at {}", at.to_the_second()),
        (PermitStanding::Consumed, None) => "consumed".to_owned(),
        (PermitStanding::Reserved, _) => "reserved".to_owned(),
        (PermitStanding::Lapsed, _) => "lapsed, spent all the same".to_owned(),
    }
}

fn credentials(all: &[CredentialView]) -> Vec<String> {
    let mut table = Table::new(["CREDENTIAL", "KIND", "FOR", "STATE", "EXPIRES"]);
    for one in all {
        let (kind, purpose) = good_for(&one.good_for);
        table.push([
            one.id.to_string(),
            kind.to_owned(),
            purpose,
            state(one),
            one.expires_at.to_the_second(),
        ]);
    }
    rows_or(&table, "no credential is out")
}

/// A history. Lineages are named as in `names`: by the job, pod or agent.
pub(super) fn events(entries: &[EntryView], names: &HashMap<LineageId, &str>) -> Vec<String> {
    let mut table = Table::new(["AT", "EVENT", "OF", "CODE", "FIELD", "BY", "ABOUT"]);
    for entry in entries {
        let of = entry.lineage.map(|id| {
            let name = names.get(&id).map(|name| (*name).to_owned());
            name.unwrap_or_else(|| id.to_string())
        });
        let about = [&entry.denial_id, &entry.about, &entry.reason];
        let about: Vec<_> = about.into_iter().flatten().map(String::as_str).collect();
        table.push([
            entry.at.to_the_second(),
            entry.event.clone(),
            of.unwrap_or_default(),
            entry.code.map_or_else(String::new, |code| code.to_string()),
            entry.field.clone().unwrap_or_default(),
            entry.by.clone().unwrap_or_default(),
            about.join(" "),
        ]);
    }
    rows_or(&table, "nothing is recorded about it")
}

fn told(ended: &Ended, asked: &str) -> Vec<String> {
    let first = match (ended.outcome, &ended.task) {
        (Outcome::Barred, _) | (Outcome::Ended | Outcome::AlreadyOver, None) => {
            format!("{asked} was never opened; it is barred now and cannot be")
        }
        (Outcome::Ended, Some(task)) => format!("ended {} ({})", task.name, task.id),
        (Outcome::AlreadyOver, Some(task)) => {
            format!(
                "{} ({}) had ended before; nothing was changed",
                task.name, task.id
            )
        }
    };
    let mut lines = vec![first];
    if ended.outcome != Outcome::Barred {
        lines.extend(credentials(&ended.credentials));
    }
    let is_exposed = |one: &&CredentialView| one.state == StateView::Exposed;
    let exposed = ended.credentials.iter().filter(is_exposed).count();
    if exposed > 0 {
        lines.push(format!(
            "{exposed} of them were secrets that have been read: only rotating them helps"
        ));
    }
    lines
}

fn exposed(told: &ExposureView) -> Vec<String> {
    let mut table = Table::new(["PATH", "VERSION", "FIRST READ", "LAST READ", "BY", "TO DO"]);
    for value in &told.values {
        table.push([
            value.path.to_string(),
            value.version.to_string(),
            value.first_read_at.to_the_second(),
            value.last_read_at.to_the_second(),
            reader(value),
            if value.replaced {
                "replaced here; check where it is used".to_owned()
            } else {
                "rotate".to_owned()
            },
        ]);
    }
    let mut lines = rows_or(&table, "the task has read no secret");
    if told.more {
        lines.push("there were more reads than are looked at".to_owned());
    }
    lines
}

fn reader(value: &ValueView) -> String {
    let instance = value.instance.as_ref();
    instance.map_or_else(|| value.lineage.to_string(), ToString::to_string)
}

pub(super) fn good_for(what: &GoodFor) -> (&'static str, String) {
    match what {
        GoodFor::AccessToken { audiences, .. } => {
            let names: Vec<_> = audiences.iter().map(Audience::as_str).collect();
            ("access token", names.join(" "))
        }
        GoodFor::JwtSvid { audience } => ("JWT-SVID", audience.to_string()),
        GoodFor::X509Svid { serial, .. } => ("certificate", serial.to_string()),
        GoodFor::SecretLease { path, version } => ("secret", format!("{path} v{version}")),
    }
}

/// Where a credential stands; of a live one, what a revocation would make of it.
pub(super) fn state(one: &CredentialView) -> String {
    let until = one.expires_at.to_the_second();
    match (one.state, one.once_revoked) {
        (StateView::Live, RecallView::Revoked) => "live, can be revoked at once".to_owned(),
        (StateView::Live, RecallView::Listed) => "live, can be listed at once".to_owned(),
        (StateView::Live, RecallView::ExpiresAt) => "live, verified offline".to_owned(),
        (StateView::Live, RecallView::Exposed) => "live, has been read".to_owned(),
        (StateView::Expired, _) => "expired".to_owned(),
        (StateView::Revoked, _) => "revoked".to_owned(),
        (StateView::Propagating, _) => "revoked, on its way to the list".to_owned(),
        (StateView::Stuck, _) => match &one.why {
            Some(why) => format!("revoked, and not on the list yet: {why}"),
            None => "revoked, and not on the list yet".to_owned(),
        },
        (StateView::Listed, _) => "revoked, on the list".to_owned(),
        (StateView::ExpiresAt, _) => format!("revoked, usable offline until {until}"),
        (StateView::Exposed, _) => "exposed: rotate it".to_owned(),
    }
}

pub(super) const fn standing(state: TaskStanding) -> &'static str {
    match state {
        TaskStanding::Open => "open",
        TaskStanding::Expired => "expired",
        TaskStanding::Over => "over",
    }
}

pub(super) fn why(end: &EndView) -> String {
    match &end.field {
        Some(field) => format!("{} ({field})", end.code),
        None => end.code.to_string(),
    }
}

pub(super) fn ended_line(label: &str, end: &EndView) -> String {
    let mut line = format!("{label}{} at {}", why(end), end.at);
    for (word, text) in [(" by ", &end.by), (": ", &end.reason)] {
        if let Some(text) = text {
            line.push_str(word);
            line.push_str(text);
        }
    }
    plain(&line)
}

const EXPOSURE: &str = "\
Example:
  writ task exposure github/812345/99001/1

The log remembers it after the task is gone; ask by the task's id then.";

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: &str = r#"{"outcome":"ended","task":{"id":"task_018f2b3c4d5e7f60a1b2c3d4e5f60718",
        "name":"github/812345/99001/1","profile":"deploy","state":"over",
        "opened_at":"2026-03-01T10:00:00.5Z","deadline":"2026-03-01T11:00:00Z",
        "ended":{"code":"task_revoked","at":"2026-03-01T10:05:00Z","by":"uid:0 (root)"}},
        "credentials":[CREDENTIALS]}"#;

    fn credential(tail: &str) -> String {
        format!(
            r#"{{"id":"cred_018f2b3c4d5e7f60a1b2c3d4e5f60718",
            "lineage":"lin_018f2b3c4d5e7f60a1b2c3d4e5f60718",
            "session":"ses_018f2b3c4d5e7f60a1b2c3d4e5f60718","grant":"deploy",
            "issued_at":"2026-03-01T10:00:00Z","expires_at":"2026-03-01T10:10:00Z",{tail}}}"#
        )
    }

    fn read(credentials: &[String]) -> Ended {
        serde_json::from_str(&ENDED.replace("CREDENTIALS", &credentials.join(","))).unwrap()
    }

    #[test]
    fn a_revocation_says_of_each_credential_what_it_is_now() {
        let token = r#""kind":"access_token","audiences":["https://a.example"],"scopes":[]"#;
        let ended = read(&[
            credential(&format!(
                r#"{token},"state":"revoked","once_revoked":"revoked""#
            )),
            credential(&format!(
                r#"{token},"state":"expires_at","once_revoked":"expires_at""#
            )),
            credential(
                r#""kind":"secret_lease","path":"ci/key","version":3,"state":"exposed","once_revoked":"exposed""#,
            ),
        ]);
        let text = told(&ended, "github/812345/99001/1").join("\n");
        assert!(
            text.starts_with("ended github/812345/99001/1 (task_"),
            "{text}"
        );
        for wanted in [
            " revoked ",
            "revoked, usable offline until 2026-03-01T10:10:00Z",
            "ci/key v3",
            "exposed: rotate it",
            "1 of them were secrets",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }

    #[test]
    fn a_name_that_was_never_opened_is_told_as_barred() {
        let ended = Ended {
            outcome: Outcome::Barred,
            task: None,
            credentials: Vec::new(),
        };
        let text = told(&ended, "github/1/2/3");
        assert_eq!(
            text,
            ["github/1/2/3 was never opened; it is barred now and cannot be"]
        );
    }

    #[test]
    fn a_text_that_names_no_task_is_refused_before_anything_is_asked() {
        let refused = task("github").unwrap_err();
        assert!(
            refused.to_string().contains("a name has slashes"),
            "{refused}"
        );
        assert_eq!(task("github/1").unwrap(), "github/1");
    }

    #[test]
    fn no_tasks_is_a_sentence() {
        let page = TaskPage {
            tasks: Vec::new(),
            next: None,
        };
        assert_eq!(listed(page), ["there are no tasks"]);
    }
}
