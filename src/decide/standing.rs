//! The invariants of task, lineage, identity, session and key: judged before any context is.

use crate::decide::case::Case;
use crate::decide::denial::{Denial, Ends, Refusal};
use crate::decide::engine::Verb;
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::profile::SenderMode;
use crate::domain::session::{Session, SessionState};
use crate::domain::task::{End, Task, TaskState};
use crate::domain::time::Timestamp;
use crate::error::Code;

/// Checks everything that does not depend on facts.
pub(super) fn check(case: &Case<'_>, now: Timestamp) -> Result<(), Refusal> {
    if let Some(task) = &case.standing.task {
        check_task(task, case, now)?;
    }
    if let Some(lineage) = &case.standing.lineage {
        check_lineage(lineage, case)?;
    }
    if case.profile.sender == SenderMode::Required && case.key.is_none() {
        return Err(Denial::new(
            Code::ProofRequired,
            "the profile demands a session key: send a DPoP proof",
        )
        .into());
    }
    match &case.standing.session {
        Some(session) => check_session(session, case, now),
        None => Ok(()),
    }
}

fn check_task(task: &Task, case: &Case<'_>, now: Timestamp) -> Result<(), Refusal> {
    if let TaskState::Over(end) = &task.state {
        return Err(ended(end, Code::TaskRevoked, "the task is over"));
    }
    if now >= task.deadline {
        return Err(
            Denial::new(Code::TaskExpired, "the task's deadline has passed")
                .field("task.deadline")
                .into(),
        );
    }
    if task.profile != case.profile.name {
        let text = format!(
            "the task was opened under the profile `{}`: a profile for other jobs of the same run needs its own task template",
            task.profile
        );
        return Err(Denial::new(Code::ProfileUnmatched, text)
            .field("profile")
            .into());
    }
    Ok(())
}

fn check_lineage(lineage: &Lineage, case: &Case<'_>) -> Result<(), Refusal> {
    if let LineageState::Ended(end) = &lineage.state {
        return Err(ended(
            end,
            Code::LineageEnded,
            "the lineage has ended, and evidence does not reopen it",
        ));
    }
    // Before anything that could end it: whoever looks at it wants to find it as it was.
    if let LineageState::Quarantined(why) = &lineage.state {
        let text =
            "the lineage is in quarantine: nothing is given or permitted until it was looked at";
        let denial = Denial::new(Code::Quarantined, text);
        let internal = format!("since {} by {}", why.since, why.by);
        return Err(denial.internal(internal).into());
    }
    let Some(difference) = lineage.identity.differs_from(case.identity) else {
        return Ok(());
    };
    let shown = |value: Option<&str>| value.unwrap_or("(absent)").to_owned();
    let text = format!(
        "the evidence names another `{}` than the one that opened the lineage",
        difference.field
    );
    Err(Denial::new(Code::IdentityMismatch, text)
        .field(difference.field)
        .because(shown(difference.here), shown(difference.there))
        .ends(Ends::Lineage)
        .into())
}

fn check_session(session: &Session, case: &Case<'_>, now: Timestamp) -> Result<(), Refusal> {
    if let SessionState::Ended(_) = &session.state {
        return Err(Denial::new(Code::SessionEnded, "the session was revoked").into());
    }
    // What reads with a token rests on the token's own end, and evidence revives a quiet session.
    let renews = matches!(case.verb, Verb::Renew | Verb::Recertify);
    if renews && now >= session.expires_at {
        let text = "the session was not renewed in time: open another with fresh evidence";
        return Err(Denial::new(Code::SessionExpired, text)
            .field("session.expires_at")
            .into());
    }
    // A certificate has a key of its own, and was made under this session by who held the session's.
    if case.verb != Verb::Recertify && session.key != case.key {
        let code = if case.key.is_none() {
            Code::ProofRequired
        } else {
            Code::KeyMismatch
        };
        return Err(Denial::new(
            code,
            "the session belongs to another key than the one shown",
        )
        .into());
    }
    match case.evidence {
        Some(shown) if shown.issued_at < session.evidence.issued_at => {
            let text = "the evidence is older than what the session has already shown";
            Err(Denial::new(Code::EvidenceStale, text).field("iat").into())
        }
        Some(_) | None => Ok(()),
    }
}

/// A refusal by what ended long ago gives the reason of that end, so that the second answer explains
/// as much as the first.
fn ended(end: &End, otherwise: Code, text: &'static str) -> Refusal {
    let own = REASONS.iter().find(|(code, _)| *code == end.code);
    let (code, public) = own.copied().unwrap_or((otherwise, text));
    let mut denial = Denial::new(code, public);
    denial.field.clone_from(&end.field);
    denial.internal = Some(format!("ended at {} by {}", end.at, end.code));
    denial.into()
}

/// Ends that explain themselves.
const REASONS: [(Code, &str); 4] = [
    (
        Code::ContextEnded,
        "the run, job or case that justified it is over",
    ),
    (
        Code::ContextMismatch,
        "the context that justified it has changed, and it has ended",
    ),
    (Code::TaskClosed, "the task was closed"),
    (Code::TaskRevoked, "the task was revoked"),
];
