//! The server as it is installed, with TLS, asked by Debian's `curl` as a proxy asks.

use std::process::Output;

use writ_practice::{StartJob, StartRun};

use crate::peers::{TLS, certify};
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::{EXCHANGE, ID_TOKEN};
use crate::support::process::{Ground, PORT, within};

const PROXY: &str = "127.0.9.1";

async fn curl(ground: &Ground, more: &[&str]) -> Output {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--cacert", "ca.pem"])
        .args(more)
        .current_dir(ground.dir())
        .output();
    within(output)
        .await
        .expect("curl is not installed: run tests/setup")
}

#[tokio::test]
async fn a_proxy_speaks_before_tls_and_why_says_whence_a_refusal_came() {
    let listen = format!("{TLS}\nproxies = [\"{PROXY}/32\"]\nclient_address = \"proxy-protocol\"");
    let ground = Ground::with_scheme("https", &listen).await;
    certify(&ground);
    let server = ground.start_at("debug").await;
    let url = format!("https://{}:{PORT}", ground.host);
    let keys = format!("{url}/oauth2/jwks");
    let silent = curl(&ground, &["--interface", PROXY, &keys]).await;
    assert!(!silent.status.success(), "{silent:?}");
    let forged = curl(&ground, &["--haproxy-protocol", &keys]).await;
    assert!(!forged.status.success(), "{forged:?}");
    assert!(curl(&ground, &[&keys]).await.status.success());

    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let run = ground.site().start_run(StartRun::new(REPO, vec![job]));
    let run = run.await.unwrap();
    let exchange = async || {
        let token = ground.client().id_token(&run.jobs[0], &ground.issuer).await;
        let (grant, token) = (
            format!("grant_type={EXCHANGE}"),
            format!("subject_token={token}"),
        );
        let kind = format!("subject_token_type={ID_TOKEN}");
        let at = format!("{url}/oauth2/token");
        let form = [
            "-d",
            &grant,
            "-d",
            &token,
            "-d",
            &kind,
            "--interface",
            PROXY,
        ];
        let output = curl(&ground, &[&form[..], &["--haproxy-protocol", &at]].concat()).await;
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let issued = exchange().await;
    let task = issued["task"]
        .as_str()
        .unwrap_or_else(|| panic!("{issued}"));
    let order = ["task", "revoke", task, "--reason", "a test"];
    assert_eq!(ground.operator(&order, "").await.code, Some(0));
    let refused = exchange().await;
    assert_eq!(refused["code"], "task_revoked", "{refused}");
    let why = ground.operator(&["why", task], "").await;
    let from = why.out.lines().find(|line| line.starts_with("from "));
    assert_eq!(
        from.unwrap_or(&why.out).split_whitespace().last(),
        Some(PROXY)
    );
    let log = server.stop().await;
    let denied = log
        .lines()
        .find(|line| line.contains("\"denied\""))
        .unwrap();
    assert!(
        denied.contains(&format!("\"client\":\"{PROXY}\"")),
        "{denied}"
    );
}
