//! Which path may be read, and who learns that there is nothing.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

async fn reader() -> Held {
    let held = Held::asking(DEPLOY, &[]).await;
    for path in [
        "ci/prod/db",
        "ci/prod",
        "ci/staging/db",
        "ci/production/db",
        "other",
    ] {
        held.broker.put_secret(path, "value-canary").await;
    }
    held
}

#[tokio::test]
async fn what_no_grant_covers_is_refused_alike_whether_it_exists_or_not() {
    let held = reader().await;
    let before = held.broker.recorded().await;
    for path in [
        "ci/prod",
        "ci/staging/db",
        "ci/production/db",
        "other",
        "nowhere/at/all",
        "ci/PROD/db",
        "ci/staging/none",
    ] {
        let answer = held.client.secret(path, &held.first, Some(&held.key)).await;
        answer.assert_refused(403, "secret_refused");
        assert_eq!(answer.field(), "path");
    }
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn only_who_may_read_a_path_learns_that_there_is_no_secret() {
    let held = reader().await;
    let before = held.broker.recorded().await;
    for path in ["ci/prod/none", "ci/prod/DB", "ci/prod/db/deeper"] {
        let answer = held.client.secret(path, &held.first, Some(&held.key)).await;
        answer.assert_refused(404, "not_found");
    }
    assert_eq!(held.broker.recorded().await, before);
}

/// Spellings of `ci/prod/db`, of its neighbours, and of nothing at all, as bytes of a request line.
#[tokio::test]
async fn a_path_has_one_spelling() {
    let held = reader().await;
    let before = held.broker.recorded().await;
    for path in [
        "ci/prod/../prod/db",
        "ci/prod/%2e%2e/staging/db",
        "ci/prod/..%2fstaging/db",
        "ci/prod/./db",
        "ci/prod//db",
        "ci%2fprod%2f..%2fstaging%2fdb",
        "ci/prod/db/",
        "/ci/prod/db",
        "ci/prod/db%00",
        "ci/prod/db%20",
        "ci/prod/d%C3%AB",
        "ci/prod/*",
        "ci/prod/db%0a",
        "ci/prod/...",
        "ci\\prod\\db",
    ] {
        let (status, body) = raw(&held, path).await;
        assert!((400..=404).contains(&status), "{path}: {status}");
        assert!(!body.contains("value-canary"), "{path}: {body}");
    }
    assert_eq!(held.broker.recorded().await, before);
    let long = format!("ci/prod/{}", "a/".repeat(16)) + "db";
    let (status, _) = raw(&held, &long).await;
    assert_eq!(status, 400);
}

/// A request whose path no client has tidied up, with a token and a proof for that very path.
async fn raw(held: &Held, path: &str) -> (u16, String) {
    let address = held.broker.issuer.trim_start_matches("http://");
    let token = held.first.text("access_token");
    let url = format!("{}/api/v1/secret/{path}", held.broker.issuer);
    let proof = held.client.proof(&held.key, "GET", &url, Some(token));
    let mut request = format!("GET /api/v1/secret/{path} HTTP/1.1\r\nhost: {address}\r\n");
    write!(
        request,
        "authorization: DPoP {token}\r\ndpop: {proof}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}
