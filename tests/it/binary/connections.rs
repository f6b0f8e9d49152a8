//! A rude network: what is slow, idle or garbage is closed in its time, and others are served meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Ground, PORT, within};

async fn connect(ground: &Ground) -> TcpStream {
    TcpStream::connect((ground.host, PORT)).await.unwrap()
}

/// What comes until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    if within(stream.read_to_end(&mut bytes)).await.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn assert_served(ground: &Ground) {
    let url = format!("{}/oauth2/jwks", ground.issuer);
    // A connection of its own: one that was kept is closed when it has been idle as long as the others.
    let request = ground.client().http.get(url).header("connection", "close");
    let response = request.send();
    let response = tokio::time::timeout(Duration::from_secs(5), response).await;
    assert_eq!(response.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a59_slow_heads_and_idle_connections_are_closed_while_others_are_served() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut waiting = Vec::new();
    for n in 0..300 {
        let mut stream = connect(&ground).await;
        if n % 2 == 0 {
            stream
                .write_all(b"POST /oauth2/token HTTP/1.1\r\nHo")
                .await
                .unwrap();
        }
        waiting.push(stream);
    }
    assert_served(&ground).await;
    for stream in &mut waiting {
        let said = rest(stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    assert_served(&ground).await;
    server.stop().await;
}

#[tokio::test]
async fn a59_a_body_that_never_comes_is_given_up() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut stream = connect(&ground).await;
    let head = "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_served(&ground).await;
    let said = rest(&mut stream).await;
    assert!(!said.contains("200 OK"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a58_what_two_readers_could_read_differently_is_refused_and_the_connection_closed() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let smuggled = "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\n\r\n";
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X-Folded: a\r\n b\r\nContent-Length: 0\r\n",
    ] {
        let mut stream = connect(&ground).await;
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\n{headers}\r\n0\r\n\r\n{smuggled}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(
            !said.contains("200 OK"),
            "{headers:?} was read two ways: {said}"
        );
        assert!(said.matches("HTTP/1.1").count() <= 1, "{headers:?}: {said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a58_a_head_of_a_megabyte_is_refused() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut stream = connect(&ground).await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: writ\r\nX-Long: {}",
        "a".repeat(1 << 20)
    );
    // The server may close before it has read all.
    if stream.write_all(head.as_bytes()).await.is_ok() {
        let said = rest(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 431"),
            "{said}"
        );
    }
    assert_served(&ground).await;
    server.stop().await;
}

#[tokio::test]
async fn garbage_on_the_port_ends_its_own_connection_and_nothing_else() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let clients = (0..400_u32).map(|n| {
        let address = (ground.host, PORT);
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The server closes at the first byte that it cannot read.
            if stream.write_all(&garbage(n)).await.is_ok() && stream.shutdown().await.is_ok() {
                rest(&mut stream).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        within(client).await.unwrap();
    }
    assert_served(&ground).await;
    let said = server.stop().await;
    assert!(!said.contains("panicked"), "{said}");
}

/// Bytes that are no request: noise, a start of HTTP/2 with broken frames, a TLS hello, a bad request line.
fn garbage(n: u32) -> Vec<u8> {
    let start: &[u8] = match n % 5 {
        0 => b"",
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        2 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        3 => b"GET /\0 HTTP/1.1\r\n",
        _ => b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n",
    };
    let mut state = n.wrapping_mul(2_654_435_761) | 1;
    let noise = (0..4096).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    });
    start.iter().copied().chain(noise).collect()
}
