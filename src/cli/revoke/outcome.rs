//! What became of it: what is dead, what is good for how long yet, what is stuck and what to rotate.

use serde::Serialize;
use serde_json::json;

use super::fitting::fitting;
use super::{BREATH, MOST_SHOWN, RevokeArgs};
use crate::cli::CliError;
use crate::cli::client::Admin;
use crate::cli::out::{Out, complain};
use crate::domain::time::Timestamp;
use crate::seams::{Clock as _, SystemClock};
use crate::surface::http::admin::revocations::{FateKind, FateView, TallyView};

/// What was done, for programs.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#where: Option<String>,
    results: Vec<FateView>,
    /// Whether nothing that was meant can be used any more; exposed values aside.
    dead: bool,
}

/// Says what became of everything, after having waited for it where that was asked for.
pub(super) async fn finish(
    condition: Option<String>,
    results: Vec<FateView>,
    args: &RevokeArgs,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut dead = all_dead(&results);
    if args.wait
        && let Some(until) = offline_until(&results)
    {
        complain(&format!(
            "waiting until {until}, when the last expires that is taken without asking the broker"
        ))
        .ok();
        tokio::time::sleep(until.since(SystemClock.now()) + BREATH).await;
        dead = results
            .iter()
            .all(|fate| fate.outcome != FateKind::Stuck && fate.credentials.live == 0);
    }
    let stuck = results
        .iter()
        .filter(|f| f.outcome == FateKind::Stuck)
        .count();
    let absent = !results.is_empty() && results.iter().all(|f| f.outcome == FateKind::NotFound);
    if out.is_json() {
        let report = Report {
            r#where: condition.clone(),
            results,
            dead,
        };
        out.line(&json!(report).to_string())?;
    } else {
        out.lines(&told(&results, dead))?;
    }
    if let Some(condition) = condition {
        let again = fitting(&condition, admin).await?;
        if !again.tasks.is_empty() {
            let count = again.tasks.len();
            complain(&format!(
                "{count} tasks fit now; freeze first if more keep coming"
            ))
            .ok();
        }
    }
    if stuck > 0 {
        return Err(CliError::Unanswered(format!(
            "{stuck} could not be revoked, or nobody knows: give the same command again"
        )));
    }
    if absent {
        return Err(CliError::Unanswered(
            "there is nothing with this id".to_owned(),
        ));
    }
    Ok(())
}

fn told(results: &[FateView], dead: bool) -> Vec<String> {
    let count = |kind| results.iter().filter(|fate| fate.outcome == kind).count();
    let sum = |of: fn(&TallyView) -> u32| results.iter().map(|f| of(&f.credentials)).sum::<u32>();
    let exposed = sum(|tally| tally.exposed);
    let mut lines = Vec::new();
    for (kind, word) in [
        (FateKind::Revoked, "revoked"),
        (FateKind::AlreadyOver, "had ended before"),
        (FateKind::Stuck, "stuck: give the same command again"),
    ] {
        if count(kind) > 0 {
            lines.push(format!("{:>6}  {word}", count(kind)));
        }
    }
    for fate in results
        .iter()
        .filter(|f| f.outcome == FateKind::Stuck)
        .take(MOST_SHOWN)
    {
        let code = fate.code.map_or_else(String::new, |code| code.to_string());
        lines.push(format!("        {} {} {code}", fate.of, fate.id));
    }
    match (dead, offline_until(results)) {
        (true, _) => lines.push("everything that can die is dead".to_owned()),
        (false, Some(until)) => {
            lines.extend(yet_taken(results));
            lines.push(format!(
                "all of it is dead by {until}; --wait waits for that"
            ));
        }
        (false, None) => {}
    }
    if results.iter().any(is_bar) {
        lines.push(
            "what is out under it is refused by whoever asks the broker; what is verified offline is good until it expires, and is not counted".to_owned(),
        );
    }
    if exposed > 0 {
        lines.push(format!(
            "{exposed} secret values have been read and are known: `writ task exposure TASK` lists what to rotate"
        ));
        let with = results.iter().filter(|fate| fate.credentials.exposed > 0);
        lines.extend(
            with.take(MOST_SHOWN)
                .map(|fate| format!("        {} {}", fate.of, fate.id)),
        );
    }
    lines
}

/// What somebody may yet take although it is revoked, by the reason for it.
fn yet_taken(results: &[FateView]) -> Vec<String> {
    let sum = |of: fn(&TallyView) -> u32| results.iter().map(|f| of(&f.credentials)).sum::<u32>();
    let kinds = [
        (
            sum(|tally| tally.expires_at),
            "tokens that are verified offline are good until they expire",
        ),
        (
            sum(|tally| tally.propagating),
            "certificates are on the list within a second, and good until they expire for whoever reads none",
        ),
        (
            sum(|tally| tally.stuck),
            "certificates should be on the list by now and are not: `writ task show` says why",
        ),
        (
            sum(|tally| tally.listed),
            "certificates are on the list, and good until they expire for whoever reads none",
        ),
    ];
    let some = kinds.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{count} {what}"))
        .collect()
}

fn all_dead(results: &[FateView]) -> bool {
    results.iter().all(|fate| {
        let TallyView {
            live,
            propagating,
            stuck,
            listed,
            expires_at,
            ..
        } = &fate.credentials;
        fate.outcome != FateKind::Stuck
            && !is_bar(fate)
            && live + propagating + stuck + listed + expires_at == 0
    })
}

/// Whether it is over whatever a workload or a key holds, which nothing counts.
fn is_bar(fate: &FateView) -> bool {
    matches!(fate.of.as_str(), "workload" | "key")
}

fn offline_until(results: &[FateView]) -> Option<Timestamp> {
    let times = results
        .iter()
        .filter_map(|fate| fate.credentials.until.as_ref());
    times
        .filter_map(|until| until.to_string().parse().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(outcome: &str, credentials: &str) -> FateView {
        let text = format!(
            r#"{{"of":"task","id":"task_018f2b3c4d5e7f60a1b2c3d4e5f60718","outcome":"{outcome}",
            "credentials":{credentials}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_not_dead_is_said() {
        let dead = r#"{"live":0,"revoked":3,"propagating":0,"stuck":0,"listed":0,"expires_at":0,"exposed":0}"#;
        let offline = r#"{"live":0,"revoked":0,"propagating":4,"stuck":5,"listed":1,"expires_at":2,
            "until":"2026-03-01T10:05:00Z","exposed":0}"#;
        let read = r#"{"live":0,"revoked":0,"listed":0,"expires_at":0,"exposed":1}"#;
        assert!(all_dead(&[fate("revoked", dead), fate("revoked", read)]));
        let results = [
            fate("revoked", dead),
            fate("already_over", offline),
            fate("stuck", read),
        ];
        assert!(!all_dead(&results));
        let text = told(&results, false).join("\n");
        for wanted in [
            "1  revoked",
            "1  had ended before",
            "1  stuck",
            "2 tokens that are verified offline",
            "1 certificates are on the list",
            "4 certificates are on the list within a second",
            "5 certificates should be on the list by now",
            "dead by 2026-03-01T10:05:00Z",
            "1 secret values",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
        let listed = offline.replace(r#""expires_at":2"#, r#""expires_at":0"#);
        assert!(!all_dead(&[fate("revoked", &listed)]));
        // Nobody counts what a barred workload holds, so that nobody says that it is dead.
        let mut barred = fate("revoked", dead);
        barred.of = "workload".to_owned();
        assert!(!all_dead(&[barred]));
    }
}
