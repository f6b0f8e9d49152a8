//! What strangers write into requests, and operators into reasons, stays within its own line of the log and
//! its own entry of the audit log.

use serde_json::Value;
use writ_practice::{StartJob, StartRun};

use super::drain::sound_log;
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::Ground;

/// A line of its own for whoever splits at line ends, colours, a turn of the direction of reading, a format.
const HOSTILE: &str =
    "x\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\u{1b}[31m\u{202e}%n\u{2028}{}";

#[tokio::test]
async fn a66_what_a_stranger_writes_forges_no_line_and_no_entry() {
    let ground = Ground::new().await;
    let server = ground.start_at("trace").await;
    let client = ground.client();
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let run = ground.site().start_run(StartRun::new(REPO, vec![job]));
    let run = run.await.unwrap();
    let held = client.exchange(&run.jobs[0], None, &[]).await;
    held.assert_issued();
    let long = HOSTILE.repeat(1000);
    for text in [HOSTILE, &long] {
        for field in [
            "profile",
            "audience",
            "scope",
            "resource",
            "grant_type",
            text,
        ] {
            // A parameter that nobody knows is passed over (RFC 6749 §3.2), all others are refused.
            let answer = client.exchange(&run.jobs[0], None, &[(field, text)]).await;
            assert!(!answer.status.is_server_error(), "{answer:?}");
            assert!(!answer.json.to_string().contains("forged"), "{answer:?}");
        }
    }
    let name = held.text("task_name");
    let revoke = ["task", "revoke", name, "--reason", HOSTILE];
    let said = ground.operator(&revoke, "").await;
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'));
    sound_log(&ground).await;
    for line in ground.read("log.jsonl").lines() {
        assert!(is_an_object(line), "{line}");
    }
    let why = ground.operator(&["why", name], "").await;
    for mark in ['\u{1b}', '\u{202e}'] {
        assert!(!why.out.contains(mark), "{why:?}");
    }
    for line in server.stop().await.lines() {
        assert!(is_an_object(line), "{line}");
    }
}

fn is_an_object(line: &str) -> bool {
    serde_json::from_str::<Value>(line)
        .is_ok_and(|value| value.is_object() && value["message"] != "forged")
}
