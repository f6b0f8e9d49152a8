//! For tests: servers on loopback that count who comes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

/// A server that gives one answer to every request, each on its own connection.
pub(crate) struct Trap {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: watch::Receiver<Vec<String>>,
    gate: Arc<Semaphore>,
    server: tokio::task::JoinHandle<()>,
}

impl Trap {
    /// Answers with `answer`, bytes as they are.
    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        Self::start(answer.into(), None, Semaphore::MAX_PERMITS).await
    }

    /// Answers nobody before [`Trap::release`].
    pub(crate) async fn holding(answer: impl Into<String>) -> Self {
        Self::start(answer.into(), None, 0).await
    }

    pub(crate) async fn tls(answer: impl Into<String>, config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(answer.into(), Some(acceptor), Semaphore::MAX_PERMITS).await
    }

    async fn start(answer: String, tls: Option<TlsAcceptor>, open: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, gate) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Semaphore::new(open)),
        );
        let (seen, requests) = watch::channel(Vec::new());
        let (counter, door) = (Arc::clone(&connections), Arc::clone(&gate));
        let server = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let (answer, tls) = (answer.clone(), tls.clone());
                let (seen, door) = (seen.clone(), Arc::clone(&door));
                open.spawn(async move {
                    let Some(tls) = tls else {
                        return converse(stream, &answer, &seen, &door).await;
                    };
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, &answer, &seen, &door).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            requests,
            gate,
            server,
        }
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1024);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The request heads seen so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Waits until this many requests have arrived.
    pub(crate) async fn saw(&self, count: usize) {
        self.requests
            .clone()
            .wait_for(|seen| seen.len() >= count)
            .await
            .unwrap();
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &str,
    seen: &watch::Sender<Vec<String>>,
    gate: &Semaphore,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.send_modify(|all| all.push(String::from_utf8_lossy(&head).into_owned()));
    gate.acquire().await.unwrap().forget();
    // The client may hang up in the middle of an answer that it refuses.
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        stream.shutdown().await.ok();
    }
}

/// An answer with a body of a kind, and the connection closed after it.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
