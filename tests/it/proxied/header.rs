//! The header of the PROXY protocol.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use writ::surface::http::proxies::Tell;
use writ::surface::http::serve::Limits;

use super::{ANYBODY, Behind, PROXY};
use crate::support::process::within;

const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n";
const HELLO: &[u8] = b"GET /oauth2/jwks HTTP/1.1\r\nhost: writ\r\nconnection: close\r\n\r\n";

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    [&signature[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [198, 51, 100, 9, 10, 0, 0, 1, 1, 2, 3, 4];

#[tokio::test]
async fn a_refusal_is_recorded_with_whom_the_listed_proxy_spoke_for() {
    let behind = Behind::new(Tell::ProxyProtocol, Limits::default()).await;
    behind.revoke().await;
    assert_eq!(behind.refused(PROXY, &[LINE]).await, "203.0.113.7");
    // In more than one packet.
    let pieces: Vec<_> = LINE.chunks(1).collect();
    assert_eq!(behind.refused(PROXY, &pieces).await, "203.0.113.7");
    let v2 = binary(0x21, 0x11, &[&V4[..], &[4, 0, 1, 0]].concat());
    assert_eq!(behind.refused(PROXY, &[&v2]).await, "198.51.100.9");
    let pieces: Vec<_> = v2.chunks(5).collect();
    assert_eq!(behind.refused(PROXY, &pieces).await, "198.51.100.9");
    let mapped = [&[0; 10][..], &[0xff, 0xff, 198, 51, 100, 9], &[0; 20]].concat();
    let mapped = binary(0x21, 0x21, &mapped);
    assert_eq!(behind.refused(PROXY, &[&mapped]).await, "198.51.100.9");
    // A proxy that speaks for itself is whom the socket knows.
    let local = binary(0x20, 0x11, &V4);
    assert_eq!(behind.refused(PROXY, &[&local]).await, PROXY.to_string());
    assert_eq!(
        behind.refused(PROXY, &[b"PROXY UNKNOWN\r\n"]).await,
        PROXY.to_string()
    );
    // Nobody else has to say anything.
    assert_eq!(behind.refused(ANYBODY, &[]).await, ANYBODY.to_string());
}

#[tokio::test]
async fn a_header_from_anyone_else_is_garbage_and_nobody_is_believed() {
    let behind = Behind::new(Tell::ProxyProtocol, Limits::default()).await;
    behind.revoke().await;
    let before = behind.recorded().await;
    let v2 = binary(0x21, 0x11, &V4);
    for header in [LINE, &v2] {
        let renewal = behind.renewal("");
        let answer = behind.answers(ANYBODY, &[header, &renewal]).await;
        assert!(!answer.contains("task_revoked"), "{answer}");
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    // A second header is no header.
    let twice = behind.answers(PROXY, &[LINE, LINE, HELLO]).await;
    assert!(
        twice.is_empty() || twice.starts_with("HTTP/1.1 400"),
        "{twice}"
    );
    assert_eq!(behind.recorded().await, before);
    let forwarded =
        behind.renewal("x-forwarded-for: 203.0.113.7\r\nforwarded: for=203.0.113.7\r\n");
    let answer = behind.answers(ANYBODY, &[&forwarded]).await;
    assert_eq!(
        behind.told(before.len(), &answer).await,
        ANYBODY.to_string()
    );
}

#[tokio::test]
async fn whoever_must_introduce_itself_and_does_not_is_closed() {
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let behind = Behind::new(Tell::ProxyProtocol, limits).await;
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 2000]].concat();
    for sent in [
        HELLO,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0\0\0\0",
        &long,
        b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\n",
        &binary(0x21, 0x11, &V4[..11]),
        &binary(0x21, 0x7f, &V4),
        &binary(0x2f, 0x11, &V4),
        &binary(0x21, 0x11, &[&V4[..], &[4, 9, 9]].concat()),
        &binary(0x21, 0x11, &[0; 5000]),
        // Too little, and then nothing.
        b"PROXY TCP4 203.0.1",
        &binary(0x21, 0x11, &V4)[..20],
        b"",
    ] {
        assert_eq!(behind.answers(PROXY, &[sent]).await, "", "{sent:?}");
    }
    // A byte now and then is no way to stay.
    let mut slow = behind.connect(PROXY).await;
    let stuffing = async {
        loop {
            if slow.write_all(b"P").await.is_err() || slow.read_u8().await.is_err() {
                break;
            }
        }
    };
    within(stuffing).await;
    let answer = behind.answers(PROXY, &[LINE, HELLO]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = behind.answers(ANYBODY, &[HELLO]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_address_decides_nothing() {
    let behind = Behind::new(Tell::ProxyProtocol, Limits::default()).await;
    for header in [LINE, &binary(0x21, 0x11, &V4), &binary(0x20, 0, &[])] {
        let renewal = behind.renewal("");
        let answer = behind.answers(PROXY, &[header, &renewal]).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(behind.recorded().await, []);
}
