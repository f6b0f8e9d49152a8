//! `Forwarded` and `X-Forwarded-For`.

use std::time::Duration;

use writ::surface::http::proxies::Tell;
use writ::surface::http::serve::Limits;

use super::{ANYBODY, Behind, PROXY};

/// Whence a refusal is said to have come, asked by the proxy with these headers.
async fn told(behind: &Behind, headers: &str) -> String {
    behind.held.broker.pass(Duration::from_secs(61)).await;
    let before = behind.recorded().await.len();
    let answer = behind.answers(PROXY, &[&behind.renewal(headers)]).await;
    behind.told(before, &answer).await
}

#[tokio::test]
async fn the_nearest_address_that_is_no_proxy_is_the_clients() {
    let behind = Behind::new(Tell::XForwardedFor, Limits::default()).await;
    behind.revoke().await;
    for (headers, client) in [
        ("x-forwarded-for: 203.0.113.7\r\n", "203.0.113.7"),
        (
            "x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 203.0.113.7, 127.0.9.7\r\n",
            "203.0.113.7",
        ),
        ("x-forwarded-for: 203.0.113.7, unknown\r\n", "127.0.9.1"),
        (
            "forwarded: for=203.0.113.7\r\nx-real-ip: 203.0.113.7\r\n",
            "127.0.9.1",
        ),
        ("", "127.0.9.1"),
    ] {
        assert_eq!(told(&behind, headers).await, client, "{headers}");
    }
    // There a PROXY header is a request that nobody understands, also from a listed proxy.
    let garbage = b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n";
    let answer = behind.answers(PROXY, &[garbage, &behind.renewal("")]).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn the_standard_header_says_the_same_and_is_not_read_from_anybody() {
    let behind = Behind::new(Tell::Forwarded, Limits::default()).await;
    behind.revoke().await;
    for (headers, client) in [
        (
            "forwarded: for=1.2.3.4, for=\"[2001:db8::7]:4711\";proto=https\r\n",
            "2001:db8::7",
        ),
        (
            "forwarded: for=1.2.3.4;host=\"a, for=9.9.9.9\", for=203.0.113.7\r\n",
            "203.0.113.7",
        ),
        ("forwarded: for=203.0.113.7, for=_hidden\r\n", "127.0.9.1"),
        ("x-forwarded-for: 203.0.113.7\r\n", "127.0.9.1"),
    ] {
        assert_eq!(told(&behind, headers).await, client, "{headers}");
    }
    behind.held.broker.pass(Duration::from_secs(61)).await;
    let before = behind.recorded().await.len();
    let forged = behind.renewal("forwarded: for=203.0.113.7\r\n");
    let answer = behind.answers(ANYBODY, &[&forged]).await;
    assert_eq!(behind.told(before, &answer).await, ANYBODY.to_string());
}
