//! A certificate from files, which somebody else renews.

use super::{Kept, curl, gauge, trusting};
use crate::peers::{TLS, certify};
use crate::support::process::{Ground, PORT, until};

const STUCK: &str = "writ_tls_certificate_stuck";

/// Another pair by another authority, in the place of the first.
fn recertify(ground: &Ground, old: &str) {
    let dir = ground.dir();
    std::fs::rename(dir.join("ca.pem"), dir.join(old)).unwrap();
    std::fs::remove_file(dir.join("tls.key")).unwrap();
    certify(ground);
}

#[tokio::test]
async fn files_that_change_are_read_again_by_themselves_and_no_connection_ends() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    let first = trusting(&ground.read("ca.pem"));
    let mut kept = Kept::open((ground.host, PORT).into(), first).await;
    assert_eq!(kept.asks().await, 200);
    assert_eq!(curl(&ground, "ca.pem").await, Ok(200));
    let ends = gauge(&ground, "writ_tls_certificate_expires_timestamp_seconds").await;
    assert!(ends > 1_700_000_000.0, "{ends}");

    recertify(&ground, "old.pem");
    until(async || curl(&ground, "ca.pem").await == Ok(200)).await;
    let why = curl(&ground, "old.pem").await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(kept.asks().await, 200);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_old_certificate_in_use_and_is_told() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    assert!(gauge(&ground, STUCK).await.abs() < f64::EPSILON);
    let (chain, key) = (ground.read("tls.pem"), ground.read("tls.key"));
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (name, broken) in [
        ("tls.pem", "no certificate"),
        ("tls.pem", ""),
        ("tls.key", other.as_str()),
        ("tls.key", &chain),
    ] {
        ground.write(name, broken);
        until(async || gauge(&ground, STUCK).await > 0.5).await;
        assert_eq!(curl(&ground, "ca.pem").await, Ok(200));
        ground.write("tls.pem", &chain);
        ground.write("tls.key", &key);
        until(async || gauge(&ground, STUCK).await < 0.5).await;
    }
    std::fs::remove_file(ground.dir().join("tls.key")).unwrap();
    until(async || gauge(&ground, STUCK).await > 0.5).await;
    assert_eq!(curl(&ground, "ca.pem").await, Ok(200));
    let said = server.stop().await;
    assert!(said.contains("the certificate stays as it was"), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");
}
