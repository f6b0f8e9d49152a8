//! Other people's clients, unmodified, against the real binary over TLS: what they refuse or misread is
//! wrong here, whatever our own tests say.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::process::Command;
use writ_practice::{StartJob, StartRun};

use crate::support::broker::{BILLING_SECRET, ENVIRONMENT, HOOK_SECRET, REPO, secret_file};
use crate::support::process::{Ground, within};

pub const TLS: &str = "certificate = \"tls.pem\"\nkey = \"tls.key\"";

const SECRET: &str = "what the peers may read";

#[tokio::test]
async fn oauth4webapi_and_jose_work_with_the_broker() {
    played("node", &["node"], "oauth.mjs").await;
}

#[tokio::test]
async fn octokits_webhooks_are_taken() {
    played("node", &["node"], "webhooks.mjs").await;
}

#[tokio::test]
async fn requests_oauth2client_and_pyjwt_work_with_the_broker() {
    played("python", &[interpreter().to_str().unwrap()], "oauth.py").await;
}

/// Runs one script of a folder of clients against a broker of its own.
async fn played(folder: &str, command: &[&str], script: &str) {
    let dir = peers(folder);
    let installed = ["node_modules", ".venv"]
        .iter()
        .any(|name| dir.join(name).is_dir());
    assert!(installed, "the clients are not installed: run tests/setup");
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    ground.put_secret("ci/prod/peers", SECRET).await;
    settings(&ground).await;

    let (program, arguments) = command.split_first().unwrap();
    let mut peer = Command::new(program);
    peer.args(arguments)
        .arg(script)
        .arg(ground.dir().join("settings.json"))
        .current_dir(&dir)
        .env("NODE_EXTRA_CA_CERTS", ground.dir().join("ca.pem"))
        .env("REQUESTS_CA_BUNDLE", ground.dir().join("ca.pem"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(peer.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    let log = server.stop().await;
    assert!(output.status.success(), "{said}{complained}\n{log}");
    assert!(said.contains("ok      "), "nothing was checked: {said}");
}

/// What a script is told.
async fn settings(ground: &Ground) {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    let settings = json!({
        "issuer": ground.issuer,
        "id_token": { "url": run.jobs[0].token_url, "request_token": run.jobs[0].request_token },
        "audience": "https://billing.example",
        "resource_server": { "name": "billing", "secret": BILLING_SECRET },
        "secret": { "path": "ci/prod/peers", "value": SECRET },
        "svid_audience": "https://db.example",
        "hook": { "url": format!("{}/hooks/github", ground.issuer), "secret": HOOK_SECRET },
    });
    ground.write("settings.json", &settings.to_string());
}

/// A certificate for the broker's address, by an authority that only the peers are told of.
pub fn certify(ground: &Ground) {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "a test's authority");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, authority);

    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![ground.host.to_string()]).unwrap();
    leaf.distinguished_name
        .push(DnType::CommonName, "a test's broker");
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let chain = leaf.signed_by(&key, &issuer).unwrap();
    ground.write("ca.pem", &root.pem());
    ground.write("tls.pem", &chain.pem());
    secret_file(ground.dir(), "tls.key", &key.serialize_pem());
}

/// Python with the packages of its folder.
pub fn python() -> Command {
    let mut command = Command::new(interpreter());
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

pub fn interpreter() -> PathBuf {
    peers("python").join(".venv/bin/python")
}

pub fn peers(folder: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("peers").join(folder)
}
