//! Secrets for the command, and for nobody else who looks.

use std::path::PathBuf;

use super::stage::{Stage, WAITS};

const VALUE: &str = r#"{"user":"app","password":"canary-7c1d"}"#;

#[tokio::test]
async fn a_secret_arrives_in_a_private_file_and_nowhere_else() {
    let stage = Stage::set("5m", 1).await;
    stage.ground.put_secret("ci/prod/db", VALUE).await;
    let args = ["--profile", "deploy", "--secret", "DB=ci/prod/db#password"];
    let script = format!(r#"env > env; cp "$DB_FILE" copy; {WAITS}"#);
    let step = stage.step(0, &args, &script);
    let token = step.token().await;
    assert_eq!(step.wrote("copy").await, "canary-7c1d");
    assert!(!step.wrote("env").await.contains("canary"));
    let seen = arguments(step.child.id().unwrap());
    assert!(seen.contains("DB=ci/prod/db#password"), "{seen}");
    let request_token = &stage.run.jobs[0].request_token;
    for secret in ["canary", &token, request_token] {
        assert!(!seen.contains(secret), "{seen}");
    }
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for secret in ["canary", &token, request_token, "eyJ"] {
        assert!(!ended.err.contains(secret), "{ended:?}");
    }
}

#[tokio::test]
async fn a_token_for_a_service_goes_with_secrets_and_reads_none_of_them_itself() {
    let stage = Stage::set("5m", 1).await;
    stage.ground.put_secret("ci/prod/db", VALUE).await;
    let args = [
        "--profile",
        "deploy",
        "--audience",
        "https://billing.example",
        "--secret-env",
        "DB=ci/prod/db",
    ];
    let mut step = stage.step(
        0,
        &args,
        r#"printf %s "$DB"; cat "$WRIT_TOKEN_FILE" > token"#,
    );
    let ended = step.ended().await;
    assert_eq!(ended.out, VALUE, "{ended:?}");
    let url = format!("{}/api/v1/secret/ci/prod/db", stage.ground.issuer);
    let token = step.wrote("token").await;
    let http = &stage.ground.client().http;
    let answer = http.get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
}

#[tokio::test]
async fn a_secret_that_is_not_granted_is_a_denial_and_the_command_does_not_start() {
    let stage = Stage::set("5m", 1).await;
    stage.ground.put_secret("ci/other", VALUE).await;
    let args = ["--profile", "deploy", "--secret", "X=ci/other"];
    let mut step = stage.step(0, &args, "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(
        ended.err.contains("secret_refused") && !step.has_written("ran"),
        "{ended:?}"
    );
    assert_eq!(step.left(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_field_that_is_not_there_is_told_without_the_value() {
    let stage = Stage::set("5m", 1).await;
    stage.ground.put_secret("ci/prod/db", VALUE).await;
    let args = ["--profile", "deploy", "--secret", "X=ci/prod/db#token"];
    let mut step = stage.step(0, &args, "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(
        ended.err.contains("no such field") && !ended.err.contains("canary"),
        "{ended:?}"
    );
    assert!(!step.has_written("ran"));
}

/// The arguments as any user of the machine sees them.
fn arguments(process: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).unwrap();
    String::from_utf8(bytes).unwrap().replace('\0', " ")
}
