//! What stands on the wire, byte by byte: heads, bodies, paths and frames that two readers could read
//! differently, or that cost the reader more than their sender.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Ground, PORT, within};

/// A request that must not be found inside another one.
const SMUGGLED: &str = "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\n\r\n";

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Sends all of it and gives everything that comes until the server closes.
async fn ask(ground: &Ground, sent: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect((ground.host, PORT)).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut answer = Vec::new();
    // A server that refuses early may hang up while the rest is still being written.
    let both = async { tokio::join!(to.write_all(sent), from.read_to_end(&mut answer)) };
    let (_written, _read) = within(both).await;
    answer
}

async fn said(ground: &Ground, sent: &str) -> String {
    String::from_utf8_lossy(&ask(ground, sent.as_bytes()).await).into_owned()
}

#[tokio::test]
async fn a58_a_head_with_two_readings_is_a_bad_request_and_the_last_of_its_connection() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    for head in [
        "GET /oauth2/jwks HTTP/1.1\r\n",
        "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\nHost: other\r\n",
        "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\nX: a\rContent-Length: 45\r\n",
        "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\nX: a\0b\r\n",
        "GET /oauth2/jwks HTTP/1.2\r\nHost: writ\r\n",
        "POST /oauth2/token HTTP/1.0\r\nHost: writ\r\nTransfer-Encoding: chunked\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length: 0, 0\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length: 0x0\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length: -1\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length:\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length: 99999999999999999999\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length : 0\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\n\
         Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\nContent-Length: 0\r\n\
         Content-Type: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "POST /oauth2/introspect HTTP/1.1\r\nHost: writ\r\nContent-Length: 0\r\n\
         Authorization: Basic Yjpi\r\nAuthorization: Basic YTph\r\n",
    ] {
        let said = said(&ground, &format!("{head}\r\n{SMUGGLED}")).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{head:?}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{head:?}: {said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a58_a_chunk_with_two_readings_is_a_bad_request_that_tells_nothing() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    for body in [
        "4\nabcd\r\n0\r\n\r\n",
        "4;a\nb\r\nabcd\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n",
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "4\r\nabcdefgh\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
    ] {
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: writ\r\n{FORM}Transfer-Encoding: chunked\r\n"
        );
        let said = said(&ground, &format!("{head}\r\n{body}{SMUGGLED}")).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{body:?}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{body:?}: {said}");
        assert!(
            said.ends_with(r#"{"type":"about:blank","title":"Bad Request","status":400}"#),
            "{body:?}: {said}"
        );
    }
    server.stop().await;
}

/// RFC 9112 §2.2 lets a line end with a lone LF. What stands behind it is then a header like any other, for
/// each reader that takes it, and a reader that does not has to refuse it.
#[tokio::test]
async fn a58_a_lone_line_feed_ends_a_line_and_hides_nothing() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let length = SMUGGLED.len();
    let sent = format!(
        "GET /oauth2/jwks HTTP/1.1\r\nHost: writ\r\nX: a\nContent-Length: {length}\r\n\r\n{SMUGGLED}\
         GET /nowhere HTTP/1.1\r\nHost: writ\r\nConnection: close\r\n\r\n"
    );
    let said = said(&ground, &sent).await;
    let answers: Vec<_> = said
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(answers, ["200", "404"], "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a58_a_path_has_one_spelling_and_every_other_is_not_found() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    for path in [
        "//oauth2/jwks",
        "/oauth2//jwks",
        "/oauth2/./jwks",
        "/x/../oauth2/jwks",
        "/oauth2/%6awks",
        "/oauth2%2fjwks",
        "/oauth2/jwks/",
        "/OAUTH2/jwks",
        "/oauth2/jwks%00",
        "/oauth2/jwks;a=b",
        "/oauth2/jwks%20",
        "/..%2f..%2fetc/passwd",
    ] {
        let sent = format!("GET {path} HTTP/1.1\r\nHost: writ\r\nConnection: close\r\n\r\n");
        let said = said(&ground, &sent).await;
        assert!(said.starts_with("HTTP/1.1 404"), "{path}: {said}");
        assert!(said.contains("application/problem+json"), "{path}: {said}");
    }
    for line in [
        "TRACE /oauth2/jwks",
        "DELETE /oauth2/jwks",
        "FOO /oauth2/jwks",
    ] {
        let sent = format!("{line} HTTP/1.1\r\nHost: writ\r\nConnection: close\r\n\r\n");
        let said = said(&ground, &sent).await;
        assert!(said.starts_with("HTTP/1.1 405"), "{line}: {said}");
        assert!(
            said.to_lowercase().contains("\r\nallow: "),
            "{line}: {said}"
        );
        assert!(said.contains("application/problem+json"), "{line}: {said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a59_streams_that_are_opened_to_be_reset_end_their_connection() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut sent = hello();
    for stream in (1..4000).step_by(2) {
        sent.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &request()));
        sent.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let frames = frames(&ask(&ground, &sent).await);
    let (_, goaway) = frames.iter().find(|(kind, _)| *kind == GOAWAY).unwrap();
    assert_eq!(goaway.get(4..8), Some(&ENHANCE_YOUR_CALM.to_be_bytes()[..]));
    let mut next = hello();
    next.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &request()));
    assert_eq!(status(&ground, next).await, Some(STATUS_200));
    server.stop().await;
}

#[tokio::test]
async fn a59_a_head_that_never_ends_ends_its_connection() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut sent = hello();
    sent.extend(frame(HEADERS, END_STREAM, 1, &request()));
    // A literal that is not kept, again and again: `x: yyy…`.
    let more = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat().repeat(150);
    for _ in 0..500 {
        sent.extend(frame(CONTINUATION, 0, 1, &more));
    }
    let frames = frames(&ask(&ground, &sent).await);
    let answered = frames.iter().any(|(kind, _)| *kind == HEADERS);
    assert!(!answered, "a head of eight megabytes was answered");
    server.stop().await;
}

/// Ten kilobytes that mean thirty megabytes: one long header, kept once and named ten thousand times.
#[tokio::test]
async fn a58_a_head_that_unpacks_to_megabytes_is_refused() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let mut bomb = request();
    // RFC 7541 §5.1: a length of 3,000 with a prefix of seven bits.
    bomb.extend([0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
    bomb.extend([b'y'; 3000]);
    bomb.extend([FIRST_KEPT; 10_000]);
    let mut sent = hello();
    sent.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    assert_ne!(status(&ground, sent).await, Some(STATUS_200));
    let mut plain = hello();
    plain.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &request()));
    assert_eq!(status(&ground, plain).await, Some(STATUS_200));
    server.stop().await;
}

/// The first byte of the answer's header block; the client has nothing more to say.
async fn status(ground: &Ground, mut sent: Vec<u8>) -> Option<u8> {
    // An orderly end, which the server answers with its own once it has answered the request.
    sent.extend(frame(GOAWAY, 0, 0, &[0; 8]));
    let frames = frames(&ask(ground, &sent).await);
    let headers = frames.into_iter().find(|(kind, _)| *kind == HEADERS);
    headers.and_then(|(_, block)| block.first().copied())
}

/// The client's preface and empty settings (RFC 9113 §3.4).
fn hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// `GET http://writ/oauth2/jwks`, in a form that keeps nothing for later (RFC 7541 §6.2.2).
fn request() -> Vec<u8> {
    let (path, authority) = (b"/oauth2/jwks", b"writ");
    let mut block = vec![0x82, 0x86, 0x04, 12];
    block.extend(path);
    block.extend([0x01, 4]);
    block.extend(authority);
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The kinds and payloads of the frames that came whole.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some(payload) = rest.get(..length) else {
            break;
        };
        found.push((*kind, payload.to_vec()));
        bytes = &rest[length..];
    }
    found
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:status: 200` of the static table.
const STATUS_200: u8 = 0x88;

/// The newest header that is kept: number 62, the first behind the static table.
const FIRST_KEPT: u8 = 0xbe;
