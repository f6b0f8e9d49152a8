//! `writ find -`: from whatever was found in a log, a ticket or a leak to the task behind it.

use std::io::Read as _;

use bytes::Bytes;
use clap::Args;
use zeroize::Zeroizing;

use super::CliError;
use super::client::{Admin, Call};
use super::out::Out;
use super::task::{ended_line, good_for, standing, state, why};
use super::text::plain;
use crate::surface::http::admin::find_view::{ByView, FoundView, HitView};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FindArgs {
    /// Only `-`, standard input: what is looked for may be a secret, and arguments are seen by others
    #[arg(value_parser = ["-"], value_name = "-")]
    from: String,
}

pub(super) async fn run(_: FindArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    std::io::stdin()
        .lock()
        .take(LONGEST as u64)
        .read_to_end(&mut text)
        .map_err(|source| CliError::Io {
            what: "standard input cannot be read".to_owned(),
            source,
        })?;
    let call = Call::post_bytes("/api/v1/find", Bytes::from_owner(text));
    let answer = admin.ask(call).await?;
    out.answer(&answer, |found: FoundView| told(&found))
}

fn told(found: &FoundView) -> Vec<String> {
    let mut lines = Vec::new();
    for (n, hit) in found.found.iter().enumerate() {
        if n > 0 {
            lines.push(String::new());
        }
        lines.extend(hit_lines(hit));
    }
    if found.more {
        lines.push(String::new());
        lines.push("there may be more: the search stopped at its bound".to_owned());
    }
    lines
}

fn hit_lines(hit: &HitView) -> Vec<String> {
    let mut lines = vec![format!("found as    {}", by(hit.by))];
    lines.push(task_line(hit));
    if let Some(end) = hit.task.as_ref().and_then(|task| task.ended.as_ref()) {
        lines.push(ended_line("ended       ", end));
    }
    if let Some(workload) = &hit.workload {
        lines.push(format!("workload    {workload}"));
    }
    if let Some(lineage) = &hit.lineage {
        let ended = lineage.ended.as_ref();
        let stands = ended.map_or_else(|| "live".to_owned(), |end| format!("ended: {}", why(end)));
        lines.push(format!(
            "lineage     {} ({})  {stands}",
            lineage.instance, lineage.id
        ));
    } else if let Some(id) = hit.lineage_id {
        lines.push(format!("lineage     {id}"));
    }
    if let Some(session) = &hit.session {
        let until = session.expires_at.to_the_second();
        let stands = session.ended.as_ref().map_or_else(
            || format!("can be renewed until {until}"),
            |end| format!("ended: {}", why(end)),
        );
        lines.push(format!("session     {}  {stands}", session.id));
    }
    if let Some(one) = &hit.credential {
        let (kind, purpose) = good_for(&one.good_for);
        lines.push(format!("credential  {}  {kind} for {purpose}", one.id));
        lines.push(format!("state       {}", state(one)));
    }
    lines.iter().map(|line| plain(line)).collect()
}

fn task_line(hit: &HitView) -> String {
    let stands = hit.task.as_ref().map_or("long over", |t| standing(t.state));
    match (&hit.task_name, hit.task_id) {
        (Some(name), Some(id)) => format!("task        {name} ({id})  {stands}"),
        (Some(name), None) => format!("task        {name} (never opened)"),
        (None, Some(id)) => format!("task        {id}  {stands}"),
        (None, None) => "task        none: it was refused before there was one".to_owned(),
    }
}

const fn by(by: ByView) -> &'static str {
    match by {
        ByView::AccessToken => "an access token of this broker",
        ByView::JwtSvid => "a JWT-SVID of this broker",
        ByView::RenewalHandle => "a renewal handle of this broker",
        ByView::Evidence => "an ID token that was exchanged here",
        ByView::Credential => "the id of a credential",
        ByView::Permit => "a permit",
        ByView::Certificate => "a certificate's serial number",
        ByView::Session => "the id of a session",
        ByView::Lineage => "the id of a lineage",
        ByView::Task => "a task",
        ByView::Run => "a run",
        ByView::Job => "a job",
        ByView::Claim => "a claim",
        ByView::Workload => "a workload",
        ByView::Repository => "a repository's name",
        ByView::Commit => "a commit",
        ByView::SecretPath => "a secret that was read",
        ByView::Denial => "a refusal",
    }
}

const LONGEST: usize = 17 * 1024;

const EXAMPLES: &str = "\
Examples:
  writ find - < leaked.txt                   a token, or the lines of a log around it
  echo cred_0190… | writ find -              the jti of a token, or the id of a lease
  openssl x509 -noout -serial -in cert.pem | writ find -
  echo https://github.com/octo/app/actions/runs/99001 | writ find -
  echo https://gitlab.com/group/app/-/jobs/321 | writ find -
  echo ci/prod/deploy-key | writ find -      who read this secret
  echo repository_id=812345 | writ find -    a claim; a bare number, octo/app or a commit do as well

A token is neither printed nor stored nor logged. What is known by no key is looked for among the newest ten thousand; the answer says so.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_down_to_the_credential() {
        let text = r#"{"found":[{"by":"access_token",
            "task_id":"task_018f2b3c4d5e7f60a1b2c3d4e5f60718","task_name":"github/1/2/1",
            "lineage_id":"lin_018f2b3c4d5e7f60a1b2c3d4e5f60718",
            "workload":"spiffe://example.org/github/9/1",
            "credential":{"id":"cred_018f2b3c4d5e7f60a1b2c3d4e5f60718",
            "lineage":"lin_018f2b3c4d5e7f60a1b2c3d4e5f60718",
            "session":"ses_018f2b3c4d5e7f60a1b2c3d4e5f60718","grant":"deploy",
            "kind":"access_token","audiences":["https://a.example"],"scopes":[],
            "issued_at":"2026-03-01T10:00:00Z","expires_at":"2026-03-01T10:05:00Z",
            "state":"expires_at","once_revoked":"expires_at"}}],"more":true}"#;
        let lines = told(&serde_json::from_str(text).unwrap()).join("\n");
        for wanted in [
            "found as    an access token",
            "github/1/2/1 (task_018f2b3c4d5e7f60a1b2c3d4e5f60718)  long over",
            "access token for https://a.example",
            "usable offline until 2026-03-01T10:05:00Z",
            "there may be more",
        ] {
            assert!(lines.contains(wanted), "{wanted} is missing in\n{lines}");
        }
    }
}
