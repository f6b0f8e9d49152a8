//! TLS as the world offers it: what is too old, too weak or no TLS at all gets no answer and takes nothing
//! from anybody else.

use std::process::{Output, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::peers::{TLS, certify};
use crate::support::process::{Ground, PORT, within};

const REQUEST: &str = "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\nConnection: close\r\n\r\n";

/// A handshake by `openssl s_client`, and one request behind it.
async fn asked(ground: &Ground, options: &[&str]) -> Output {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-CAfile",
            "ca.pem",
            "-verify_return_error",
        ])
        .args(["-connect", &format!("{}:{PORT}", ground.host)])
        .args(options)
        .current_dir(ground.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("openssl is not installed: run tests/setup");
    let mut stdin = child.stdin.take().unwrap();
    // After a failed handshake nobody reads.
    stdin.write_all(REQUEST.as_bytes()).await.ok();
    within(child.wait_with_output()).await.unwrap()
}

async fn assert_served(ground: &Ground, options: &[&str]) {
    let output = asked(ground, options).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("HTTP/1.1 200"), "{options:?}: {output:?}");
}

#[tokio::test]
async fn old_versions_and_weak_suites_are_refused_by_the_server_and_a_missing_name_is_not() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    for options in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        // No forward secrecy, no authentication, no encryption.
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"],
    ] {
        let output = asked(&ground, options).await;
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{options:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{options:?}: {output:?}");
        // The server's word, not a refusal of this machine's openssl to ask.
        assert!(complained.contains("SSL alert number"), "{complained}");
    }
    assert_served(&ground, &["-tls1_3", "-noservername"]).await;
    assert_served(&ground, &["-tls1_2", "-noservername"]).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_and_others_are_served() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    // A handshake that stays away, beside all others.
    let mut silent = TcpStream::connect((ground.host, PORT)).await.unwrap();
    silent.write_all(b"\x16\x03\x01").await.unwrap();
    let record = |kind: u8, length: u16, body: &[u8]| {
        let mut bytes = vec![kind, 3, 1];
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        bytes
    };
    for sent in [
        REQUEST.as_bytes().to_vec(),
        // A hello of SSL 2, a record longer than any, a hello that tells another length than it has.
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(),
        record(22, 0xffff, &[0; 64]),
        record(22, 8, b"\x01\xff\xff\xff\x03\x03\x00\x00"),
        // Data, and alerts, before there is a handshake.
        record(23, 4, b"data"),
        record(21, 2, b"\x01\x00").repeat(10_000),
        record(22, 0, b"").repeat(10_000),
        record(24, 3, b"\x01\x40\x00"),
    ] {
        let stream = TcpStream::connect((ground.host, PORT)).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let mut answer = Vec::new();
        let both = async { tokio::join!(to.write_all(&sent), from.read_to_end(&mut answer)) };
        let (_written, _read) = within(both).await;
        // An alert at most: a record of kind 21 and seven bytes.
        assert!(answer.len() <= 7, "{:?}: {answer:?}", &sent[..5]);
    }
    assert_served(&ground, &[]).await;
    let mut rest = Vec::new();
    within(silent.read_to_end(&mut rest)).await.ok();
    let said = server.stop().await;
    assert!(!said.contains("panicked"), "{said}");
}
