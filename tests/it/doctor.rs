//! `writ doctor`, from both ends: what is well, what is not, and what mends it. It issues nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use writ_practice::{
    Fault, HookSettings, HookTarget, Mode, Options, StartJob, StartRun, StartedJob, Target, World,
};

use crate::peers::{TLS, certify};
use crate::support::broker::{API_TOKEN, ENVIRONMENT, HOOK_SECRET, REPO, secret_file};
use crate::support::process::{Ground, within, writ};
use crate::support::raw::answers_always;
use crate::traces::collector::Collector;

/// What was found: the exit code, and each check with its state, text and mend.
#[derive(Debug)]
struct Found {
    code: Option<i32>,
    checks: Vec<Value>,
    err: String,
}

impl Found {
    fn of(&self, check: &str) -> &Value {
        let found = self.checks.iter().find(|c| c["check"] == check);
        found.unwrap_or_else(|| panic!("{check}: {self:?}"))
    }

    #[track_caller]
    fn assert(&self, check: &str, state: &str, told: &str) {
        let found = self.of(check);
        assert_eq!(found["state"], state, "{self:?}");
        assert!(found["told"].as_str().unwrap().contains(told), "{found}");
        assert_eq!(found["mend"].is_string(), state != "ok", "{found}");
    }

    fn all_are_ok(&self) -> bool {
        self.checks.iter().all(|c| c["state"] == "ok")
    }
}

async fn doctor(args: &[&str], env: &[(&str, &str)], at: &Path) -> Found {
    let mut command = writ();
    command
        .args(["doctor", "-o", "json"])
        .args(args)
        .current_dir(at)
        .env_remove("SSL_CERT_FILE")
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    let output = within(command.output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for secret in [API_TOKEN, HOOK_SECRET, "eyJ"] {
        assert!(!text.contains(secret), "{text}");
    }
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let code = output.status.code();
    assert_eq!(document["sound"], code == Some(0), "{text}");
    Found {
        code,
        checks: document["checks"].as_array().cloned().unwrap_or_default(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn job(ground: &Ground) -> StartedJob {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    ground.site().start_run(spec).await.unwrap().jobs.remove(0)
}

fn access<'a>(ground: &'a Ground, job: &'a StartedJob) -> [(&'a str, &'a str); 3] {
    [
        ("WRIT_ISSUER", &ground.issuer),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &job.token_url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &job.request_token),
    ]
}

#[tokio::test]
async fn a_job_that_can_work_is_told_so_and_gets_nothing() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let job = job(&ground).await;
    let found = doctor(&["job"], &access(&ground, &job), ground.dir()).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.all_are_ok(), "{found:?}");
    let names: Vec<_> = found.checks.iter().map(|c| c["check"].clone()).collect();
    let wanted = [
        "broker", "metadata", "clock", "ID token", "audience", "validity",
    ];
    assert_eq!(names, wanted.map(|name| json!(name)));
    let tasks = ground.operator(&["task", "list", "-o", "json"], "").await;
    assert_eq!(tasks.out.matches("\"name\":").count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_job_without_permission_for_id_tokens_is_told_which() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let env = [("WRIT_ISSUER", ground.issuer.as_str())];
    let found = doctor(&["job"], &env, ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("ID token", "fail", "no ID token was found");
    let mend = found.of("ID token")["mend"].as_str().unwrap();
    assert!(mend.contains("id-token: write"), "{mend}");
    found.assert("metadata", "ok", &ground.issuer);
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_away_or_is_somebody_else_is_told_apart() {
    let ground = Ground::new().await;
    let job = job(&ground).await;
    let found = doctor(&["job"], &access(&ground, &job), ground.dir()).await;
    assert_eq!(found.code, Some(2), "{found:?}");
    found.assert("broker", "fail", "takes no connection");
    // What does not rest on the broker is looked at all the same.
    found.assert("ID token", "ok", "GitHub Actions");

    let env = [("WRIT_ISSUER", "https://no-such-host.invalid")];
    let found = doctor(&["job"], &env, ground.dir()).await;
    found.assert("broker", "fail", "cannot be resolved");

    let other = json!({ "issuer": "https://other.example" }).to_string();
    let url = answers_always(200, &other).await;
    let found = doctor(&["job"], &[("WRIT_ISSUER", &url)], ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("metadata", "fail", "names itself https://other.example");
    found.assert("clock", "warn", "no date");
    let url = answers_always(502, "<html>").await;
    let found = doctor(&["job"], &[("WRIT_ISSUER", &url)], ground.dir()).await;
    found.assert("metadata", "fail", "no broker");
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told_with_its_mend() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    let job = job(&ground).await;
    let [issuer, url, token] = access(&ground, &job);
    let env = [issuer, url, token];
    let found = doctor(&["job"], &env, ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("broker", "fail", "certificate");
    assert!(
        found.of("broker")["mend"]
            .as_str()
            .unwrap()
            .contains("--ca-file")
    );
    let found = doctor(&["job", "--ca-file", "ca.pem"], &env, ground.dir()).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    // The broker's own side sees when its certificate ends.
    let config = ["server", "--config", "writ.toml"];
    let found = doctor(&config, &[], ground.dir()).await;
    found.assert("certificate", "ok", "until");
    server.stop().await;
}

#[tokio::test]
async fn a_token_for_somebody_else_is_seen_before_the_broker_refuses_it() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let job = job(&ground).await;
    let token = ground
        .client()
        .id_token(&job, "https://other.example")
        .await;
    let env = [("WRIT_ISSUER", ground.issuer.as_str()), ("TOKEN", &token)];
    let found = doctor(&["job", "--evidence", "env:TOKEN"], &env, ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("audience", "fail", "https://other.example");
    server.stop().await;
}

#[tokio::test]
async fn a_collector_that_takes_no_traces_is_told_and_is_no_fault_of_the_broker() {
    const CHECK: &str = "collector of traces";
    let ground = Ground::new().await;
    let collector = Collector::beside(&ground, "1").await;
    let server = ground.start().await;
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert(CHECK, "ok", collector.endpoint());
    let text = ground.read("writ.toml");
    let stranger = answers_always(200, "{}").await;
    for (endpoint, told) in [
        ("http://127.0.0.1:1", "cannot be reached"),
        (stranger.as_str(), "no OTLP receiver"),
    ] {
        ground.write("writ.toml", &text.replace(collector.endpoint(), endpoint));
        let found = doctor(SERVER, &[], ground.dir()).await;
        found.assert(CHECK, "warn", told);
        assert_eq!(found.code, Some(0), "{found:?}");
    }
    secret_file(ground.dir(), "other", "another-collector-key");
    let other = text.replace("token_file = \"collector\"", "token_file = \"other\"");
    ground.write("writ.toml", &other);
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert(CHECK, "warn", "does not take the token");
    server.stop().await;
}

const SERVER: &[&str] = &["server", "--config", "writ.toml"];

#[tokio::test]
async fn a_broker_at_work_is_well_and_its_last_webhook_is_told() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let found = doctor(SERVER, &[], ground.dir()).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    found.assert("webhooks of github", "warn", "none has come");
    for check in [
        "configuration",
        "key-encryption key",
        "database",
        "issuer github",
    ] {
        assert_eq!(found.of(check)["state"], "ok", "{found:?}");
    }
    found.assert("API of github", "ok", "takes the token");
    found.assert("running", "ok", "ready");
    found.assert("operators", "ok", "admin.sock");

    let hooks = HookSettings {
        enabled: true,
        targets: vec![HookTarget {
            url: format!("{}/hooks/github", ground.issuer),
            secret: HOOK_SECRET.to_owned(),
        }],
    };
    ground.site().hooks().set(hooks).unwrap();
    job(&ground).await;
    ground.site().hooks().settle().await.unwrap();
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert("webhooks of github", "ok", "ago");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_for_another_name_than_the_issuers_is_seen() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert("certificate", "ok", "until");
    let text = ground.read("writ.toml");
    let elsewhere = text.replace(&ground.issuer, "https://writ.example");
    assert_ne!(text, elsewhere);
    ground.write("writ.toml", &elsewhere);
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert("certificate", "warn", "not for writ.example");
}

const DESK: &str = r#"
[[desk]]
name = "desk"

[desk.api]
url = "URL"
token_file = "desk-token"

[desk.webhook]
secret_files = ["desk-hook"]
case = "/case/id"

[desk.case]
path = "/cases/{id}"
id = "/id"

[desk.case.status]
at = "/state"
open = ["open"]
"#;

#[tokio::test]
async fn a_desk_is_asked_with_its_token_and_its_webhooks_are_missed() {
    let world = World::start(Options {
        desks: vec!["/desk".to_owned()],
        api_token: API_TOKEN.to_owned(),
        ..Options::default()
    });
    let world = world.await.unwrap();
    let ground = Ground::new().await;
    let api = world.desk("/desk").unwrap().api_url();
    let text = ground.read("writ.toml");
    secret_file(ground.dir(), "desk-token", API_TOKEN);
    secret_file(ground.dir(), "desk-hook", HOOK_SECRET);
    ground.write(
        "writ.toml",
        &format!("{text}\n{}", DESK.replace("URL", &api)),
    );
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert("API of desk", "ok", "takes the token");

    let server = ground.start().await;
    ground.write("desk-token", "another-token-than-the-one-there");
    let found = doctor(SERVER, &[], ground.dir()).await;
    found.assert("API of desk", "fail", "does not take the token");
    found.assert("webhooks of desk", "warn", "none has come");
    server.stop().await;
}

#[tokio::test]
async fn what_is_broken_around_a_broker_is_named_with_its_mend() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    server.stop().await;
    let wide = |name: &str, mode| {
        std::fs::set_permissions(ground.dir().join(name), Permissions::from_mode(mode)).unwrap();
    };
    wide("kek", 0o644);
    wide("writ.toml", 0o666);
    wide("writ.db", 0o644);
    ground.write("api", "another-token-than-the-one-there");
    let fault = Fault {
        target: Target::Jwks,
        mode: Mode::Unavailable,
        delay_ms: 0,
    };
    ground.site().faults().set(fault).unwrap();
    let found = doctor(SERVER, &[], ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("configuration file", "fail", "changed by others");
    found.assert("key-encryption key", "fail", "chmod 600");
    found.assert("database", "warn", "read by others");
    found.assert("API of github", "fail", "does not take the token");
    found.assert("issuer github", "fail", "cannot be read");
    found.assert("running", "fail", "no broker answers");
    found.assert("operators", "fail", "does not answer");
    assert!(found.err.contains("checks failed"), "{}", found.err);
}

#[tokio::test]
async fn a_configuration_that_cannot_run_is_told_by_rule_and_line() {
    let ground = Ground::new().await;
    let text = ground
        .read("writ.toml")
        .replace("repository_id =", "repository =");
    ground.write("writ.toml", &text);
    let found = doctor(SERVER, &[], ground.dir()).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    found.assert("configuration", "fail", "match_without_id");
}

#[tokio::test]
async fn every_shell_gets_completions_that_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = within(writ().args(["completions", shell]).output());
        let output = output.await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for command in ["doctor", "init", "run", "revoke"] {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}
