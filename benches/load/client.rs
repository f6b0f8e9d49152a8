//! A connection that costs as little as it can: requests are bytes that were made beforehand, and of
//! an answer nothing is read but its status and its body.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fault::Fault;

/// A listener, and the certificate that it has to show.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    tls: TlsConnector,
}

/// What a client shows in the handshake.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A keep-alive connection.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// The part of an answer that is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Target {
    pub(crate) fn new(
        address: SocketAddr,
        certificate: CertificateDer<'static>,
    ) -> Result<Self, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(Fault::of)?;
        let roots = Arc::new(roots);
        let config = trusting(&roots)?.with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self {
            address,
            roots,
            tls,
        })
    }

    /// The same listener, for whoever shows this.
    pub(crate) fn showing(&self, identity: Identity) -> Result<Self, Fault> {
        let Identity { chain, key } = identity;
        let config = trusting(&self.roots)?.with_client_auth_cert(chain, key);
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config.map_err(Fault::of)?)),
            ..self.clone()
        })
    }

    pub(crate) async fn connect(&self) -> Result<Connection<TlsStream<TcpStream>>, Fault> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        Ok(Connection::over(self.tls.connect(name, stream).await?))
    }
}

fn trusting(
    roots: &Arc<RootCertStore>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Fault::of)?;
    Ok(builder.with_root_certificates(Arc::clone(roots)))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        let buffer = Vec::with_capacity(ROOM);
        Self { stream, buffer }
    }

    /// Sends one request and waits for the whole of its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>, Fault> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let (status, from, to) = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let (status, length) = head(self.buffer.get(..end).unwrap_or(&[]))?;
                break (status, end + 4, end + 4 + length);
            }
            self.more().await?;
        };
        while self.buffer.len() < to {
            self.more().await?;
        }
        let body = self.buffer.get(from..to).unwrap_or(&[]);
        Ok(Answer { status, body })
    }

    async fn more(&mut self) -> Result<(), Fault> {
        if self.buffer.len() > LARGEST {
            return Err(Fault::of("an answer has no end"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Fault::of("the server hung up")),
            _ => Ok(()),
        }
    }
}

impl Answer<'_> {
    /// The answer as a fault, for whoever wanted another.
    pub(crate) fn unexpected(&self) -> Fault {
        Fault::Answer {
            status: self.status,
            body: String::from_utf8_lossy(self.body).into_owned(),
        }
    }
}

fn head(bytes: &[u8]) -> Result<(u16, usize), Fault> {
    let unreadable = || Fault::of("an answer's head cannot be read");
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status
        .and_then(|status| status.parse().ok())
        .ok_or_else(unreadable)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let length = name.eq_ignore_ascii_case("content-length");
        length.then(|| value.trim().parse().ok()).flatten()
    });
    Ok((status, length.ok_or_else(unreadable)?))
}

/// The bytes of one request to `host`.
pub(crate) fn request(
    line: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Bytes {
    let mut text = format!("{line} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(body) = body {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or(""));
    Bytes::from(text)
}

const ROOM: usize = 8 * 1024;

/// Far above the longest list that is asked for here.
const LARGEST: usize = 8 * 1024 * 1024;
