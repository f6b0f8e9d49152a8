//! The client side of TLS: explicit trust, one cryptographic library, no memory between connections.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, client::Resumption, crypto::ring, time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};

use super::{ClientCertificate, OutboundSettings, SetupError, Trust};
use crate::seams::Clock;

/// A TLS configuration that believes in what `trust` names, and in nobody without it, and shows a
/// certificate to whoever asks for one, if it has one.
pub(super) fn client_config(
    settings: &OutboundSettings,
    trust: Option<&Trust>,
    certificate: Option<&ClientCertificate>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, SetupError> {
    let roots = match trust {
        None => RootCertStore::empty(),
        Some(Trust::Platform) => platform(&settings.platform_roots)?,
        Some(Trust::PlatformAnd(pem)) => add(platform(&settings.platform_roots)?, pem)?,
        Some(Trust::Only(pem)) => add(RootCertStore::empty(), pem)?,
    };
    let provider = Arc::new(ring::default_provider());
    let time = Arc::new(CertificateTime(Arc::clone(clock)));
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots);
    let mut config = match certificate.map(ClientCertificate::parts) {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(SetupError::ClientCertificate)?,
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session skips the certificate check, and with it a change of trust.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For a client that opens one connection of its own, as an operator's command does: HTTP/1.1, under the
/// authorities of one file, or the platform's.
pub(crate) fn for_one_connection(
    ca_file: Option<&Path>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, SetupError> {
    let mut settings = OutboundSettings::default();
    if let Some(file) = ca_file {
        file.clone_into(&mut settings.platform_roots);
    }
    let mut config = client_config(&settings, Some(&Trust::Platform), None, clock)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The file that this system keeps its certificate authorities in.
pub(crate) fn system_roots() -> PathBuf {
    let found = KNOWN.iter().find(|path| Path::new(path).exists());
    PathBuf::from(found.unwrap_or(&KNOWN[0]))
}

/// Debian, Alpine and Arch; Fedora and its kin; `openSUSE`; FreeBSD and Alpine without the package.
const KNOWN: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The time that certificates are judged by.
pub(crate) struct CertificateTime(pub(crate) Arc<dyn Clock>);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().micros()).ok()?;
        Some(UnixTime::since_unix_epoch(
            std::time::Duration::from_micros(micros),
        ))
    }
}

impl std::fmt::Debug for CertificateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateTime")
    }
}

fn platform(path: &Path) -> Result<RootCertStore, SetupError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| SetupError::Roots {
            path: path.to_owned(),
            source,
        })?;
    let mut roots = RootCertStore::empty();
    // Platform bundles carry certificates that the verifier has no use for; those may be left out.
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(SetupError::NoRoots {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

fn add(mut roots: RootCertStore, pem: &[u8]) -> Result<RootCertStore, SetupError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(|_| SetupError::ExtraRoot)?)
            .map_err(SetupError::Tls)?;
    }
    if roots.len() == before {
        Err(SetupError::ExtraRoot)
    } else {
        Ok(roots)
    }
}
