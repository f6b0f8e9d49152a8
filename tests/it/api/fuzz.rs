//! schemathesis, unmodified, makes requests out of the document, honest ones and others, and holds the
//! answers against it: no fault of the server, and no status, type or form that is not described.

use std::process::Stdio;

use tokio::process::Command;
use writ_practice::{StartJob, StartRun};

use crate::peers::peers;
use crate::support::broker::{BILLING_SECRET, ENVIRONMENT, REPO};
use crate::support::process::{Ground, within};

#[tokio::test]
async fn schemathesis_finds_no_answer_that_is_not_described() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    ground.put_secret("ci/prod/fuzz", "fuzz-canary-77d1").await;
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let run = ground
        .site()
        .start_run(StartRun::new(REPO, vec![job]))
        .await;
    let client = ground.client();
    let held = client.exchange(&run.unwrap().jobs[0], None, &[]).await;
    held.assert_issued();

    // With a token of this broker the requests come further than to its refusal, and the resource
    // server's routes are asked without one.
    let bearer = format!("Authorization: Bearer {}", held.text("access_token"));
    let basic = format!("billing:{BILLING_SECRET}");
    for caller in [
        ["--header", &bearer, "--exclude-path", "/oauth2/introspect"],
        ["--auth", &basic, "--include-path", "/oauth2/introspect"],
    ] {
        schemathesis(&ground, &ground.issuer, &caller).await;
    }
    let log = server.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

/// Fuzzes what the document at a server describes, as this caller.
pub async fn schemathesis(ground: &Ground, server: &str, caller: &[&str]) {
    let program = peers("openapi").join(".venv/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not installed: run tests/setup"
    );
    let mut fuzz = Command::new(&program);
    fuzz.arg("run")
        .arg(format!("{server}/api/v1/openapi.json"))
        .args([
            "--seed",
            "1",
            "--max-examples",
            "12",
            "--generation-database",
            "none",
        ])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--no-shrink",
        ])
        .args(["--checks", CHECKS, "--no-color"])
        .args(caller)
        .current_dir(ground.dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(fuzz.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
