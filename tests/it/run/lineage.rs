//! Jobs of one run share its task, and nothing else.

use super::stage::{Stage, WAITS};

const BILLING: &[&str] = &[
    "--profile",
    "deploy",
    "--audience",
    "https://billing.example",
];

#[tokio::test]
async fn the_first_of_three_matrix_jobs_ends_and_the_others_still_renew() {
    let stage = Stage::set("2s", 3).await;
    let mut steps: Vec<_> = (0..3).map(|job| stage.step(job, BILLING, WAITS)).collect();
    for step in &steps {
        step.token().await;
    }
    assert_eq!(stage.tasks().await.matches("\"name\":").count(), 1);

    let first = steps.remove(0);
    let ended = first.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for step in steps {
        let before = step.token().await;
        let after = step.renewed(&before).await;
        assert!(stage.is_active(&after).await);
        let ended = step.end().await;
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(!ended.err.contains("not renewed"), "{ended:?}");
    }
}

#[tokio::test]
async fn two_steps_of_one_job_have_sessions_of_their_own() {
    let stage = Stage::set("2s", 1).await;
    let (short, long) = (
        stage.step(0, BILLING, "exit 0"),
        stage.step(0, BILLING, WAITS),
    );
    long.token().await;
    assert_eq!(short.end().await.status.code(), Some(0));
    let before = long.token().await;
    long.renewed(&before).await;
    assert_eq!(long.end().await.status.code(), Some(0));
}
