//! The run is over while the command still works: it is told, and ends as was asked for.

use super::stage::{Stage, WAITS};
use crate::support::process::until;

const ARGS: &[&str] = &[
    "--profile",
    "deploy",
    "--audience",
    "https://billing.example",
];

async fn cancelled(stage: &Stage) {
    let site = stage.ground.site();
    site.cancel_run(stage.run.run_id).await.unwrap();
    site.hooks().settle().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_run_ends_the_command_with_the_reason_told_once() {
    let stage = Stage::set("2s", 1).await;
    let args = [ARGS, &["--on-refusal=term"]].concat();
    let mut step = stage.step(0, &args, WAITS);
    let token = step.token().await;
    cancelled(&stage).await;
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(143), "{ended:?}");
    for wanted in ["context_ended", "its id: dn-", "status"] {
        assert_eq!(ended.err.matches(wanted).count(), 1, "{wanted}: {ended:?}");
    }
    assert!(!stage.is_active(&token).await && step.left().is_empty());
}

#[tokio::test]
async fn an_interrupted_command_may_finish_what_it_began() {
    let stage = Stage::set("2s", 1).await;
    let args = [ARGS, &["--on-refusal=int:120s"]].concat();
    let script = format!("trap 'touch cleaned; exit 5' INT; {WAITS}");
    let mut step = stage.step(0, &args, &script);
    step.token().await;
    cancelled(&stage).await;
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(5), "{ended:?}");
    assert!(step.has_written("cleaned"));
}

#[tokio::test]
async fn a_command_that_does_not_hear_an_interrupt_is_terminated_after_its_time() {
    let stage = Stage::set("2s", 1).await;
    let args = [ARGS, &["--on-refusal=int:1s"]].concat();
    let mut step = stage.step(0, &args, &format!("trap '' INT; {WAITS}"));
    step.token().await;
    cancelled(&stage).await;
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(143), "{ended:?}");
}

#[tokio::test]
async fn without_an_order_the_command_goes_on_and_its_exit_code_is_its_own() {
    let stage = Stage::set("2s", 1).await;
    let mut step = stage.step(0, ARGS, &format!("trap 'exit 99' INT TERM; {WAITS}"));
    let token = step.token().await;
    cancelled(&stage).await;
    until(async || !stage.is_active(&token).await).await;
    step.go_on();
    assert_eq!(step.ended().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_broker_that_is_away_refuses_nothing_and_renews_when_it_is_back() {
    let mut stage = Stage::set("2s", 1).await;
    let args = [ARGS, &["--on-refusal=term"]].concat();
    let mut step = stage.step(0, &args, WAITS);
    let first = step.token().await;
    stage.kill_broker().await;
    step.said("could not be renewed yet").await;
    stage.start_broker().await;
    step.renewed(&first).await;
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_session_that_an_outage_outlasted_is_opened_again_while_the_job_lives() {
    let short = ("session_ttl = \"15m\"", "session_ttl = \"2s\"");
    let mut stage = Stage::with("2s", 1, &[short]).await;
    let args = [ARGS, &["--on-refusal=term"]].concat();
    let mut step = stage.step(0, &args, WAITS);
    let first = step.token().await;
    stage.kill_broker().await;
    step.said("the token has ended").await;
    stage.start_broker().await;
    let second = step.renewed(&first).await;
    assert!(stage.is_active(&second).await);
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!stage.is_active(&second).await);
}
