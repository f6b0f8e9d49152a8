//! Behind proxies: whom a request came from is told by those that are listed, recorded where something was
//! refused, and decides nothing.

mod header;
mod headers;
mod installed;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use writ::broker::revoke::Ending;
use writ::ledger::entry::Event;
use writ::surface::http::proxies::{Proxies, Tell};
use writ::surface::http::public;
use writ::surface::http::serve::{Limits, Listener, serve_behind};

use crate::support::held::Held;
use crate::support::process::within;
use crate::support::profiles::DEPLOY;

/// All of 127.0.0.0/8 is this machine: one of it is a proxy, one a proxy behind that, and one is anybody.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 1);
const ANYBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 8, 1);

/// A session whose task was revoked, so that its renewals are refused and recorded; and a listener of its
/// broker behind a proxy.
struct Behind {
    held: Held,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Behind {
    async fn new(tell: Tell, limits: Limits) -> Self {
        let held = Held::asking(DEPLOY, &[]).await;
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
        let proxies = Proxies::new(vec!["127.0.9.0/24".parse().unwrap()], tell);
        let router = public::router(Arc::clone(&held.broker.wired.public));
        let listener = Listener::Tcp(tcp);
        tokio::spawn(serve_behind(
            proxies,
            listener,
            router,
            limits,
            stop.clone(),
        ));
        Self {
            held,
            address,
            stop,
        }
    }

    async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Everything that is answered to these bytes, which may come in several parts.
    async fn answers(&self, from: Ipv4Addr, parts: &[&[u8]]) -> String {
        let mut stream = self.connect(from).await;
        stream.set_nodelay(true).unwrap();
        for part in parts {
            // Whoever refuses early may hang up meanwhile.
            stream.write_all(part).await.ok();
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A renewal as bytes, with more headers.
    fn renewal(&self, more: &str) -> Vec<u8> {
        let held = &self.held;
        let url = format!("{}/oauth2/token", held.broker.issuer);
        let proof = held.client.proof(&held.key, "POST", &url, None);
        let handle = held.first.text("refresh_token");
        let body = format!("grant_type=refresh_token&refresh_token={handle}");
        let length = body.len();
        format!("POST /oauth2/token HTTP/1.1\r\nhost: writ\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\ndpop: {proof}\r\n{more}\r\n{body}").into_bytes()
    }

    async fn revoke(&self) {
        self.held.end_task(Ending::Revoke).await;
    }

    /// Whence the refusals came that were recorded so far.
    async fn recorded(&self) -> Vec<Option<IpAddr>> {
        let log = self.held.broker.log().await.into_iter();
        let from = log.filter_map(|leaf| match leaf.event {
            Event::Denied(refused) => Some(refused.from),
            _ => None,
        });
        from.collect()
    }

    /// Asks, is refused, and gives what the record of that says; the same refusal is recorded once a minute.
    async fn refused(&self, from: Ipv4Addr, parts: &[&[u8]]) -> String {
        self.held.broker.pass(Duration::from_secs(61)).await;
        let before = self.recorded().await.len();
        let renewal = self.renewal("");
        let answer = self
            .answers(from, &[parts, &[renewal.as_slice()]].concat())
            .await;
        self.told(before, &answer).await
    }

    async fn told(&self, before: usize, answer: &str) -> String {
        assert!(answer.contains("task_revoked"), "{answer}");
        let all = self.recorded().await;
        assert_eq!(all.len(), before + 1, "{all:?}");
        all[before].unwrap().to_string()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
