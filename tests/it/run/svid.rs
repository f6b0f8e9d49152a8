//! `writ svid`, beside the command that `writ run` started.

use std::os::unix::fs::PermissionsExt as _;

use super::stage::{Stage, WAITS};

const WRIT: &str = env!("CARGO_BIN_EXE_writ");

#[tokio::test]
async fn a_command_gets_a_certificate_for_a_key_that_never_left_it() {
    let stage = Stage::set("5m", 1).await;
    let script = format!(
        r"{WRIT} svid x509 tls -o json > told &&
        openssl verify -CAfile tls/bundle.pem -untrusted tls/svid.pem tls/svid.pem > verified &&
        openssl x509 -in tls/svid.pem -noout -pubkey > certified &&
        openssl pkey -in tls/svid_key.pem -pubout > own &&
        {WRIT} svid jwt --audience https://db.example jwt; echo $? > code.new; mv code.new code
        {WAITS}"
    );
    let args = ["--profile", "deploy", "--key-file"];
    let step = stage.step(0, &args, &script);
    assert_eq!(step.wrote("code").await.trim(), "0");
    assert_eq!(step.wrote("verified").await, "tls/svid.pem: OK\n");
    assert_eq!(step.wrote("certified").await, step.wrote("own").await);
    let told: serde_json::Value = serde_json::from_str(&step.wrote("told").await).unwrap();
    assert!(told["spiffe_id"].as_str().unwrap().starts_with("spiffe://"));
    assert_eq!(step.wrote("jwt").await.split('.').count(), 3);
    let dir = step.dir();
    for file in ["tls/svid.pem", "tls/svid_key.pem", "tls/bundle.pem", "jwt"] {
        let mode = std::fs::metadata(dir.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let ended = step.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_refusal_is_a_denial_that_names_the_grant_and_leaves_no_file() {
    let without = [("x509_svid = true\n", "")];
    let stage = Stage::with("5m", 1, &without).await;
    let script = format!(
        r"{WRIT} svid x509 tls 2> said; echo $? > code
        {WRIT} svid x509 tls --key-file said 2>> said; echo $? >> code"
    );
    let mut step = stage.step(0, &["--profile", "deploy", "--key-file"], &script);
    step.ended().await;
    assert_eq!(step.wrote("code").await, "3\n1\n");
    let said = step.wrote("said").await;
    assert!(said.contains("certificate_refused"), "{said}");
    assert!(!said.contains("eyJ"), "{said}");
    let files = std::fs::read_dir(step.dir().join("tls")).unwrap();
    assert_eq!(files.count(), 0);
}
