//! A certificate that the broker issues to itself.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use writ::broker::administer::Haste;
use writ::broker::own_certificate::OwnCertificate;
use writ::domain::time::Timestamp;
use writ::jobs::own_certificate::OwnCertificates;
use writ::ledger::entry::Event;
use writ::seams::Clock as _;
use writ::surface::http::public;
use writ::surface::http::serve::{Limits, Listener, serve};
use writ::surface::http::tls::{ServerTls, own};
use writ_keys::{KeyState, Purpose};

use super::{Kept, curl, gauge, trusting};
use crate::support::broker::Broker;
use crate::support::held::order;
use crate::support::process::{Ground, PORT, until, within};
use crate::support::profiles::DEPLOY;

/// A broker behind a certificate of its own, on the test's clock.
struct Own {
    broker: Broker,
    job: OwnCertificates,
    tls: ServerTls,
    address: SocketAddr,
    stop: CancellationToken,
    files: TempDir,
}

impl Own {
    async fn new() -> Self {
        let broker = Broker::with(DEPLOY).await;
        let verbs = &broker.wired.broker;
        let hosts = ["writ.example", "127.0.0.1"].map(|host| host.parse().unwrap());
        let mut job = OwnCertificates::new(Arc::clone(verbs), hosts.to_vec());
        let first = job.run(broker.clock.now()).await.unwrap().unwrap();
        let nobody = WebPkiClientVerifier::no_client_auth();
        let clock = Arc::clone(&verbs.clock);
        let tls = ServerTls::new(own::certified(first), nobody, clock).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
        let router = public::router(Arc::clone(&broker.wired.public));
        let listener = Listener::Tls(tcp, tls.config());
        tokio::spawn(serve(listener, router, Limits::default(), stop.clone()));
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("roots.pem"), roots(&broker).await).unwrap();
        Self {
            broker,
            job,
            tls,
            address,
            stop,
            files,
        }
    }

    /// What the loop does each second.
    async fn look(&mut self) -> Option<Arc<OwnCertificate>> {
        let next = self.job.run(self.broker.clock.now()).await.unwrap();
        if let Some(next) = &next {
            self.tls.show(own::certified(Arc::clone(next)));
        }
        next
    }

    /// The serial number of what Debian's `openssl` is shown and believes at this time, and what it says
    /// where it does not.
    async fn shown(&self, at: Timestamp, name: &str) -> Result<String, String> {
        let at = at.seconds().to_string();
        let mut child = tokio::process::Command::new("openssl")
            .args(["s_client", "-connect", &self.address.to_string()])
            .args([
                "-CAfile",
                "roots.pem",
                "-verify_return_error",
                "-x509_strict",
            ])
            .args([
                "-attime",
                &at,
                "-verify_hostname",
                name,
                "-purpose",
                "sslserver",
            ])
            .current_dir(self.files.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl is not installed: run tests/setup");
        // The end of the input ends the connection.
        child.stdin.take().unwrap().shutdown().await.unwrap();
        let output = within(child.wait_with_output()).await.unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        if !out.contains("Verify return code: 0 (ok)") {
            return Err(out + &String::from_utf8_lossy(&output.stderr));
        }
        std::fs::write(self.files.path().join("shown.pem"), out).unwrap();
        let read = tokio::process::Command::new("openssl")
            .args(["x509", "-in", "shown.pem", "-noout", "-serial"])
            .current_dir(self.files.path())
            .output();
        let read = within(read).await.unwrap();
        Ok(String::from_utf8(read.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn roots(broker: &Broker) -> String {
    let url = format!("{}/pki/roots.pem", broker.issuer);
    let answer = broker.client().http.get(url).send().await.unwrap();
    answer.text().await.unwrap()
}

/// Every server's certificate that the log has, by its serial number.
async fn logged(broker: &Broker) -> Vec<String> {
    let log = broker.log().await.into_iter();
    let serials = log.filter_map(|leaf| match leaf.event {
        Event::ServerCertified { serial, .. } => Some(format!("serial={serial}")),
        _ => None,
    });
    serials.collect()
}

#[tokio::test]
async fn it_is_renewed_at_half_of_its_life_under_the_same_root_and_each_one_is_in_the_log() {
    let mut own = Own::new().await;
    let start = own.broker.clock.now();
    let mut kept = Kept::open(own.address, trusting(&roots(&own.broker).await)).await;
    let first = own.shown(start, "writ.example").await.unwrap();
    let why = own.shown(start, "other.example").await.unwrap_err();
    assert!(why.contains("mismatch"), "{why}");
    assert_eq!(logged(&own.broker).await, [first.as_str()]);

    own.broker
        .pass(Duration::from_hours(12) - Duration::from_secs(1))
        .await;
    assert!(own.look().await.is_none());
    own.broker.pass(Duration::from_secs(1)).await;
    let next = own.look().await.unwrap();
    let now = own.broker.clock.now();
    assert_eq!(next.expires_at, now.plus(Duration::from_hours(24)));
    let second = own.shown(now, "writ.example").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(logged(&own.broker).await, [first, second]);
    assert_eq!(kept.asks().await, 200);
    assert!(own.look().await.is_none());
}

#[tokio::test]
async fn it_is_issued_anew_at_once_when_its_authority_is_withdrawn_and_outlives_none() {
    let mut own = Own::new().await;
    let verbs = Arc::clone(&own.broker.wired.broker);
    let (by, before) = (order(), verbs.minter.keys.load().authority().id);
    let next = verbs
        .prepare_key(Purpose::CaIntermediate, &by)
        .await
        .unwrap();
    for (id, state) in [
        (next.id.as_str(), KeyState::Active),
        (before.as_str(), KeyState::Withdrawn),
    ] {
        assert!(own.look().await.is_none(), "its authority is still trusted");
        let moved = verbs.move_key(id, state, Haste::AtOnce, &by);
        moved.await.unwrap();
    }
    let anew = own.look().await.unwrap();
    assert_eq!(anew.authority, next.id);
    let now = own.broker.clock.now();
    own.shown(now, "writ.example").await.unwrap();

    let ends = verbs.minter.keys.load().authority().ends;
    let ends = Timestamp::from_seconds(ends).unwrap();
    let left = ends.since(own.broker.clock.now());
    let early = left.saturating_sub(Duration::from_hours(2));
    own.broker.pass(early).await;
    let last = own.look().await.unwrap();
    assert_eq!(last.expires_at, ends);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown_and_is_tried_again() {
    let mut own = Own::new().await;
    let start = own.broker.clock.now();
    let first = own.shown(start, "writ.example").await.unwrap();
    own.broker.pass(Duration::from_hours(12)).await;
    own.broker.wired.broker.store.close().await;
    let now = own.broker.clock.now();
    assert!(own.job.run(now).await.is_err());
    assert_eq!(own.shown(now, "writ.example").await.unwrap(), first);
    // Not with every look: it writes to the ledger.
    let next = own.job.run(now.plus(Duration::from_secs(1))).await;
    assert!(next.unwrap().is_none());
    assert!(own.job.run(now.plus(Duration::from_mins(1))).await.is_err());
}

#[tokio::test]
async fn the_brokers_own_certificate_is_no_workloads_and_no_clients() {
    let own = Own::new().await;
    let mut job = OwnCertificates::new(
        Arc::clone(&own.broker.wired.broker),
        vec!["writ.example".parse().unwrap()],
    );
    let now = own.broker.clock.now();
    let made = job.run(now).await.unwrap().unwrap();
    let mut store = RootCertStore::empty();
    for (_, der) in own.broker.wired.broker.minter.keys.load().roots() {
        store.add(CertificateDer::from(der.to_vec())).unwrap();
    }
    let store = Arc::new(store);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), provider);
    let verifier = verifier.build().unwrap();
    let (leaf, below) = made.chain.split_first().unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds().unsigned_abs()));
    let refused = verifier.verify_client_cert(leaf, below, time).unwrap_err();
    assert!(refused.to_string().contains("xtended"), "{refused}");
    assert!(ParsedCertificate::try_from(leaf).is_ok());
    let shown = own.broker.wired.broker.workload(leaf).await.unwrap_err();
    assert_eq!(shown.code().as_str(), "client_invalid");
}

#[tokio::test]
async fn curl_believes_the_installed_server_by_its_root_also_after_its_authority_was_withdrawn() {
    let ground = Ground::with_scheme("https", "issued_for = [\"writ.example\"]").await;
    let host = ground.host;
    let text = ground.read("writ.toml");
    ground.write(
        "writ.toml",
        &text.replace("\"writ.example\"]", &format!("\"{host}\"]")),
    );
    let server = ground.start().await;
    // Fetched unverified, and compared with what the server says of its root.
    let fetch = format!(
        "curl -sk https://{host}:{PORT}/pki/roots.pem -o roots.pem && openssl x509 -in roots.pem -noout -fingerprint -sha256"
    );
    let output = tokio::process::Command::new("sh")
        .args(["-euc", &fetch])
        .current_dir(ground.dir())
        .output();
    let told = String::from_utf8(within(output).await.unwrap().stdout).unwrap();
    let fingerprint = told.trim().split_once('=').unwrap().1.to_owned();
    assert!(server.said().contains(&fingerprint), "{fingerprint}");

    assert_eq!(curl(&ground, "roots.pem").await, Ok(200));
    let mut kept = Kept::open((host, PORT).into(), trusting(&ground.read("roots.pem"))).await;
    let key = async |args: &[&str]| {
        let said = ground.operator(&[&["key"], args].concat(), "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    };
    let listed: serde_json::Value =
        serde_json::from_str(&key(&["list", "-o", "json"]).await).unwrap();
    let all = listed
        .as_array()
        .or_else(|| listed["keys"].as_array())
        .unwrap();
    let old = all
        .iter()
        .find(|k| k["purpose"] == "ca_intermediate")
        .unwrap();
    let old = old["id"].as_str().unwrap();
    let new: serde_json::Value =
        serde_json::from_str(&key(&["prepare", "ca_intermediate", "-o", "json"]).await).unwrap();
    key(&["activate", "--at-once", new["id"].as_str().unwrap()]).await;
    key(&["withdraw", old]).await;
    until(async || server.said().contains("own certificate was renewed")).await;
    assert_eq!(curl(&ground, "roots.pem").await, Ok(200));
    assert_eq!(kept.asks().await, 200);
    assert!(gauge(&ground, "writ_tls_certificate_stuck").await < 0.5);
    let said = server.stop().await;
    assert!(!said.contains("PRIVATE"), "{said}");
}
