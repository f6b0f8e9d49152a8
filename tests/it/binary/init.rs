//! The first hour of an operator: `writ init`, and a broker that starts with what it wrote.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use writ_practice::{StartJob, StartRun};

use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::{Ground, Said, until, within, writ};

async fn init(args: &[&str], at: &Path) -> Said {
    let output = writ().arg("init").args(args).current_dir(at).output();
    let output = within(output).await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const PRODUCTION: &[&str] = &["etc", "--issuer", "https://writ.example", "--github"];

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_init_writes_is_sound_private_and_hardened() {
    let place = tempfile::tempdir().unwrap();
    let said = init(PRODUCTION, place.path()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("https://writ.example/hooks/github"));
    let etc = place.path().join("etc");
    for secret in ["kek", "github-webhook-secret"] {
        assert_eq!(mode(&etc.join(secret)), 0o600, "{secret}");
        let text = std::fs::read_to_string(etc.join(secret)).unwrap();
        assert!(!said.out.contains(text.trim()) && !said.err.contains(text.trim()));
    }
    let unit = std::fs::read_to_string(etc.join("writ.service")).unwrap();
    let etc = etc.canonicalize().unwrap();
    for name in [
        "writ.toml",
        "kek",
        "tls.pem",
        "tls.key",
        "github-webhook-secret",
    ] {
        let line = format!("LoadCredential={name}:{}/{name}", etc.display());
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
    for directive in HARDENED {
        assert!(unit.lines().any(|line| line == *directive), "{directive}");
    }
    let checked = within(
        writ()
            .args(["config", "check"])
            .arg(etc.join("writ.toml"))
            .output(),
    );
    assert_eq!(checked.await.unwrap().status.code(), Some(0));
}

#[tokio::test]
async fn a_broker_that_is_to_certify_itself_needs_no_certificate_from_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let own = [PRODUCTION, &["--own-certificate"]].concat();
    let said = init(&own, place.path()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("https://writ.example/pki/roots.pem"),
        "{said:?}"
    );
    let read = |name| std::fs::read_to_string(place.path().join("etc").join(name)).unwrap();
    assert!(read("writ.toml").contains("issued_for = [\"writ.example\"]"));
    let unit = read("writ.service");
    assert!(
        !unit.contains("tls.pem") && !unit.contains("tls.key"),
        "{unit}"
    );
    assert!(
        unit.contains("LoadCredential=github-webhook-secret:"),
        "{unit}"
    );
}

/// The steps as `writ init` tells them, up to the one that needs systemd.
#[tokio::test]
async fn a_real_jobs_token_writes_the_profile_that_the_configuration_lacks() {
    let ground = Ground::new().await;
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let run = ground.site().start_run(StartRun::new(REPO, vec![job]));
    let token = ground
        .client()
        .id_token(&run.await.unwrap().jobs[0], "https://writ.example")
        .await;
    let place = tempfile::tempdir().unwrap();
    let said = init(PRODUCTION, place.path()).await;
    let step = "writ profile new --no-api --from-token - >> ";
    assert!(said.out.contains(step), "{said:?}");
    let new = ["profile", "new", "--no-api", "--from-token", "-"];
    let profile = ground.operator(&new, &token).await;
    assert_eq!(profile.code, Some(0), "{profile:?}");
    let path = place.path().join("etc/writ.toml");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, written + &profile.out).unwrap();
    let checked = writ().args(["config", "check"]).arg(&path).output();
    let checked = within(checked).await.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(said.contains("deploy"), "{said}");
}

#[tokio::test]
async fn nothing_is_written_over_and_nothing_is_left_half_done() {
    for taken in ["writ.toml", "kek", "writ.service", "github-webhook-secret"] {
        let place = tempfile::tempdir().unwrap();
        let etc = place.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join(taken), "mine").unwrap();
        let said = init(PRODUCTION, place.path()).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(taken), "{said:?}");
        assert_eq!(std::fs::read_to_string(etc.join(taken)).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&etc).unwrap().count(), 1, "{taken}");
    }
    // A dangling link is somebody's as well: it would send the key elsewhere.
    let place = tempfile::tempdir().unwrap();
    let etc = place.path().join("etc");
    std::fs::create_dir(&etc).unwrap();
    std::os::unix::fs::symlink(place.path().join("elsewhere"), etc.join("kek")).unwrap();
    let said = init(PRODUCTION, place.path()).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(!place.path().join("elsewhere").exists());
}

#[tokio::test]
async fn what_could_not_be_a_production_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let open = place.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let odd = place.path().join("a b");
    std::fs::create_dir(&odd).unwrap();
    for args in [
        &["etc", "--issuer", "http://writ.example"][..],
        &["etc", "--issuer", "https://writ.example/"],
        &["open", "--issuer", "https://writ.example"],
        &["a b", "--issuer", "https://writ.example"],
        &[
            "etc",
            "--issuer",
            "https://writ.example",
            "--binary",
            "writ",
        ],
        &[
            "etc",
            "--issuer",
            "https://writ.example",
            "--binary",
            "/x' y",
        ],
        &[
            "etc",
            "--issuer",
            "https://writ.example",
            "--trust-domain",
            "A",
        ],
    ] {
        let said = init(args, place.path()).await;
        assert_eq!(said.code, Some(1), "{args:?}: {said:?}");
        assert_eq!(said.out, "");
        assert!(!place.path().join("etc/kek").exists(), "{args:?}");
    }
}

/// The unit's own command line, with what systemd would put in; only the addresses are the test's.
#[tokio::test]
async fn the_units_command_starts_a_broker_with_the_key_on_a_descriptor() {
    let ground = Ground::new().await;
    let etc = ground.dir().join("etc");
    let program = writ().as_std().get_program().to_str().unwrap().to_owned();
    let args = [PRODUCTION, &["--binary", &program]].concat();
    let said = init(&args, ground.dir()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let host = ground.host;
    let text = std::fs::read_to_string(etc.join("writ.toml")).unwrap();
    let text = text
        .replace("https://writ.example", &ground.issuer)
        .replace("0.0.0.0:8443", &format!("{host}:8420"))
        .replace("127.0.0.1:9090", &format!("{host}:8421"))
        .replace("certificate = \"tls.pem\"\nkey = \"tls.key\"\n", "")
        .replace("/run/writ/", "")
        .replace("/var/lib/writ/", "");
    std::fs::write(etc.join("writ.toml"), text).unwrap();
    let unit = std::fs::read_to_string(etc.join("writ.service")).unwrap();
    let line = unit.lines().find_map(|l| l.strip_prefix("ExecStart="));
    let line = line.unwrap().replace("$$", "$");
    let mut server = tokio::process::Command::new("/bin/sh");
    server
        .args(["-c", &format!("exec {line}")])
        .env("CREDENTIALS_DIRECTORY", &etc)
        .current_dir(ground.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut server = server.spawn().unwrap();
    until(async || matches!(ground.platform("/readyz").await, Some((200, _)))).await;
    assert!(server.try_wait().unwrap().is_none());
    assert!(etc.join("writ.db").exists());
}

/// What a hardened service is expected to have.
const HARDENED: &[&str] = &[
    "DynamicUser=yes",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "CapabilityBoundingSet=",
    "UMask=0077",
    "RemoveIPC=yes",
    "LimitCORE=0",
    "StateDirectory=writ",
];
