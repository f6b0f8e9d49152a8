//! What ends before the command starts, with the exit code that says why.

use writ_practice::{Conclusion, Fault, Mode, Target};

use super::stage::Stage;

#[tokio::test]
async fn a_profile_that_does_not_take_the_job_is_a_denial_with_its_code_and_id() {
    let stage = Stage::set("5m", 1).await;
    let mut step = stage.step(0, &["--profile", "other"], "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(ended.err.contains("profile_unmatched"), "{ended:?}");
    assert!(!step.has_written("ran") && step.left().is_empty());
    assert_eq!(stage.tasks().await.matches("\"name\":").count(), 0);
}

#[tokio::test]
async fn a_job_that_is_over_gets_no_token_of_its_platform() {
    let stage = Stage::set("5m", 1).await;
    let job = stage.run.jobs[0].job_id;
    let site = stage.ground.site();
    site.complete_job(job, Conclusion::Success).await.unwrap();
    let mut step = stage.step(0, &["--profile", "deploy"], "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(
        ended.err.contains("no ID token") && !step.has_written("ran"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_the_broker_cannot_know_is_waited_for_and_is_no_denial() {
    let stage = Stage::set("5m", 1).await;
    let faults = stage.ground.site().faults();
    let fault = Fault {
        target: Target::Environments,
        mode: Mode::Unavailable,
        delay_ms: 0,
    };
    faults.set(fault).unwrap();
    let mut step = stage.step(0, &["--profile", "deploy", "--wait", "0s"], "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.err.contains("context_unavailable"), "{ended:?}");
    assert!(!step.has_written("ran"));

    let mut step = stage.step(0, &["--profile", "deploy"], "touch ran");
    step.said("asking again").await;
    faults.clear();
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(step.has_written("ran"));
}

#[tokio::test]
async fn wrong_usage_asks_nobody() {
    let stage = Stage::set("5m", 1).await;
    let asked = || stage.ground.site().faults().requests().of(Target::Token);
    for (args, command) in [
        (&["--on-refusal", "kill"][..], "true"),
        (&["--secret", "A=x", "--secret-env", "A_FILE=x"], "true"),
        (&["--token-env", "WRIT_ISSUER"], "true"),
        (&["--token-fd", "1"], "true"),
        (&[], "no-such-command-5d1f"),
    ] {
        let mut step = stage.step_of(&stage.run.jobs[0], args, &[command]);
        let ended = step.ended().await;
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {ended:?}");
    }
    assert_eq!(asked(), 0);
}
