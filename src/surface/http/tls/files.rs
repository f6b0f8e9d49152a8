//! A certificate and its key from PEM files, read again when they are others.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{crypto::ring, server::danger::ClientCertVerifier, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use crate::{seams::Clock, surface::http::tls::ServerTls};

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

/// A listener's TLS, with its certificate from files.
pub struct FileTls {
    tls: ServerTls,
    files: TlsFiles,
    /// What was there when the files were last read, whatever came of it.
    seen: Mutex<Stamps>,
}

/// What came of looking at the files.
#[derive(Debug)]
pub enum Reread {
    /// They are those that were read last.
    Unchanged,
    /// They hold another certificate, which is shown from now on.
    Taken,
    /// They cannot be used: the certificate stays as it was. Told once for each change.
    Kept(TlsError),
}

impl FileTls {
    pub fn open(
        files: TlsFiles,
        clients: Arc<dyn ClientCertVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let seen = Mutex::new(Stamps::of(&files));
        let tls = ServerTls::new(load(&files)?, clients, clock);
        let unusable = |source| TlsError::Unusable {
            path: files.chain.clone(),
            source,
        };
        let tls = tls.map_err(unusable)?;
        Ok(Self { tls, files, seen })
    }

    pub const fn tls(&self) -> &ServerTls {
        &self.tls
    }

    /// Reads the files again. New connections use what they hold; on an error everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.note(Stamps::of(&self.files));
        self.tls.show(load(&self.files)?);
        Ok(())
    }

    /// Reads the files again if they are others than at the last time, or were written to since.
    pub fn reread(&self) -> Reread {
        if !self.note(Stamps::of(&self.files)) {
            return Reread::Unchanged;
        }
        match self.reload() {
            Ok(()) => Reread::Taken,
            Err(why) => Reread::Kept(why),
        }
    }

    /// Whether that is news.
    fn note(&self, now: Stamps) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *seen != now;
        *seen = now;
        news
    }
}

/// Which files lie there, as far as that can be told without reading them: a file that was written to, put in
/// the place of another, or pointed at by another link has another stamp.
#[derive(Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 2]);

type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl Stamps {
    /// Of what is there before it is read: what is written meanwhile is read once more.
    fn of(files: &TlsFiles) -> Self {
        Self([&files.chain, &files.key].map(|path| {
            let facts = std::fs::metadata(path).ok()?;
            Some((
                facts.dev(),
                facts.ino(),
                facts.size(),
                facts.mtime(),
                facts.mtime_nsec(),
                facts.ctime(),
                facts.ctime_nsec(),
            ))
        }))
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.chain)?;
    let key = private_key(&files.key)?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
    certified.map_err(|source| TlsError::Unusable {
        path: files.chain.clone(),
        source,
    })
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
        outbound::tls::CertificateTime,
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
        let tls = FileTls::open(files.clone(), trusted(&client), today()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let listener = Listener::Tls(listener, tls.tls().config());
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
        let tls = FileTls::open(files.clone(), nobody(), today()).unwrap();
        let before = tls.tls().expires_at();
        fs::write(&files.chain, Party::new().certificate.pem()).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
        fs::write(&files.chain, "not a certificate").unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
        assert_eq!(tls.tls().expires_at(), before);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        Party::new().write(&files);
        for mode in [0o644, 0o660, 0o700, 0o4600] {
            fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
            let error = FileTls::open(files.clone(), nobody(), today())
                .map(drop)
                .unwrap_err();
            assert!(matches!(error, TlsError::KeyMode { .. }), "{error}");
            assert!(error.to_string().contains("chmod 0640"));
        }
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o440)).unwrap();
        FileTls::open(files, nobody(), today()).map(drop).unwrap();
    }
}
