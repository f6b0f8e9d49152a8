//! One connection from its first byte to its end: handshake, protocol, requests, idleness, drain.
//!
//! Every way of doing nothing ends: a handshake, a head, a body, an answer unread, a connection without
//! requests, each has its time.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
    time,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    activity::{Activity, Busy, Sending, Verdict, Watch},
    guard,
    limits::Limits,
    peer::Peer,
    proxies::Proxies,
    proxy_header::{self, Said},
    serve::Drained,
    wire::Wire,
};
use crate::{broker::caller, surface::socket::Caller};

/// A connection as the listener gave it.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, Arc<ServerConfig>),
    Unix(UnixStream, Caller),
}

/// What all connections of one listener share.
pub(super) struct Door {
    router: Router,
    proxies: Proxies,
    limits: Limits,
    room: Arc<Semaphore>,
    stop: CancellationToken,
    crew: Crew,
    cut: AtomicUsize,
}

/// Runs tasks that are waited for, and that end when the line is cut.
#[derive(Clone)]
struct Crew {
    tasks: TaskTracker,
    line: CancellationToken,
}

impl Door {
    pub(super) fn new(
        proxies: Proxies,
        router: Router,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            router: guard::without_own_limit(router),
            proxies,
            room: Arc::new(Semaphore::new(limits.connections)),
            limits,
            stop,
            crew: Crew {
                tasks: TaskTracker::new(),
                line: CancellationToken::new(),
            },
            cut: AtomicUsize::new(0),
        }
    }

    /// Starts on a connection, or closes it when there is no room.
    pub(super) fn admit(self: &Arc<Self>, accepted: Accepted) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::debug!("no room for another connection");
            return;
        };
        let door = Arc::clone(self);
        self.crew.tasks.spawn(async move {
            if door
                .crew
                .line
                .run_until_cancelled(door.attend(accepted))
                .await
                .is_none()
            {
                door.cut.fetch_add(1, Ordering::Relaxed);
            }
            drop(place);
        });
    }

    /// Waits for the connections, and cuts those that outstay the limit.
    pub(super) async fn drain(&self) -> Drained {
        self.crew.tasks.close();
        if time::timeout(self.limits.drain, self.crew.tasks.wait())
            .await
            .is_err()
        {
            self.crew.line.cancel();
            self.crew.tasks.wait().await;
        }
        Drained {
            cut: self.cut.load(Ordering::Relaxed),
        }
    }

    async fn attend(&self, accepted: Accepted) {
        match accepted {
            Accepted::Unix(stream, caller) => self.converse(stream, Peer::Unix(caller)).await,
            Accepted::Tcp(mut stream, addr) => {
                if let Some(behind) = self.introduced(&mut stream, addr).await {
                    self.converse(stream, Peer::Tcp { addr, behind }).await;
                }
            }
            Accepted::Tls(mut stream, addr, config) => {
                if let Some(behind) = self.introduced(&mut stream, addr).await {
                    self.secure(stream, (addr, behind), config).await;
                }
            }
        }
    }

    /// Whom the peer speaks for, if it is a proxy that says so; none where the connection is to be closed.
    /// From such a proxy the header has to come, and as soon as a handshake has to be done.
    async fn introduced(&self, stream: &mut TcpStream, addr: SocketAddr) -> Option<Option<IpAddr>> {
        if !prompt(stream) {
            return None;
        }
        if !self.proxies.introduces(addr.ip()) {
            return Some(None);
        }
        let header = time::timeout(self.limits.handshake, proxy_header::read(stream));
        match self.stop.run_until_cancelled(header).await? {
            Ok(Ok(Said::Client(client))) => Some(Some(client)),
            Ok(Ok(Said::Nobody)) => Some(None),
            Ok(Err(error)) => {
                tracing::warn!(%addr, %error, "a connection from a listed proxy was closed");
                None
            }
            Err(_) => {
                tracing::warn!(%addr, "a listed proxy did not send its header in time");
                None
            }
        }
    }

    async fn secure(
        &self,
        stream: TcpStream,
        (addr, behind): (SocketAddr, Option<IpAddr>),
        config: Arc<ServerConfig>,
    ) {
        let handshake = TlsAcceptor::from(config).accept(stream);
        let greeted = self
            .stop
            .run_until_cancelled(time::timeout(self.limits.handshake, handshake));
        let stream = match greeted.await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => return tracing::debug!(%error, "a handshake failed"),
            Some(Err(_)) => return tracing::debug!("a handshake took too long"),
            None => return,
        };
        let shown = stream.get_ref().1.peer_certificates().unwrap_or(&[]);
        let certificates = shown.iter().map(|c| c.clone().into_owned()).collect();
        let peer = Peer::Tls {
            addr,
            behind,
            certificates,
        };
        self.converse(stream, peer).await;
    }

    async fn converse<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request: Request<Incoming>| {
            let busy = Busy::start(&activity);
            let (router, limits, peer) = (self.router.clone(), self.limits.clone(), peer.clone());
            let client = self.proxies.client(&peer, request.headers());
            let attended = async move { attended(router, &limits, peer, request, busy).await };
            let attended = caller::on_behalf(client, attended);
            async move { Ok::<_, Infallible>(attended.await) }
        });
        let protocol = self.protocol();
        let wire = TokioIo::new(Wire::new(stream, self.limits.write));
        let mut connection = pin!(protocol.serve_connection(wire, service));
        let mut watch = Watch::new(&self.limits, &activity);
        let mut leaving = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                verdict = watch.next() => match verdict {
                    Verdict::Stay => {}
                    Verdict::Close => return,
                    Verdict::Finish => {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                },
            }
        }
    }

    fn protocol(&self) -> auto::Builder<Crew> {
        let limits = &self.limits;
        let mut builder = auto::Builder::new(self.crew.clone());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX))
            .max_headers(MOST_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.head_bytes)
            .max_local_error_reset_streams(MOST_RESETS)
            .max_pending_accept_reset_streams(MOST_RESETS)
            .keep_alive_interval(limits.idle / 2)
            .keep_alive_timeout(limits.head);
        builder
    }
}

/// One request through the guard; it counts as under way until its answer has been sent or dropped.
async fn attended(
    router: Router,
    limits: &Limits,
    peer: Peer,
    mut request: Request<Incoming>,
    busy: Busy,
) -> Response {
    request.extensions_mut().insert(peer);
    let response = guard::answer(router, request.map(Body::new), limits).await;
    response.map(|body| Body::new(Sending::new(body, busy)))
}

/// Answers are small and awaited: they leave at once. A socket that cannot be set up is already gone.
fn prompt(stream: &TcpStream) -> bool {
    stream.set_nodelay(true).is_ok()
}

impl<F> Executor<F> for Crew
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        let line = self.line.clone();
        self.tasks
            .spawn(async move { line.run_until_cancelled_owned(work).await.map(drop) });
    }
}

/// More headers than any client of ours sends.
const MOST_HEADERS: usize = 100;

/// Streams that a client may open and reset before the connection is ended (CVE-2023-44487 and its kin).
const MOST_RESETS: usize = 64;
