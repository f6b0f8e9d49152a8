//! An agent at work under `writ run`: it names its case, and ends with it.

use std::process::{Output, Stdio};

use serde_json::json;

use super::broker;
use crate::support::broker::{Broker, secret_file};
use crate::support::process::{within, writ};
use crate::support::token::claims;

impl Broker {
    /// `writ run --case CASE ARGS -- cat TOKEN`, by an agent with a fresh ID token in a file.
    async fn at_work(&self, agent: &str, case: &str, args: &[&str]) -> Output {
        let evidence = format!("{agent}-{}", args.len());
        let token = self.agents().token(agent, &self.issuer).unwrap();
        secret_file(self.files.path(), &evidence, &format!("{token}\n"));
        let mut command = writ();
        command
            .args(["run", "--case", case, "--evidence"])
            .arg(format!("file:{evidence}"))
            .args(args)
            .args(["--", "sh", "-c", "cat $WRIT_TOKEN_FILE"])
            .env("WRIT_ISSUER", &self.issuer)
            .current_dir(self.files.path())
            .stdin(Stdio::null());
        within(command.output()).await.unwrap()
    }
}

#[tokio::test]
async fn an_agent_works_on_the_case_that_names_it_and_no_other_does() {
    let broker = broker().await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    let output = broker
        .at_work("a-7", "desk/case/4711", &["--dry-run"])
        .await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("permitted: a token under desk/case/4711"),
        "{told}"
    );
    assert_eq!(broker.recorded().await.tasks, 0);

    let output = broker.at_work("a-7", "desk/case/4711", &[]).await;
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        claims(&token)["authorization_details"],
        json!([{ "type": "writ_task", "task": "desk/case/4711", "account": "AC-9" }])
    );
    // What ended is this agent's session, and not the case's task.
    assert!(
        !broker.client().introspect(&token).await.json["active"]
            .as_bool()
            .unwrap()
    );

    let before = broker.recorded().await.credentials;
    let output = broker.at_work("a-8", "desk/case/4711", &[]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("context_mismatch, case.assignee"), "{told}");
    assert_eq!(broker.recorded().await.credentials, before);
}
