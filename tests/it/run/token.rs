//! The token: in a private file, renewed there, and dead when the command is done.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::stage::{Stage, WAITS};
use crate::support::token::{claims, key_of_pem};

const BILLING: &[&str] = &[
    "--profile",
    "deploy",
    "--audience",
    "https://billing.example",
];

#[tokio::test]
async fn the_file_is_private_replaced_by_renewal_and_gone_at_the_end_with_what_was_in_it() {
    let stage = Stage::set("2s", 1).await;
    let step = stage.step(0, BILLING, WAITS);
    let first = step.token().await;
    let file = step.wrote("path").await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = Path::new(&file);
    assert_eq!((mode(file.parent().unwrap()), mode(file)), (0o700, 0o600));

    let second = step.renewed(&first).await;
    let third = step.renewed(&second).await;
    assert!(stage.is_active(&third).await);
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!stage.is_active(&third).await, "it was left behind");
    assert!(!file.exists());
    for token in [&first, &second, &third] {
        assert!(!ended.err.contains(token.as_str()));
    }
}

#[tokio::test]
async fn where_the_profile_demands_fresh_evidence_each_renewal_shows_it() {
    let fresh = (
        "deadline = \"1h\"",
        "deadline = \"1h\"\nrenewal = \"fresh-evidence\"",
    );
    let stage = Stage::with("2s", 1, &[fresh]).await;
    let step = stage.step(0, BILLING, WAITS);
    let first = step.token().await;
    let second = step.renewed(&first).await;
    step.renewed(&second).await;
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_bearer_token_is_renewed_by_evidence_alone_and_each_of_them_is_revoked() {
    let stage = Stage::set("2s", 1).await;
    let args = [BILLING, &["--bearer"]].concat();
    let step = stage.step(0, &args, &format!("echo $WRIT_TOKEN_TYPE > type; {WAITS}"));
    let first = step.token().await;
    assert_eq!(step.wrote("type").await, "Bearer\n");
    let second = step.renewed(&first).await;
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!stage.is_active(&first).await && !stage.is_active(&second).await);
}

#[tokio::test]
async fn what_was_asked_to_stay_is_left_to_run_out() {
    let stage = Stage::set("5m", 1).await;
    let args = [BILLING, &["--no-revoke"]].concat();
    let mut step = stage.step(0, &args, r#"cat "$WRIT_TOKEN_FILE""#);
    let ended = step.ended().await;
    assert!(stage.is_active(&ended.out).await, "{ended:?}");
}

#[tokio::test]
async fn the_token_is_in_the_environment_and_on_a_descriptor_only_when_asked_for() {
    let stage = Stage::set("5m", 1).await;
    let script = r#"env > env; cat "$WRIT_TOKEN_FILE" > token; cat <&7 > descriptor"#;
    let args = [BILLING, &["--token-fd", "7"]].concat();
    let mut step = stage.step(0, &args, script);
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let token = step.wrote("token").await;
    assert_eq!(step.wrote("descriptor").await, token);
    assert!(!step.wrote("env").await.contains(&token));

    let args = [BILLING, &["--token-env", "MY_TOKEN"]].concat();
    let mut step = stage.step(
        0,
        &args,
        r#"test "$MY_TOKEN" = "$(cat "$WRIT_TOKEN_FILE")""#,
    );
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_command_that_is_given_the_key_can_prove_its_token() {
    let stage = Stage::set("5m", 1).await;
    let args = [BILLING, &["--key-file"]].concat();
    let mut step = stage.step(
        0,
        &args,
        r#"cat "$WRIT_KEY_FILE" > key; cat "$WRIT_TOKEN_FILE" > token"#,
    );
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let pem = step.wrote("key").await;
    assert_eq!(
        claims(&step.wrote("token").await)["cnf"]["jkt"],
        key_of_pem(&pem).thumbprint()
    );
    assert!(step.left().is_empty());
}

#[tokio::test]
async fn a_platform_that_gives_one_token_for_the_job_is_enough_to_renew_by_the_handle() {
    let stage = Stage::set("2s", 1).await;
    let client = stage.ground.client();
    let evidence = client
        .id_token(&stage.run.jobs[0], &stage.ground.issuer)
        .await;
    std::fs::write(stage.ground.dir().join("evidence"), evidence).unwrap();
    let place = format!("file:{}", stage.ground.dir().join("evidence").display());
    let args = [BILLING, &["--evidence", &place]].concat();
    let step = stage.step(0, &args, WAITS);
    let first = step.token().await;
    step.renewed(&first).await;
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_dry_run_shows_identity_candidates_and_outcome_and_issues_nothing() {
    let staging = (
        "[[profile]]\nname = \"deploy\"",
        "[[profile]]\nname = \"staging\"\nsource = \"github\"\nmatch = { repository_id = \"{repo}\", environment = \"staging\" }\ntask = \"{repository_id}/{run_id}/{run_attempt}/s\"\ninstance = \"{check_run_id}\"\n[profile.grant.s]\naudiences = [\"https://s.example\"]\n\n[[profile]]\nname = \"deploy\"",
    );
    let repo = "812345";
    let staging = (
        staging.0,
        staging.1.replace("\"{repo}\"", &format!("\"{repo}\"")),
    );
    let stage = Stage::with("5m", 1, &[(staging.0, &staging.1)]).await;
    assert_eq!(stage.ground.repo.repository_id.to_string(), repo);
    let dry = async |more: &[&str]| {
        let args = [BILLING, &["--dry-run"], more].concat();
        let mut step = stage.step(0, &args, "touch ran");
        let ended = step.ended().await;
        assert!(!ended.out.contains("eyJ"), "a raw token: {}", ended.out);
        assert!(!step.has_written("ran"));
        ended
    };
    let ended = dry(&[]).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for wanted in [
        "  repository = octo/app",
        "/jkt/",
        "identity   spiffe://test.example/github/",
        "candidate  deploy: takes this ID token",
        "candidate  staging: does not take\n  environment = production",
        "outcome    permitted: a token under github/812345/",
        "nothing was issued",
    ] {
        assert!(ended.out.contains(wanted), "{wanted}: {}", ended.out);
    }
    let ended = dry(&["--scope", "admin", "-o", "json"]).await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["broker"]["code"], "scope_refused");
    assert!(ended.err.contains("scope_refused"), "{ended:?}");
    assert_eq!(stage.tasks().await.matches("\"name\":").count(), 0);
}

#[tokio::test]
async fn a_dry_run_without_a_broker_still_shows_the_claims() {
    let mut stage = Stage::set("5m", 1).await;
    stage.kill_broker().await;
    let args = [BILLING, &["--dry-run"]].concat();
    let mut step = stage.step(0, &args, "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.out.contains("repository = octo/app"), "{ended:?}");
    assert!(ended.err.contains("the broker"), "{ended:?}");
}
