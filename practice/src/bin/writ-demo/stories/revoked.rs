//! An operator revokes a task, reads what that reached, and has every refusal explained and the
//! whole log verified.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::call::Refusal;
use crate::job::Job;
use crate::outside::{Stopwatch, poll};
use crate::place::{BILLING, DEPLOY, Place};
use crate::stage::{LIMIT, Stage, Token, milliseconds};
use crate::stories::SECRET_PATH;
use crate::trouble::Trouble;

pub(crate) async fn play(stage: &mut Stage, place: &Place) -> Result<(), Trouble> {
    stage.tell.title("4. An operator revokes a task")?;
    let mut job = stage.start_run().await?;
    let own = stage.open(&mut job).await?;
    stage.tell.say("it reads the secret, and gets a token for a service that asks and one for a service that does not")?;
    let read = stage.show(&job.read(&own.text, SECRET_PATH)?).await?;
    read.granted("the secret is read")?;
    let billing = stage.renew(&job, BILLING).await?;
    stage.renew(&job, DEPLOY).await?;
    stage.stands(&billing).await?;

    let task = find(stage, &own).await?;
    revoke(stage, &task, &billing).await?;
    stage.tell.say("the job's renewal is refused")?;
    let renew = job.renew(None)?;
    stage
        .refused("renewal is refused after the revocation", &renew, REVOKED)
        .await?;
    late(stage, &job).await?;
    explain(stage).await?;
    audit(stage, &place.file("audit.jsonl")).await
}

/// The operator finds the task by the run's name in the list.
async fn find(stage: &Stage, token: &Token) -> Result<String, Trouble> {
    stage.tell.say(&format!(
        "the operator looks for the run: {}",
        token.task_name
    ))?;
    stage.operate(&["task", "list"]).await?;
    let listed = stage
        .operator
        .run(&["task", "list", "-o", "json"])
        .await?
        .succeeded()?;
    let document = listed.json()?;
    let tasks = document
        .get("tasks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let task = tasks
        .filter(|task| task.get("name").and_then(Value::as_str) == Some(&token.task_name))
        .find_map(|task| task.get("id").and_then(Value::as_str));
    task.map(str::to_owned)
        .ok_or_else(|| Trouble::unmet("the list of tasks", &token.task_name, listed.text()))
}

async fn revoke(stage: &mut Stage, task: &str, billing: &Token) -> Result<(), Trouble> {
    stage.tell.say("and revokes it by its id")?;
    let watch = Stopwatch::start();
    let arguments = ["task", "revoke", task, "--reason", "shown to a visitor"];
    stage.operate(&arguments).await?;
    let dead = stage.until_dead(billing, watch).await?;
    stage.note(
        REVOCATION,
        "its token is dead at introspection",
        format!("{} (the command included)", milliseconds(dead)),
    );
    stage.is_dead(billing, dead).await?;
    let shown = stage
        .operator
        .run(&["task", "show", task, "-o", "json"])
        .await?
        .succeeded()?;
    let (document, text) = (shown.json()?, shown.text());
    credential(&document, "revoked", &text)?;
    let until = credential(&document, "expires_at", &text)?;
    stage.note(
        REVOCATION,
        "the token that is verified offline is unusable",
        format!("by {until}"),
    );
    credential(&document, "exposed", &text)?;
    stage.note(
        REVOCATION,
        "the secret it read is exposed",
        "until it is rotated",
    );
    Ok(())
}

/// Whether the answer names a credential in that state; its time.
fn credential(document: &Value, state: &str, shown: &str) -> Result<String, Trouble> {
    let all = document
        .get("credentials")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let found = all
        .into_iter()
        .find(|c| c.get("state").and_then(Value::as_str) == Some(state));
    let when = found
        .and_then(|c| c.get("expires_at"))
        .and_then(Value::as_str);
    when.map(str::to_owned)
        .ok_or_else(|| Trouble::unmet("what the revocation reached", state, shown))
}

/// A fresh ID token of the revoked task's job opens nothing.
async fn late(stage: &mut Stage, job: &Job) -> Result<(), Trouble> {
    stage
        .tell
        .say("its CI system still vouches for it, and that opens nothing")?;
    let id_token = stage.id_token(job).await?;
    let exchange = job.exchange(&id_token, None)?;
    let how = Refusal {
        error: Some("invalid_request"),
        ..REVOKED
    };
    stage
        .refused(
            "a new exchange is refused after the revocation",
            &exchange,
            how,
        )
        .await
}

/// Every refusal of the demonstration has its whole trace; one of them is shown whole.
async fn explain(stage: &Stage) -> Result<(), Trouble> {
    stage.tell.title("Every refusal is explained")?;
    let whole = stage
        .refusals
        .iter()
        .position(|refused| refused.how.code == MOST_TELLING);
    for (n, refused) in stage.refusals.iter().enumerate() {
        let done = stage.operator.run(&["explain", &refused.denial]).await?;
        let told = done.text();
        if Some(n) == whole {
            stage.tell.command(&done)?;
        } else {
            stage.tell.command_head(&done, HEAD)?;
        }
        let done = done.succeeded()?;
        for needed in [Some(refused.how.code), refused.how.field]
            .into_iter()
            .flatten()
        {
            if !told.contains(needed) {
                return Err(Trouble::unmet(done.command(), needed, told));
            }
        }
    }
    Ok(())
}

/// The log is exported, verified, replayed; a changed byte is found.
async fn audit(stage: &mut Stage, file: &Path) -> Result<(), Trouble> {
    stage.tell.title("The log can be checked by anybody")?;
    let export = export(stage).await?;
    let path = file.to_string_lossy().into_owned();
    std::fs::write(file, &export).map_err(Trouble::io("write the export"))?;
    stage.operate(&["audit", "verify", &path]).await?;
    stage.operate(&["audit", "replay", &path]).await?;

    let changed = with_a_flipped_bit(export);
    std::fs::write(file, changed).map_err(Trouble::io("write the export"))?;
    stage
        .tell
        .say("one bit in the middle of the file is flipped")?;
    let done = stage.operator.run(&["audit", "verify", &path]).await?;
    stage.tell.command(&done)?;
    if done.status == Some(0) {
        return Err(Trouble::unmet(done.command(), "a failure", done.ending()));
    }
    stage.note(
        "one bit of the exported log was flipped",
        "found by `writ audit verify`",
        "",
    );
    Ok(())
}

/// The export, as soon as a signed checkpoint covers the last refusal.
async fn export(stage: &Stage) -> Result<Vec<u8>, Trouble> {
    let last = stage.refusals.last();
    let last = last.and_then(|refused| place_in_log(&refused.denial));
    let last = last.ok_or_else(|| Trouble::unmet("the last refusal", "an id", "none"))?;
    let what = "the export has the last refusal";
    let done = poll(what, PAUSE, LIMIT, async || {
        let done = stage.operator.run(&["audit", "export"]).await?;
        let whole = done.status == Some(0) && done.text().contains(&last);
        Ok(whole.then_some(done))
    })
    .await?;
    let lines = done.text().lines().count();
    stage
        .tell
        .say(&format!("`{}` gives {lines} lines", done.command()))?;
    Ok(done.stdout)
}

/// How an export names the entry of a refusal: writer and number, as its id does.
fn place_in_log(denial: &str) -> Option<String> {
    let (writer, n) = denial.strip_prefix("dn-")?.split_once('-')?;
    Some(format!(r#""w":{writer},"n":{n},"#))
}

fn with_a_flipped_bit(mut export: Vec<u8>) -> Vec<u8> {
    let middle = export.len() / 2;
    if let Some(byte) = export.get_mut(middle) {
        *byte ^= 1;
    }
    export
}

const REVOKED: Refusal = Refusal {
    status: 400,
    error: Some("invalid_grant"),
    code: "task_revoked",
    field: None,
};

/// The refusal with both what was required and what was found.
const MOST_TELLING: &str = "context_mismatch";
/// An explanation begins with its verdict and its reason.
const HEAD: usize = 2;

const REVOCATION: &str = "an operator revoked the task";

const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_state_that_the_revocation_does_not_name_is_missed() {
        let answer = json!({ "credentials": [{ "state": "revoked", "expires_at": "2026-01-01T00:00:00Z" }] });
        assert_eq!(
            credential(&answer, "revoked", "").unwrap(),
            "2026-01-01T00:00:00Z"
        );
        credential(&answer, "exposed", "").unwrap_err();
    }

    #[test]
    fn a_refusal_is_found_in_an_export_by_its_id() {
        assert_eq!(place_in_log("dn-3-17").unwrap(), r#""w":3,"n":17,"#);
        assert_eq!(place_in_log("17"), None);
    }

    #[test]
    fn the_changed_export_differs_in_one_bit() {
        let changed = with_a_flipped_bit(vec![0, 0, 0]);
        assert_eq!(changed, [0, 1, 0]);
        assert!(with_a_flipped_bit(Vec::new()).is_empty());
    }
}
