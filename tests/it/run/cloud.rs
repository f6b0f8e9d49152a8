//! Clouds: an OIDC token in a file for as long as the command runs, believed by the published keys alone.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::stage::Stage;
use crate::peers::{interpreter, peers};
use crate::support::process::{Said, within, writ};

const AWS: &str = "aws=arn:aws:iam::123456789012:role/deploy";
const GCP: &str = "gcp=projects/7/locations/global/workloadIdentityPools/ci/providers/writ";
const AZURE: &str =
    "azure=8d1f6f0c-0c5e-4a51-9a8b-1f2e7c1d5d1f/1d5d8d1f-0c5e-4a51-9a8b-1f2e7c1d5d1f";

/// The grant's audiences, as the clouds' own guides name them.
const GRANTED: (&str, &str) = (
    "jwt_svids = [\"https://db.example\"]",
    "jwt_svids = [\"sts.amazonaws.com\", \"api://AzureADTokenExchange\", \"https://iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/ci/providers/writ\"]",
);
/// Keys in a bucket, and one for a cloud that takes RS256 only.
const BUCKET: (&str, &str) = (
    "[keys]",
    "[svid]\nissuer = \"https://svid-example.s3.amazonaws.com/writ\"\nrsa_key_files = [\"rsa\"]\nrs256_audiences = [\"api://AzureADTokenExchange\"]\n[keys]",
);

async fn export(stage: &Stage, dir: &Path) -> Said {
    let output = writ()
        .args(["oidc", "export", "-o", "json"])
        .arg(dir)
        .env("WRIT_ISSUER", &stage.ground.issuer)
        .stdin(Stdio::null())
        .output();
    let output = within(output).await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn unmodified_sdks_take_roles_by_a_token_that_stays_fresh() {
    let stage = Stage::with("4s", 1, &[GRANTED, BUCKET]).await;
    let dir = stage.ground.dir().join("public");
    let exported = export(&stage, &dir).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let told: Value = serde_json::from_str(&exported.out).unwrap();
    assert_eq!(told["issuer"], "https://svid-example.s3.amazonaws.com/writ");
    assert_eq!(told["keys"], 2);

    // The job's own token is for another service: the clouds' are taken with one beside it.
    let args = [
        "--profile",
        "deploy",
        "--audience",
        "https://billing.example",
        "--cloud",
        AWS,
        "--cloud",
        GCP,
        "--cloud",
        AZURE,
    ];
    let script = peers("python").join("cloud.py");
    let python = interpreter();
    let command = [&python, &script, &dir].map(|path| path.to_str().unwrap());
    let mut step = stage.step_of(&stage.run.jobs[0], &args, &command);
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.out, ended.err);
    assert_eq!(ended.out.matches("ok      ").count(), 5, "{}", ended.out);
    assert!(step.left().is_empty());
    assert!(!ended.err.contains("eyJ"), "{}", ended.err);
}

#[tokio::test]
async fn a_token_for_azure_that_azure_would_refuse_starts_nothing() {
    let stage = Stage::with("5m", 1, &[GRANTED]).await;
    let args = ["--profile", "deploy", "--cloud", AZURE];
    let mut step = stage.step(0, &args, "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("RS256") && !step.has_written("ran"));
}

#[tokio::test]
async fn a_cloud_that_is_not_granted_is_a_denial_and_one_that_would_be_passed_over_is_told() {
    let stage = Stage::set("5m", 1).await;
    let args = ["--profile", "deploy", "--cloud", AWS];
    let mut step = stage.step(0, &args, "touch ran");
    let ended = step.ended().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(ended.err.contains("target_refused"), "{ended:?}");
    assert!(!step.has_written("ran") && step.left().is_empty());

    for args in [
        &["--cloud", AWS, "--cloud", AWS][..],
        &["--cloud", "aws=deploy"],
        &["--cloud", AWS, "--secret-env", "AWS_ROLE_ARN=ci/prod/x"],
    ] {
        let mut step = stage.step(0, args, "touch ran");
        let ended = step.ended().await;
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn an_export_of_a_broker_that_is_not_there_leaves_what_was_exported() {
    let mut stage = Stage::set("5m", 1).await;
    let dir = stage.ground.dir().join("public");
    let exported = export(&stage, &dir).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let keys = std::fs::read(dir.join("jwks")).unwrap();
    stage.kill_broker().await;
    let exported = export(&stage, &dir).await;
    assert_eq!(exported.code, Some(2), "{exported:?}");
    assert_eq!(std::fs::read(dir.join("jwks")).unwrap(), keys);
}
