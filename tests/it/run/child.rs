//! The command's end is the step's end, and what the step is told the command is told.

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;
use writ_practice::{Fault, Mode, Target};

use super::stage::{Stage, WAITS};

const ARGS: &[&str] = &["--profile", "deploy"];

#[tokio::test]
async fn the_exit_code_is_the_commands_own_or_tells_its_signal() {
    let stage = Stage::set("5m", 1).await;
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let ended = stage.step(0, ARGS, script).end().await;
        assert_eq!(ended.status.code(), Some(code), "{script}: {ended:?}");
    }
}

#[tokio::test]
async fn a_signal_is_passed_on_and_the_command_ends_as_it_likes() {
    let stage = Stage::set("5m", 1).await;
    let script = format!("trap 'touch asked; exit 7' TERM; {WAITS}");
    let args = [ARGS, &["--audience", "https://billing.example"]].concat();
    let mut step = stage.step(0, &args, &script);
    let token = step.token().await;
    step.signal(Signal::TERM);
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert!(step.has_written("asked") && step.left().is_empty());
    assert!(!stage.is_active(&token).await);
}

#[tokio::test]
async fn a_group_that_is_ended_at_once_still_revokes_what_it_had() {
    let stage = Stage::set("5m", 1).await;
    let args = [ARGS, &["--audience", "https://billing.example"]].concat();
    for _ in 0..5 {
        let mut step = stage.step(0, &args, WAITS);
        let token = step.token().await;
        step.signal_group(Signal::TERM);
        let ended = step.ended().await;
        assert_eq!(ended.status.code(), Some(143), "{ended:?}");
        assert!(!stage.is_active(&token).await && step.left().is_empty());
        step.forget("path");
    }
}

/// Nobody is left to renew and to revoke for it: it is told to end, and what it has runs out.
#[tokio::test]
async fn a_command_does_not_stay_behind_when_writ_is_killed() {
    let stage = Stage::set("5m", 1).await;
    let script = format!("trap 'touch told; exit' TERM; {WAITS}");
    let mut step = stage.step(0, ARGS, &script);
    step.token().await;
    step.signal(Signal::KILL);
    step.wrote("told").await;
    // Its end of the pipes is closed only when the command is gone as well.
    let ended = step.ended().await;
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
}

#[tokio::test]
async fn a_file_that_is_no_program_is_told_by_its_name() {
    let stage = Stage::set("5m", 1).await;
    std::fs::write(stage.ground.dir().join("plain"), "no program").unwrap();
    let plain = stage.ground.dir().join("plain");
    let args = [ARGS, &["--audience", "https://billing.example"]].concat();
    let job = &stage.run.jobs[0];
    let ended = stage
        .step_of(job, &args, &[plain.to_str().unwrap()])
        .end()
        .await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("plain cannot be started"), "{ended:?}");
}

#[tokio::test]
async fn a_signal_before_the_start_ends_the_step_and_the_command_never_runs() {
    let stage = Stage::set("5m", 1).await;
    let fault = Fault {
        target: Target::Environments,
        mode: Mode::Unavailable,
        delay_ms: 0,
    };
    stage.ground.site().faults().set(fault).unwrap();
    let mut step = stage.step(0, ARGS, "touch ran");
    step.said("asking again").await;
    step.signal(Signal::TERM);
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(143), "{ended:?}");
    assert!(!step.has_written("ran") && step.left().is_empty());
}

#[tokio::test]
async fn the_command_has_standard_input_and_output_to_itself() {
    let stage = Stage::set("5m", 1).await;
    let client = stage.ground.client();
    let evidence = client
        .id_token(&stage.run.jobs[0], &stage.ground.issuer)
        .await;
    let args = [ARGS, &["--evidence", "stdin"]].concat();
    let mut step = stage.step(0, &args, "cat");
    step.write(&format!("{evidence}\nfor the command")).await;
    let ended = step.end().await;
    assert_eq!(ended.out, "for the command", "{ended:?}");
}
