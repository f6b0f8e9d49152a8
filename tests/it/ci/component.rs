//! The GitLab component: its inputs put in as GitLab does, and its script run as a job of the practice world.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;
use writ_practice::{LabJob, StartPipeline};

use crate::gitlab::{DEPLOY, SOURCE};
use crate::peers::{peers, python};
use crate::support::broker::{ENVIRONMENT, LAB};
use crate::support::process::{Ground, within, writ};

/// The component's one job with these inputs, or why GitLab would refuse them.
async fn component(inputs: &Value) -> Result<Value, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = python();
    python
        .arg(peers("python").join("component.py"))
        .arg(root.join("deploy/ci/gitlab/templates/run.yml"))
        .arg(inputs.to_string());
    let output = within(python.output()).await.unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

fn inputs(issuer: &str, command: &str) -> Value {
    json!({
        "job": "deploy-app",
        "image": "registry.example/deploy:1",
        "environment": ENVIRONMENT,
        "issuer": issuer,
        "profile": "lab",
        "secrets": "DB=ci/prod/db#password",
        "command": command,
    })
}

/// Runs the job's script as a runner does: its variables set, its ID token in the one that it declared.
async fn run(jobs: &Value, id_token: &str, dir: &Path) -> Output {
    let job = &jobs["deploy-app"];
    let token = job["id_tokens"].as_object().unwrap().keys().next().unwrap();
    let script: Vec<_> = job["script"].as_array().unwrap().iter().collect();
    let script: Vec<_> = script.into_iter().map(|s| s.as_str().unwrap()).collect();
    let variables: BTreeMap<_, _> = job["variables"].as_object().unwrap().iter().collect();
    let program = PathBuf::from(writ().as_std().get_program());
    let search = std::env::var("PATH").unwrap();
    let search = format!("{}:{search}", program.parent().unwrap().display());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &script.join("\n")]).current_dir(dir);
    shell.env("PATH", search).env(token, id_token);
    shell.env("XDG_RUNTIME_DIR", dir).stdin(Stdio::null());
    for (name, value) in variables {
        let text = value.as_str().or_else(|| value["value"].as_str()).unwrap();
        shell.env(name, text);
    }
    within(shell.kill_on_drop(true).output()).await.unwrap()
}

#[tokio::test]
async fn the_components_script_runs_the_command_with_a_secret_and_leaves_nothing_behind() {
    let ground = Ground::new().await;
    let lab = ground.world.lab(LAB).unwrap();
    let project = lab.create_project("octo/app").unwrap().project_id;
    lab.make_environment(project, ENVIRONMENT).unwrap();
    let profile = DEPLOY
        .replace("\"deploy\"\nsource", "\"lab\"\nsource")
        .replace("{lab.project}", &project.to_string());
    let source = SOURCE
        .replace("{lab}", lab.issuer())
        .replace("\"hook\", \"signing\"", "\"hook\"");
    let text = format!("{}{source}{profile}", ground.read("writ.toml"));
    ground.write("writ.toml", &text);
    let server = ground.start().await;
    ground
        .put_secret("ci/prod/db", r#"{"password":"canary-7c1d"}"#)
        .await;

    let jobs = vec![LabJob::new("deploy").in_environment(ENVIRONMENT)];
    let start = StartPipeline::new(project, &ground.issuer, jobs);
    let started = lab.start(start).await.unwrap();
    let command = r#"cat "$DB_FILE"; printf ' %s' "$WRIT_TOKEN_TYPE"; false; echo went on"#;
    let jobs = component(&inputs(&ground.issuer, command)).await.unwrap();
    let aud = &jobs["deploy-app"]["id_tokens"]["WRIT_ID_TOKEN"]["aud"];
    assert_eq!(*aud, ground.issuer);
    let dir = ground.dir().join("job");
    std::fs::create_dir(&dir).unwrap();
    let ended = run(&jobs, &started.jobs[0].id_token, &dir).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "canary-7c1d DPoP");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_component_without_what_it_needs_is_refused_by_name() {
    let mut missing = inputs("https://writ.example", "true");
    missing.as_object_mut().unwrap().remove("issuer");
    let refused = component(&missing).await.unwrap_err();
    assert!(
        refused.contains("the input issuer is required"),
        "{refused}"
    );
}
