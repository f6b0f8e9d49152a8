//! Taking connections until told to stop, and then ending them in good order.
//!
//! The accept loop does nothing that a client could delay: handshakes and requests run in tasks of their own,
//! as many as [`Limits`] allows, all of them tracked. When [`serve`] returns, none is left.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use rustls::ServerConfig;
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use super::connection::{Accepted, Door};
pub use super::limits::Limits;
use super::proxies::Proxies;
use crate::surface::socket::BoundSocket;

/// What is listened on.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
    Unix(BoundSocket),
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut because the drain's time was over.
    pub cut: usize,
}

/// Serves `router` on `listener` until `stop`, then lets what is under way finish.
///
/// Each request carries a [`super::peer::Peer`] as an extension. Client errors on a connection end that
/// connection only, and so does a panic in a handler end that request only.
pub async fn serve(
    listener: Listener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> Drained {
    serve_behind(Proxies::default(), listener, router, limits, stop).await
}

/// As [`serve`], behind proxies that tell whose requests they forward.
pub async fn serve_behind(
    proxies: Proxies,
    listener: Listener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> Drained {
    let door = Arc::new(Door::new(proxies, router, limits, stop.clone()));
    accept(&listener, &door, &stop).await;
    // New connections are refused by the system from here on.
    drop(listener);
    door.drain().await
}

async fn accept(listener: &Listener, door: &Arc<Door>, stop: &CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            return;
        };
        match accepted {
            Ok(accepted) => {
                pause = FIRST_PAUSE;
                door.admit(accepted);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                stop.run_until_cancelled(time::sleep(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, addr))
            }
            Self::Tls(listener, config) => {
                let (stream, addr) = listener.accept().await?;
                Ok(Accepted::Tls(stream, addr, Arc::clone(config)))
            }
            Self::Unix(socket) => {
                let (stream, caller) = socket.accept().await?;
                Ok(Accepted::Unix(stream, caller))
            }
        }
    }
}

/// A process out of descriptors fails every accept at once; the pause keeps it from spinning.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
