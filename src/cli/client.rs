//! One request of an operator, to the admin socket or to a broker elsewhere: a connection, a deadline, a bounded
//! answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, Either};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time;
use zeroize::Zeroizing;

use super::CliError;
use super::error::Refused;
use super::remote::{Remote, Wire};
use crate::domain::secret::Secret;
use crate::seams::{Entropy as _, SystemEntropy};

/// The way to a running broker.
#[derive(Debug)]
pub(super) enum Admin {
    Socket(PathBuf),
    Remote(Remote),
}

/// A call of the API.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    /// What the body is.
    kind: &'static str,
    body: Bytes,
    /// By what the broker knows the order when it comes again.
    key: Option<String>,
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    pub(super) fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            kind: "application/json",
            ..Self::new(Method::POST, path, Bytes::from(body.to_string()))
        }
    }

    pub(super) fn post_bytes(path: impl Into<String>, body: Bytes) -> Self {
        Self::new(Method::POST, path, body)
    }

    pub(super) fn put(path: impl Into<String>, body: Bytes) -> Self {
        Self::new(Method::PUT, path, body)
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Bytes::new())
    }

    fn new(method: Method, path: impl Into<String>, body: Bytes) -> Self {
        Self {
            method,
            path: path.into(),
            kind: "application/octet-stream",
            body,
            key: None,
        }
    }

    /// An order that is carried out once, however often it is sent.
    pub(super) fn once(self) -> Self {
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random);
        let key = Some(hex::encode(random));
        Self { key, ..self }
    }

    fn request(self, host: &str, token: Option<&Secret>) -> Result<Request<Full<Bytes>>, CliError> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::HOST, host);
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.kind);
        }
        if let Some(key) = &self.key {
            request = request.header("Idempotency-Key", format!("\"{key}\""));
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, bearer(token)?);
        }
        request
            .body(Full::new(self.body))
            .map_err(|error| CliError::Usage(format!("it cannot be asked for: {error}")))
    }
}

impl Admin {
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self::Socket(socket)
    }

    pub(super) const fn at(remote: Remote) -> Self {
        Self::Remote(remote)
    }

    /// Asks, and takes the whole answer. An order that is carried out once is sent again where its answer
    /// was lost.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, CliError> {
        let again = call.key.is_some().then(|| call.clone());
        match (self.ask_once(call).await, again) {
            (Err(CliError::Broken(_)), Some(again)) => self.ask_once(again).await,
            (answer, _) => answer,
        }
    }

    async fn ask_once(&self, call: Call) -> Result<Answer, CliError> {
        let asked = self.exchange(call, async |response: Response<Incoming>| {
            whole(response.into_body()).await
        });
        let body = time::timeout(PATIENCE, asked).await.map_err(late)??;
        Ok(Answer { body })
    }

    /// Asks, and hands the answer on in pieces as they come, however many they are. Nothing is called
    /// whole that broke off.
    pub(super) async fn stream(
        &self,
        call: Call,
        mut take: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        self.exchange(call, async |response: Response<Incoming>| {
            let mut body = response.into_body();
            while let Some(frame) = time::timeout(PATIENCE, body.frame()).await.map_err(late)? {
                if let Ok(bytes) = frame.map_err(|e| broken(&e))?.into_data() {
                    take(&bytes)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Connects, sends, and lets `read` take a successful answer. The connection is driven beside it
    /// and ends with it.
    async fn exchange<T>(
        &self,
        call: Call,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let (wire, request): (Box<dyn Wire>, _) = match self {
            Self::Socket(socket) => {
                let request = call.request("localhost", None)?;
                let stream = UnixStream::connect(socket).await;
                let stream = stream.map_err(|source| unreachable(socket, source))?;
                (Box::new(stream), request)
            }
            Self::Remote(remote) => {
                let opened = remote.open().await?;
                let request = call.request(&opened.host, opened.token.as_ref())?;
                (opened.wire, request)
            }
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(wire))
            .await
            .map_err(|e| broken(&e))?;
        let talk = async move {
            let sent = time::timeout(PATIENCE, sender.send_request(request));
            let response = sent.await.map_err(late)?.map_err(|e| broken(&e))?;
            if response.status().is_success() {
                return read(response).await;
            }
            Err(CliError::Refused(Box::new(refusal(response).await?)))
        };
        match future::select(Box::pin(talk), Box::pin(connection)).await {
            Either::Left((done, _)) => done,
            // The server may close right behind its answer: what it sent is still there to be read.
            Either::Right((_, talk)) => talk.await,
        }
    }
}

fn unreachable(socket: &Path, source: io::Error) -> CliError {
    let hint = if source.kind() == io::ErrorKind::NotFound {
        "there is no such socket; start the broker, name its socket with --socket, or a broker elsewhere with --server"
    } else if source.kind() == io::ErrorKind::ConnectionRefused {
        "nobody listens there; start the broker"
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        "this user may not open it; run as root or as the broker's user, or log in with `writ login`"
    } else {
        "check the path that --socket or WRIT_ADMIN_SOCKET names"
    };
    CliError::Unreachable {
        socket: socket.to_owned(),
        hint,
        source,
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, CliError> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_str().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| CliError::Login("the login cannot be sent: log in again".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            CliError::Broken(format!(
                "its answer is of another version than this command ({error}); -o json shows it"
            ))
        })
    }
}

/// One segment of a path: everything that is not unreserved (RFC 3986 §2.3) is encoded, slashes too.
pub(super) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

async fn whole(body: Incoming) -> Result<Bytes, CliError> {
    let limited = Limited::new(body, LARGEST_ANSWER).collect().await;
    let collected = limited.map_err(|error| CliError::Broken(error.to_string()))?;
    Ok(collected.to_bytes())
}

async fn refusal(response: Response<Incoming>) -> Result<Refused, CliError> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    let body = whole(response.into_body()).await?;
    Ok(Refused {
        retry_after,
        ..problem(status, &body)
    })
}

/// The problem document, or what is known without one.
fn problem(status: StatusCode, body: &[u8]) -> Refused {
    serde_json::from_slice(body).unwrap_or_else(|_| Refused {
        status: status.as_u16(),
        title: status.canonical_reason().map(str::to_owned),
        detail: None,
        code: None,
        field: None,
        denial_id: None,
        retry_after: None,
    })
}

fn broken(error: &hyper::Error) -> CliError {
    CliError::Broken(error.to_string())
}

fn late(_: time::error::Elapsed) -> CliError {
    CliError::Broken(format!("nothing came for {} s", PATIENCE.as_secs()))
}

/// Longer than the broker gives a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// A revocation names every credential under a task; there may be many.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// Answers one request with `answer` and closes.
    async fn answered(answer: &str, call: Call) -> (String, Result<Answer, CliError>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let n = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            String::from_utf8_lossy(&head[..n]).into_owned()
        };
        let admin = Admin::new(socket);
        tokio::join!(serve, admin.ask(call))
    }

    #[tokio::test]
    async fn an_answer_is_read_though_the_server_closes_behind_it() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        let (asked, answer) = answered(answer, Call::get("/api/v1/tasks")).await;
        assert!(asked.starts_with("GET /api/v1/tasks HTTP/1.1\r\n"));
        assert_eq!(answer.unwrap().body, "{}");
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}";
        let (_, answer) = answered(answer, Call::get("/x")).await;
        assert!(matches!(answer, Err(CliError::Broken(_))));
    }

    #[tokio::test]
    async fn an_order_whose_answer_was_lost_is_sent_again_under_its_key_and_no_other_is() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = async {
            let mut keys = Vec::new();
            for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", ""] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let n = stream.read(&mut head).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let key = head
                    .lines()
                    .find_map(|line| line.strip_prefix("idempotency-key: "));
                keys.push(key.map(str::to_owned));
            }
            keys
        };
        let admin = Admin::new(socket);
        let ask = async {
            let once = admin.ask(Call::post("/x", &serde_json::json!({})).once());
            assert_eq!(once.await.unwrap().body, "{}");
            let plain = admin.ask(Call::post("/x", &serde_json::json!({}))).await;
            assert!(matches!(plain, Err(CliError::Broken(_))));
        };
        let (keys, ()) = tokio::join!(serve, ask);
        let [first, again, plain] = keys.as_slice() else {
            panic!("{keys:?}");
        };
        assert!(
            first.as_ref().is_some_and(|key| key.len() == 34),
            "{keys:?}"
        );
        assert_eq!(first, again);
        assert_eq!(plain, &None);
        let other = Call::get("/x").once().key;
        assert_ne!(other, Call::get("/x").once().key);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_brokers_words() {
        let document = r#"{"status":403,"code":"operator_required"}"#;
        let length = document.len();
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nretry-after: 2\r\ncontent-length: {length}\r\n\r\n{document}"
        );
        let (_, answer) = answered(&answer, Call::get("/x")).await;
        let Err(CliError::Refused(refused)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(refused.code.as_deref(), Some("operator_required"));
        assert_eq!((refused.status, refused.retry_after), (403, Some(2)));
    }

    #[tokio::test]
    async fn a_refusal_without_a_document_keeps_its_status() {
        let answer = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n";
        let (_, answer) = answered(answer, Call::get("/x")).await;
        let refused = answer.unwrap_err().to_string();
        assert_eq!(refused, "Payload Too Large");
    }

    #[tokio::test]
    async fn a_missing_socket_says_what_to_do() {
        let admin = Admin::new("/nonexistent/admin.sock".into());
        let error = admin.ask(Call::get("/x")).await.unwrap_err();
        assert!(error.to_string().contains("start the broker"), "{error}");
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("github/1/2"), "github%2F1%2F2");
        assert_eq!(segment("a?b#c%2f..é"), "a%3Fb%23c%252f..%C3%A9");
    }
}
