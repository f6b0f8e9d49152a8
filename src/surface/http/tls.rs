//! The server side of TLS: certificate and key from PEM files, replaced at run time without a restart.
//!
//! Whose client certificates are taken is the caller's to say; none is ever demanded, and what is shown is
//! always verified: sessions are not resumed, since that would skip the verification.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use crate::{outbound::tls::CertificateTime, seams::Clock};

/// Where the server's TLS material lies, all PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, end entity first.
    pub chain: PathBuf,
    /// Its private key, readable by owner and group at most.
    pub key: PathBuf,
}

/// Why the files cannot be used. The mend is in the text.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {MOST_BYTES} bytes and cannot be a PEM file of certificates")]
    TooLarge { path: PathBuf },
    #[error("the key {path} can be read by others (mode {mode:04o}): chmod 0640 it, or tighter")]
    KeyMode { path: PathBuf, mode: u32 },
    #[error("the key {path} belongs to user {uid}: chown it to root or to the user that runs writ")]
    KeyOwner { path: PathBuf, uid: u32 },
    #[error("{path} holds no PEM certificate")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds no PEM private key without a passphrase")]
    NoKey { path: PathBuf },
    #[error("the certificate {path} and its key cannot be used together: {source}")]
    Unusable {
        path: PathBuf,
        source: rustls::Error,
    },
}

/// The server's TLS configuration and the files that it is read from.
pub struct ServerTls {
    files: TlsFiles,
    clients: Arc<dyn ClientCertVerifier>,
    clock: Arc<dyn Clock>,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl ServerTls {
    pub fn open(
        files: TlsFiles,
        clients: Arc<dyn ClientCertVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(load(&files, &clients, &clock)?));
        Ok(Self {
            files,
            clients,
            clock,
            current,
        })
    }

    /// What a listener takes for each connection.
    pub fn current(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.current)
    }

    /// Reads the files again. New connections use what they hold; on an error everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current
            .store(Arc::new(load(&self.files, &self.clients, &self.clock)?));
        Ok(())
    }
}

fn load(
    files: &TlsFiles,
    clients: &Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.chain)?;
    let key = private_key(&files.key)?;
    let unusable = |source| TlsError::Unusable {
        path: files.chain.clone(),
        source,
    };
    let provider = Arc::new(ring::default_provider());
    let time = Arc::new(CertificateTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(Arc::clone(clients))
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path, &open(path)?)?;
    let missing = || TlsError::NoCertificate {
        path: path.to_owned(),
    };
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    found
        .ok()
        .filter(|list| !list.is_empty())
        .ok_or_else(missing)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    // The open file is judged, not its name, which may come to mean another file.
    let file = open(path)?;
    let facts = file.metadata().map_err(|e| TlsError::Read {
        path: path.to_owned(),
        source: e,
    })?;
    let mode = facts.mode() & 0o7777;
    if mode & !WIDEST_KEY_MODE != 0 {
        return Err(TlsError::KeyMode {
            path: path.to_owned(),
            mode,
        });
    }
    let uid = facts.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(TlsError::KeyOwner {
            path: path.to_owned(),
            uid,
        });
    }
    let pem = read(path, &file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoKey {
        path: path.to_owned(),
    })
}

fn open(path: &Path) -> Result<File, TlsError> {
    File::open(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path, file: &File) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut pem = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut pem)
        .map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })?;
    if u64::try_from(pem.len()).map_or(true, |length| length > MOST_BYTES) {
        return Err(TlsError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(pem)
}

/// Owner may write, group may read: how service managers hand a key to a service's group.
const WIDEST_KEY_MODE: u32 = 0o640;

/// Room for a platform's whole list of authorities.
const MOST_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use axum::{Extension, Router, routing::get};
    use rustls::{
        ClientConfig, RootCertStore, pki_types::ServerName, server::WebPkiClientVerifier,
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        domain::time::Timestamp,
        seams::ManualClock,
        surface::http::{
            peer::Peer,
            serve::{Drained, Limits, Listener, serve},
        },
    };

    /// A self-signed certificate, which is its own authority, and its key.
    struct Party {
        certificate: rcgen::Certificate,
        key: rcgen::KeyPair,
    }

    impl Party {
        fn new() -> Self {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            Self {
                certificate: params.self_signed(&key).unwrap(),
                key,
            }
        }

        fn write(&self, files: &TlsFiles) {
            fs::write(&files.chain, self.certificate.pem()).unwrap();
            fs::write(&files.key, self.key.serialize_pem()).unwrap();
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn client(&self, server: &Self) -> ClientConfig {
            let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
            trusting(server)
                .with_client_auth_cert(vec![self.der()], key)
                .unwrap()
        }

        fn der(&self) -> CertificateDer<'static> {
            self.certificate.der().clone()
        }
    }

    fn trusting(
        server: &Party,
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(server.der()).unwrap();
        let time = Arc::new(CertificateTime(today()));
        ClientConfig::builder_with_details(Arc::new(ring::default_provider()), time)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    fn trusted(client: &Party) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(client.der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .unwrap()
    }

    fn nobody() -> Arc<dyn ClientCertVerifier> {
        WebPkiClientVerifier::no_client_auth()
    }

    fn today() -> Arc<dyn Clock> {
        Arc::new(ManualClock::at(
            Timestamp::from_seconds(1_800_000_000).unwrap(),
        ))
    }

    fn files(dir: &tempfile::TempDir) -> TlsFiles {
        let at = |name: &str| dir.path().join(name);
        TlsFiles {
            chain: at("chain.pem"),
            key: at("key.pem"),
        }
    }

    /// What the server says about the caller, or nothing when no connection comes about.
    async fn hello(addr: std::net::SocketAddr, config: ClientConfig) -> Option<String> {
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .ok()?;
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split("\r\n\r\n").nth(1).map(str::to_owned)
    }

    fn router() -> Router {
        let shown = |Extension(peer): Extension<Peer>| async move {
            peer.certificates()
                .first()
                .map_or_else(|| "nobody".to_owned(), hex::encode)
        };
        Router::new().route("/", get(shown))
    }

    #[tokio::test]
    async fn clients_are_served_known_and_move_to_a_new_certificate_while_one_stalls() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, client) = (Party::new(), Party::new(), Party::new());
        let files = files(&dir);
        first.write(&files);
        let tls = ServerTls::open(files.clone(), trusted(&client), today()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let listener = Listener::Tls(listener, tls.current());
        let task = tokio::spawn(serve(listener, router(), Limits::default(), stop.clone()));

        let _silent = TcpStream::connect(addr).await.unwrap();
        let nobody = hello(addr, trusting(&first).with_no_client_auth()).await;
        assert_eq!(nobody.as_deref(), Some("nobody"));
        let known = hello(addr, client.client(&first)).await;
        assert_eq!(known, Some(hex::encode(client.der())));
        assert_eq!(
            hello(addr, second.client(&first)).await,
            None,
            "an unknown authority"
        );

        second.write(&files);
        tls.reload().unwrap();
        assert_eq!(
            hello(addr, trusting(&first).with_no_client_auth()).await,
            None
        );
        let moved = hello(addr, trusting(&second).with_no_client_auth()).await;
        assert_eq!(moved.as_deref(), Some("nobody"));
        stop.cancel();
        assert_eq!(task.await.unwrap(), Drained { cut: 0 });
    }

    #[test]
    fn a_failed_reload_keeps_what_works() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        Party::new().write(&files);
        let tls = ServerTls::open(files.clone(), nobody(), today()).unwrap();
        let before = tls.current().load_full();
        fs::write(&files.chain, Party::new().certificate.pem()).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
        fs::write(&files.chain, "not a certificate").unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
        assert!(Arc::ptr_eq(&before, &tls.current().load_full()));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        Party::new().write(&files);
        for mode in [0o644, 0o660, 0o700, 0o4600] {
            fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
            let error = ServerTls::open(files.clone(), nobody(), today())
                .map(drop)
                .unwrap_err();
            assert!(matches!(error, TlsError::KeyMode { .. }), "{error}");
            assert!(error.to_string().contains("chmod 0640"));
        }
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o440)).unwrap();
        ServerTls::open(files, nobody(), today()).map(drop).unwrap();
    }
}
