//! The certificate that the broker shows as a server: its own or one from files, and another one while it runs.

mod files;
mod own;

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::StatusCode;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::process::{Ground, PORT, within};

/// A connection that is kept open.
struct Kept(BufStream<TlsStream<TcpStream>>);

impl Kept {
    async fn open(at: SocketAddr, config: ClientConfig) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let name = ServerName::IpAddress(at.ip().into());
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.unwrap();
        Self(BufStream::new(stream))
    }

    /// One request and its answer, on the same connection as the one before.
    async fn asks(&mut self) -> StatusCode {
        let request = b"GET /pki/roots.pem HTTP/1.1\r\nhost: writ\r\n\r\n";
        self.0.write_all(request).await.unwrap();
        self.0.flush().await.unwrap();
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            within(self.0.read_line(&mut line)).await.unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(told) = line.strip_prefix("http/1.1 ") {
                status = Some(told[..3].parse().unwrap());
            }
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        status.unwrap()
    }
}

fn trusting(pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Debian's `curl`, trusting one file: the status, or why there is none.
async fn curl(ground: &Ground, authority: &str) -> Result<u16, String> {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--cacert", authority])
        .arg(format!("https://{}:{PORT}/oauth2/jwks", ground.host))
        .current_dir(ground.dir())
        .output();
    let output = within(output)
        .await
        .expect("curl is not installed: run tests/setup");
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap().parse().unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

/// A gauge of the server's, for its public listener.
async fn gauge(ground: &Ground, name: &str) -> f64 {
    let (_, counts) = ground.platform("/metrics").await.unwrap();
    let line = format!("{name}{{listener=\"public\"}} ");
    let found = counts.lines().find_map(|l| l.strip_prefix(&line));
    found
        .unwrap_or_else(|| panic!("no {name} in {counts}"))
        .parse()
        .unwrap()
}
