//! The GitHub action: its real entry points, between the real broker and a job of the practice world.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use writ_practice::{Fault, Mode, StartJob, StartRun, StartedRun, Target};

use super::runner::{Done, Use};
use crate::peers::python;
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::{Ground, Server};
use crate::support::raw::answers_always;
use crate::support::token::{claims, key_of_pem};

const KEY: &str = "-----BEGIN KEY-----\ncanary-first-7c1d\n  canary-second%0A-7c1d\r\ncanary-third\n-----END KEY-----\n";
const DB: &str =
    "{\n  \"user\": \"app-canary\",\n  \"password\": \"p\\\"w-canary\\nsecond-canary\"\n}\n";

struct Scene {
    ground: Ground,
    run: StartedRun,
    #[expect(dead_code, reason = "dropping it kills the broker")]
    server: Server,
}

impl Scene {
    async fn set(jobs: usize) -> Self {
        let ground = Ground::new().await;
        let server = ground.start().await;
        ground.put_secret("ci/prod/key", KEY).await;
        ground.put_secret("ci/prod/db", DB).await;
        let named = |n| StartJob::new(&format!("deploy-{n}")).in_environment(ENVIRONMENT);
        let spec = StartRun::new(REPO, (0..jobs).map(named).collect());
        let run = ground.site().start_run(spec).await.unwrap();
        Self {
            ground,
            run,
            server,
        }
    }

    fn job(&self, n: usize) -> Use {
        Use::of(&self.run.jobs[n], &self.ground.issuer, self.ground.dir())
    }

    async fn is_active(&self, token: &str) -> bool {
        let answer = self.ground.client().introspect(token).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json["active"].as_bool().unwrap()
    }

    async fn tasks(&self) -> usize {
        let said = self
            .ground
            .operator(&["task", "list", "-o", "json"], "")
            .await;
        said.out.matches("\"name\":").count()
    }
}

impl Done {
    fn assert_done(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

const BILLING: (&str, &str) = ("audience", "https://billing.example");

#[tokio::test]
async fn secrets_arrive_as_files_variables_and_outputs_and_no_line_of_them_is_in_the_log() {
    let scene = Scene::set(1).await;
    let mut step = scene.job(0);
    let inputs = [
        ("profile", "deploy"),
        ("secrets", "DEPLOY_KEY=ci/prod/key\n\n  DB=ci/prod/db\n"),
        ("secrets-env", "DB_USER=ci/prod/db#user"),
        ("secrets-output", "db_password=ci/prod/db#password"),
    ];
    let done = step.main(&inputs).await;
    done.assert_done();
    let file = Path::new(&done.env["DEPLOY_KEY_FILE"]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), KEY);
    assert_eq!(std::fs::read_to_string(&done.env["DB_FILE"]).unwrap(), DB);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(done.env["DB_USER"], "app-canary");
    assert_eq!(done.outputs["db_password"], "p\"w-canary\nsecond-canary");
    assert!(done.outputs["task"].starts_with("github/"));

    // Whatever a later step prints of it, line by line or member by member, is hidden.
    let masks: Vec<_> = done
        .raw
        .lines()
        .filter_map(|l| l.strip_prefix("::add-mask::"))
        .collect();
    let lines = KEY.lines().chain(DB.lines()).map(str::trim);
    let members = ["app-canary", "p\"w-canary", "second-canary"];
    for line in lines.chain(members).filter(|line| line.len() > 1) {
        let escaped = line.replace('%', "%25");
        assert!(masks.contains(&escaped.as_str()), "{line} is not masked");
    }
    for secret in ["canary", "eyJ", &scene.run.jobs[0].request_token] {
        assert!(!done.log.contains(secret), "{}", done.log);
    }

    step.post().await.assert_done();
    assert!(step.left().is_empty() && !file.exists());
}

#[tokio::test]
async fn without_being_asked_the_action_gives_no_secret_and_no_token_to_later_steps() {
    let scene = Scene::set(1).await;
    let mut step = scene.job(0);
    let done = step.main(&[("secrets", "DB=ci/prod/db")]).await;
    done.assert_done();
    let names: Vec<_> = done.env.keys().map(String::as_str).collect();
    assert_eq!(names, ["DB_FILE", "WRIT_ISSUER"]);
    let names: Vec<_> = done.outputs.keys().map(String::as_str).collect();
    assert_eq!(names, ["expires-at", "task", "token-type"]);
    assert_eq!(done.outputs["token-type"], "DPoP");
    assert_eq!(step.left().len(), 1);
}

#[tokio::test]
async fn the_end_of_one_matrix_job_revokes_what_is_its_own_and_leaves_its_siblings() {
    let scene = Scene::set(2).await;
    let (mut first, mut second) = (scene.job(0), scene.job(1));
    let inputs = [BILLING, ("token", "output"), ("secrets", "DB=ci/prod/db")];
    let mine = first.main(&inputs).await;
    let theirs = second.main(&inputs).await;
    let (mine, theirs) = (
        &mine.assert_done().outputs["token"],
        &theirs.assert_done().outputs["token"],
    );
    assert_eq!(scene.tasks().await, 1);
    assert!(scene.is_active(mine).await && scene.is_active(theirs).await);

    let ended = first.post().await;
    assert!(!ended.assert_done().log.contains("could not"), "{ended:?}");
    assert!(!scene.is_active(mine).await);
    assert!(scene.is_active(theirs).await);
    // The sibling's session is alive, not only its token: it ends its own at its own end.
    second.post().await.assert_done();
    assert!(!scene.is_active(theirs).await);
    assert_eq!(scene.tasks().await, 1, "the task is the run's");
}

#[tokio::test]
async fn a_bearer_token_is_revoked_and_what_was_asked_to_stay_stays() {
    let scene = Scene::set(2).await;
    let mut step = scene.job(0);
    let inputs = [BILLING, ("token", "file"), ("bearer", "true")];
    let done = step.main(&inputs).await;
    let token = std::fs::read_to_string(&done.assert_done().env["WRIT_TOKEN_FILE"]).unwrap();
    assert_eq!(done.env["WRIT_TOKEN_TYPE"], "Bearer");
    assert!(scene.is_active(&token).await);
    step.post().await.assert_done();
    assert!(!scene.is_active(&token).await);

    let mut step = scene.job(1);
    let inputs = [BILLING, ("token", "env"), ("revoke", "false")];
    let done = step.main(&inputs).await;
    let token = done.assert_done().env["WRIT_TOKEN"].clone();
    step.post().await.assert_done();
    assert!(scene.is_active(&token).await && step.left().is_empty());
}

#[tokio::test]
async fn the_session_key_is_given_only_when_asked_for_and_is_the_one_the_token_is_bound_to() {
    let scene = Scene::set(1).await;
    let mut step = scene.job(0);
    let inputs = [BILLING, ("token", "output"), ("key-file", "true")];
    let done = step.main(&inputs).await;
    let pem = std::fs::read_to_string(&done.assert_done().env["WRIT_KEY_FILE"]).unwrap();
    let claims = claims(&done.outputs["token"]);
    let key = key_of_pem(&pem);
    assert_eq!(claims["cnf"]["jkt"], key.thumbprint());
    let inner = pem.lines().nth(1).unwrap();
    assert!(done.raw.contains(&format!("::add-mask::{inner}")) && !done.log.contains(inner));
}

#[tokio::test]
async fn a_refusal_fails_the_step_with_its_code_field_and_id_and_gives_nothing() {
    let scene = Scene::set(2).await;
    let mut step = scene.job(0);
    let secrets = ("secrets", "DB=ci/prod/db\nOTHER=ci/other");
    let done = step.main(&[secrets]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    let line = done.log.lines().find(|l| l.starts_with("::error")).unwrap();
    let id = &done.outputs["denial-id"];
    for wanted in ["title=Writ%3A denied", "secret_refused", id.as_str()] {
        assert!(line.contains(wanted), "{wanted} is missing in {line}");
    }
    assert_eq!(done.outputs["code"], "secret_refused");
    assert!(!done.env.contains_key("DB_FILE") && step.left().is_empty());
    let said = scene.ground.operator(&["explain", id], "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    // What it had of the broker by then ends all the same.
    step.post().await.assert_done();

    let site = scene.ground.site();
    site.cancel_run(scene.run.run_id).await.unwrap();
    let mut step = scene.job(1);
    let done = step.main(&[("wait", "0")]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.log.contains("no ID token"), "{}", done.log);
    step.post().await.assert_done();
}

#[tokio::test]
async fn a_job_without_the_permission_is_told_how_to_get_it() {
    let scene = Scene::set(1).await;
    let done = scene.job(0).main_without_permission(&[]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.log.contains("id-token: write"), "{}", done.log);
    assert_eq!(scene.tasks().await, 0);
}

#[tokio::test]
async fn a_broker_that_cannot_know_is_asked_again_and_is_no_denial() {
    let scene = Scene::set(1).await;
    let fault = Fault {
        target: Target::Environments,
        mode: Mode::Unavailable,
        delay_ms: 0,
    };
    scene.ground.site().faults().set(fault).unwrap();
    let done = scene.job(0).main(&[("wait", "0")]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.log.contains("context_unavailable") && !done.log.contains("denied"));
    assert!(!done.outputs.contains_key("code"));
}

#[tokio::test]
async fn inputs_that_mean_nothing_ask_nobody_and_are_not_repeated() {
    let scene = Scene::set(1).await;
    let asked = || scene.ground.site().faults().requests().of(Target::Token);
    for inputs in [
        &[("secrets", "hunter2-canary")][..],
        &[("secrets", "A=../x")],
        &[("secrets-env", "NODE_OPTIONS=ci/prod/db")],
        &[("secrets-env", "A=ci/prod/db canary")],
        &[("secrets", "A=ci/x"), ("secrets-env", "A_FILE=ci/x")],
        &[("secrets-output", "CODE=ci/prod/db")],
        &[("issuer", "http://writ.example")],
        &[("issuer", "https://u:canary@writ.example")],
        &[("token", "stdout")],
        &[("revoke", "no")],
        &[("bearer", "true"), ("key-file", "true")],
        &[("wait", "soon")],
    ] {
        let done = scene.job(0).main(inputs).await;
        assert_eq!(done.code, Some(1), "{inputs:?}: {done:?}");
        assert!(done.log.starts_with("::error title=Writ::"), "{}", done.log);
        assert!(!done.raw.contains("canary"), "{}", done.raw);
    }
    assert_eq!(asked(), 0);
}

/// A text of the broker's address is somebody else's: it must not become a command of the runner.
#[tokio::test]
async fn an_answer_cannot_speak_to_the_runner() {
    let scene = Scene::set(1).await;
    let evil = json!({
        "error": "invalid_request",
        "code": "policy_denied\r::set-env name=A::b",
        "error_description": "no\n::add-mask::a\n::warning::b%0A::error::c",
        "denial_id": "dn-1-1\nINJECTED=1",
    });
    let url = answers_always(400, &evil.to_string()).await;
    let mut step = Use::of(&scene.run.jobs[0], &url, scene.ground.dir());
    let done = step.main(&[]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    let told: Vec<_> = done.log.lines().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let names: Vec<_> = done.outputs.keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "denial-id"]);
}

#[tokio::test]
async fn the_action_is_described_as_github_wants_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = python()
        .args([
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.github-actions",
        ])
        .arg(root.join("deploy/ci/github-action/action.yml"))
        .output()
        .await
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}
