//! What a listener does to those who do nothing, too much, or something else than they should.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension,
    body::{Body, Bytes},
    routing::{get, post},
};
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

use super::*;
use crate::surface::{
    http::peer::Peer,
    socket::{self, Access},
};

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[derive(Default)]
struct Probe {
    calls: AtomicUsize,
    entered: Notify,
    gate: Notify,
}

struct Server {
    addr: SocketAddr,
    probe: Arc<Probe>,
    stop: CancellationToken,
    task: JoinHandle<Drained>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (probe, stop) = (Arc::new(Probe::default()), CancellationToken::new());
        let router = router(&probe);
        let task = tokio::spawn(serve(Listener::Tcp(listener), router, limits, stop.clone()));
        Self {
            addr,
            probe,
            stop,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    async fn ask(&self, request: impl Into<Vec<u8>>) -> String {
        exchange(self.connect().await, request.into()).await
    }

    fn calls(&self) -> usize {
        self.probe.calls.load(Ordering::SeqCst)
    }

    async fn end(self) -> Drained {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn router(probe: &Arc<Probe>) -> Router {
    let (counted, held) = (Arc::clone(probe), Arc::clone(probe));
    Router::new()
        .route(
            "/hello",
            get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }),
        )
        .route(
            "/count",
            post(move |body: Bytes| async move {
                counted.calls.fetch_add(1, Ordering::SeqCst);
                body.len().to_string()
            }),
        )
        .route(
            "/held",
            get(move || async move {
                held.entered.notify_one();
                held.gate.notified().await;
                "released"
            }),
        )
        .route("/panic", get(|| async { broken() }))
}

fn broken() -> &'static str {
    panic!("a handler with a fault")
}

async fn exchange<S: AsyncRead + AsyncWrite>(stream: S, request: Vec<u8>) -> String {
    let (mut from, mut to) = tokio::io::split(stream);
    let mut answer = Vec::new();
    // A server that refuses early may hang up while the request is still being written.
    let (_written, _read) = tokio::join!(to.write_all(&request), from.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn post_to_count(headers: &str, body: &str) -> String {
    format!("POST /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn a59_whoever_sends_no_head_in_time_is_closed_and_delays_nobody() {
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let mut waiting = Vec::new();
    for sent in [
        "",
        "GET /hello HT",
        "GET /hello HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    assert!(server.ask(HELLO).await.starts_with("HTTP/1.1 200"));
    for mut stream in waiting {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(server.end().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a71_a_body_over_the_cap_is_refused_whether_it_tells_its_length_or_not() {
    let server = Server::start(Limits {
        body_bytes: 8,
        ..Limits::default()
    })
    .await;
    let told = post_to_count("content-length: 9\r\n", "123456789");
    let untold = post_to_count(
        "transfer-encoding: chunked\r\n",
        "9\r\n123456789\r\n0\r\n\r\n",
    );
    for request in [told, untold] {
        assert!(server.ask(request).await.starts_with("HTTP/1.1 413"));
    }
    assert_eq!(server.calls(), 0);
    let whole = server
        .ask(post_to_count("content-length: 8\r\n", "12345678"))
        .await;
    assert!(
        whole.starts_with("HTTP/1.1 200") && whole.ends_with('8'),
        "{whole}"
    );
}

#[tokio::test]
async fn a_large_body_within_the_cap_meets_no_second_limit() {
    let limits = Limits {
        body_bytes: 4 * 1024 * 1024,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let body = "x".repeat(3 * 1024 * 1024);
    let headers = format!("content-length: {}\r\n", body.len());
    let answer = server.ask(post_to_count(&headers, &body)).await;
    assert!(answer.ends_with(&body.len().to_string()), "{answer}");
}

#[tokio::test]
async fn a58_a_head_of_two_mebibytes_is_refused() {
    let server = Server::start(Limits::default()).await;
    let headers = format!("x: {}\r\n", "y".repeat(2 * 1024 * 1024));
    assert!(
        server
            .ask(post_to_count(&headers, ""))
            .await
            .starts_with("HTTP/1.1 431")
    );
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a62_an_encoded_body_is_refused_unread() {
    let server = Server::start(Limits::default()).await;
    for coding in ["gzip", "identity, gzip", "zstd"] {
        let headers = format!("content-encoding: {coding}\r\ncontent-length: 2\r\n");
        let answer = server.ask(post_to_count(&headers, "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    }
    assert_eq!(server.calls(), 0);
    let plain = post_to_count("content-encoding: Identity\r\ncontent-length: 2\r\n", "{}");
    assert!(server.ask(plain).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a58_a_message_with_two_lengths_is_refused() {
    let server = Server::start(Limits::default()).await;
    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: 2\r\nx: a\r\n folded\r\n",
    ] {
        let answer = server.ask(post_to_count(headers, "{}x")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a58_nothing_is_read_behind_a_body_whose_end_is_disputed() {
    let server = Server::start(Limits::default()).await;
    let inner = "POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let before = server.calls();
        let request = format!("POST /count HTTP/1.1\r\nhost: x\r\n{framing}\r\n0\r\n\r\n{inner}");
        let answer = server.ask(request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(server.calls(), before + 1);
    }
    let unended = post_to_count("transfer-encoding: gzip\r\n", "{}");
    assert!(server.ask(unended).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let server = Server::start(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let mut first = server.connect().await;
    let open = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    first.write_all(open.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(server.ask(HELLO).await, "");
    drop(first);
    // The place is free again as soon as the server has seen the first one go.
    while server.ask(HELLO).await.is_empty() {}
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let server = Server::start(Limits::default()).await;
    let held = HELLO.replace("hello", "held");
    let asking = tokio::spawn(exchange(server.connect().await, held.into_bytes()));
    server.probe.entered.notified().await;
    server.stop.cancel();
    while TcpStream::connect(server.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.probe.gate.notify_one();
    assert!(asking.await.unwrap().ends_with("released"));
    assert_eq!(server.end().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let held = HELLO.replace("hello", "held");
    let asking = tokio::spawn(exchange(server.connect().await, held.into_bytes()));
    server.probe.entered.notified().await;
    assert_eq!(server.end().await, Drained { cut: 1 });
    assert_eq!(asking.await.unwrap(), "");
}

#[tokio::test]
async fn a78_a_panic_is_an_error_of_one_request() {
    let server = Server::start(Limits::default()).await;
    let answer = server.ask(HELLO.replace("hello", "panic")).await;
    assert!(
        answer.starts_with("HTTP/1.1 500") && !answer.contains("fault"),
        "{answer}"
    );
    assert!(server.ask(HELLO).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a59_a_slow_body_and_a_slow_handler_end_with_different_codes() {
    let limits = Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let answer = server
        .ask(post_to_count("content-length: 9\r\n", "1234"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.calls(), 0);
    let answer = server.ask(HELLO.replace("hello", "held")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_ended() {
    let limits = Limits {
        idle: Duration::from_millis(100),
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/hello", server.addr);
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    connection.await.unwrap().unwrap();
    assert!(sender.is_closed());
}

#[tokio::test]
async fn a_streamed_answer_is_not_idleness() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let stream = move || async move {
        let frames = futures_util::stream::once(async move {
            opened.acquire().await.map(|_| Bytes::from_static(b"late"))
        });
        Body::from_stream(frames)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tick = Duration::from_millis(20);
    let limits = Limits {
        idle: tick,
        head: tick,
        ..Limits::default()
    };
    let stop = CancellationToken::new();
    let router = Router::new().route("/hello", get(stream));
    let task = tokio::spawn(serve(Listener::Tcp(listener), router, limits, stop.clone()));
    let asking = tokio::spawn(exchange(
        TcpStream::connect(addr).await.unwrap(),
        HELLO.into(),
    ));
    for _ in 0..5 {
        // Each silent connection is closed after a tick, so the stream has been quiet for five.
        let mut silent = TcpStream::connect(addr).await.unwrap();
        silent.read_to_end(&mut Vec::new()).await.unwrap();
    }
    gate.add_permits(1);
    assert!(asking.await.unwrap().contains("late"));
    stop.cancel();
    assert_eq!(task.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_local_caller_is_known_by_its_user() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = dir.path().join("admin.sock");
    let bound = socket::bind(&path, Access::Owner).unwrap();
    let (probe, stop) = (Arc::new(Probe::default()), CancellationToken::new());
    let served = serve(
        Listener::Unix(bound),
        router(&probe),
        Limits::default(),
        stop.clone(),
    );
    let task = tokio::spawn(served);
    let answer = exchange(UnixStream::connect(&path).await.unwrap(), HELLO.into()).await;
    let uid = rustix::process::geteuid().as_raw();
    assert!(answer.contains(&format!("uid: {uid},")), "{answer}");
    stop.cancel();
    assert_eq!(task.await.unwrap(), Drained { cut: 0 });
    assert!(!path.exists());
}
