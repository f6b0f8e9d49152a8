//! Requests as they should not be, in these very bytes, sent to a gateway: what comes through to the service has
//! to be what was judged.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Held, SUPPORT_UNBOUND};
use crate::support::process::within;

/// What a path can be made of, so that somebody reads it otherwise than somebody else.
const PIECES: [&str; 16] = [
    "/", "/./", "/../", "..", "x", "/x", "%2e", "%2E%2e", "%2f", "%2F..%2F", "%252f", "%5c",
    "\\..\\", "..;/", "?/../", "%00",
];

/// Sends these bytes, and gives the status and the body of what comes back. It does not wait for the end of the
/// connection: Envoy leaves one that it is about to close open for a second.
pub(super) async fn raw(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut bytes = [0; 4096];
    while whole(&answer).is_none() {
        // A gateway may cut a connection that it gave up on.
        match within(stream.read(&mut bytes)).await {
            Ok(read @ 1..) => answer.push_str(&String::from_utf8_lossy(&bytes[..read])),
            Ok(0) | Err(_) => break,
        }
    }
    whole(&answer).unwrap_or_default()
}

/// The status and the body, if that is all there.
fn whole(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then(|| (status, body.to_owned()))
}

pub(super) fn get(target: &str, token: &str, host: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\n{more}Connection: close\r\n\r\n"
    )
}

/// An agent whose mistakes end nothing, and its token, which is bound to no key.
pub(super) async fn bearer() -> (Held, String) {
    let held = Held::under(SUPPORT_UNBOUND).await;
    held.broker
        .desk()
        .open("4712", "AC-9", Some("a-8"))
        .unwrap();
    let other = held.broker.ask("a-8", "desk/case/4712", None).await;
    other.assert_issued();
    let token = other.text("access_token").to_owned();
    (held, token)
}

/// Every path of two pieces below what is granted: whichever comes through is served as it was judged.
pub(super) async fn assert_served_as_judged(front: SocketAddr, token: &str) {
    let (mut served, mut stopped) = (0, 0);
    for first in PIECES {
        for second in PIECES {
            let target = format!("/accounts/AC-9/{first}{second}");
            let request = get(&target, token, "Host: billing.example\r\n", "");
            let (status, body) = raw(front, &request).await;
            if status != 200 {
                assert!((400..500).contains(&status), "{target}: {status} {body}");
                stopped += 1;
                continue;
            }
            let told: Value = serde_json::from_str(&body).unwrap();
            let path = told["path"].as_str().unwrap();
            assert!(path.starts_with("/accounts/AC-9/"), "{target}: {path}");
            let up = path.split('/').any(|segment| matches!(segment, "." | ".."));
            let twofold = ["//", "%2", "%5", "%0", ";", "\\", "#"];
            let twofold = twofold.iter().any(|two| path.contains(two));
            assert!(!up && !twofold, "{target}: {path}");
            served += 1;
        }
    }
    assert!(
        served > 20 && stopped > 100,
        "{served} served, {stopped} stopped"
    );
}
