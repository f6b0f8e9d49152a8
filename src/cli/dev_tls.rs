//! A certificate authority for one developer's machine, and a leaf for localhost under it. The
//! authority is kept with the data, so that what trusts it goes on doing so; the leaf is made anew at
//! every start.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

use crate::domain::time::Timestamp;

/// The files of a developer's broker.
#[derive(Debug)]
pub(super) struct DevTls {
    /// What callers have to trust.
    pub(super) ca: PathBuf,
}

/// Makes the leaf, and the authority where there is none yet.
pub(super) fn make(data: &Path, now: Timestamp) -> io::Result<DevTls> {
    let ca = data.join("ca.pem");
    let issuer = authority(&ca, &data.join("ca.key"), now)?;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = window(now, LEAF_LIFE)?;
    let signed = leaf.signed_by(&key, &issuer).map_err(io::Error::other)?;
    write(&data.join("tls.pem"), &signed.pem(), 0o644)?;
    write(&data.join("tls.key"), &key.serialize_pem(), 0o600)?;
    Ok(DevTls { ca })
}

fn authority(
    certificate: &Path,
    key: &Path,
    now: Timestamp,
) -> io::Result<Issuer<'static, KeyPair>> {
    if certificate.exists() {
        let pair = KeyPair::from_pem(&std::fs::read_to_string(key)?).map_err(io::Error::other)?;
        return Issuer::from_ca_cert_pem(&std::fs::read_to_string(certificate)?, pair)
            .map_err(io::Error::other);
    }
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "writ dev (not for production)");
    (params.not_before, params.not_after) = window(now, AUTHORITY_LIFE)?;
    let signed = params.self_signed(&pair).map_err(io::Error::other)?;
    write(key, &pair.serialize_pem(), 0o600)?;
    write(certificate, &signed.pem(), 0o644)?;
    Ok(Issuer::new(params, pair))
}

fn window(now: Timestamp, life: Duration) -> io::Result<(OffsetDateTime, OffsetDateTime)> {
    let at = |time: Timestamp| {
        OffsetDateTime::from_unix_timestamp(time.seconds()).map_err(io::Error::other)
    };
    Ok((at(now.minus(BACKDATED))?, at(now.plus(life))?))
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path);
    file?.write_all(text.as_bytes())
}

const LEAF_LIFE: Duration = Duration::from_hours(24 * 30);

const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 365);

/// Callers' clocks may be a little behind.
const BACKDATED: Duration = Duration::from_mins(5);
