//! `writ doctor server`: what a broker on this machine rests on, looked at from outside of it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use writ_keys::KeyEncryptionKey;

use super::super::config::policies;
use super::super::wire_sources::outbound;
use super::{Report, around, running};
use crate::attest;
use crate::broker::settings::KeyLocation;
use crate::config::{self, Config};
use crate::domain::url::BaseUrl;
use crate::seams::{Clock, SystemClock};
use crate::surface::http::tls::files::{FileTls, TlsFiles};
use crate::surface::settings::TlsSource;

/// Looks at everything, as far as the configuration can be read.
pub(super) async fn examine(file: &Path) -> Report {
    let mut report = Report::default();
    // What the file names by a relative path lies below its directory, which is told whole.
    let absolute = std::path::absolute(file);
    let file = absolute.as_deref().unwrap_or(file);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Some(config) = configuration(file, &mut report) else {
        return report;
    };
    guarded("configuration file", file, &mut report);
    key_file(&config, &mut report);
    data(&config.store.sqlite, &mut report);
    if let Some(tls) = &config.listen.tls {
        certificate(tls, &config.broker.issuer, &clock, &mut report);
    }
    let outbound = outbound(&config, Arc::clone(&clock));
    around::issuers(&config, &outbound, &clock, &mut report).await;
    for source in &config.sources {
        around::source_api(source, &outbound, &clock, &mut report).await;
    }
    for desk in &config.desks {
        around::desk(desk, &outbound, &clock, &mut report).await;
    }
    if let Some(traces) = &config.traces {
        around::collector(traces, &clock, &mut report).await;
    }
    running::examine(&config, &clock, &mut report).await;
    report
}

fn configuration(file: &Path, report: &mut Report) -> Option<Config> {
    const CHECK: &str = "configuration";
    let config = match config::load(file) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                let told = format!(
                    "{}:{}: {}: {}",
                    problem.file, problem.line, problem.rule, problem.what
                );
                report.here(CHECK, told, problem.mend);
            }
            return None;
        }
    };
    for warning in config.warnings() {
        let told = format!(
            "{}:{}: {}: {}",
            warning.file, warning.line, warning.rule, warning.what
        );
        report.unwise(CHECK, told, warning.mend);
    }
    match policies(&config) {
        Ok(_) => report.sound(
            CHECK,
            format!("{} is sound, and so are the policies", file.display()),
        ),
        Err(error) => report.here(
            CHECK,
            format!("the policies do not load: {error}"),
            "mend the policy that is named",
        ),
    }
    Some(config)
}

/// Whoever can write to a file that the broker believes is an operator.
fn guarded(check: &str, path: &Path, report: &mut Report) {
    match std::fs::metadata(path) {
        Ok(facts) if facts.mode() & 0o022 == 0 => {
            report.sound(
                check,
                format!(
                    "nobody but user {} can change {}",
                    facts.uid(),
                    path.display()
                ),
            );
        }
        Ok(facts) => report.here(
            check,
            format!(
                "{} can be changed by others (mode {:04o})",
                path.display(),
                facts.mode() & 0o7777
            ),
            "chmod go-w it",
        ),
        Err(error) => report.here(
            check,
            format!("{}: {error}", path.display()),
            "see whether it is there, and who may read it",
        ),
    }
}

fn key_file(config: &Config, report: &mut Report) {
    const CHECK: &str = "key-encryption key";
    let path = match &config.keys {
        KeyLocation::Descriptor(number) => {
            report.sound(
                CHECK,
                format!("is passed in by the service on descriptor {number}"),
            );
            return;
        }
        KeyLocation::File(path) => path,
    };
    let is_there = path.symlink_metadata().is_ok();
    if !is_there && !config.store.sqlite.exists() {
        report.sound(
            CHECK,
            format!(
                "will be made at {} together with the database",
                path.display()
            ),
        );
        return;
    }
    match KeyEncryptionKey::read_file(path) {
        Ok(_) => report.sound(
            CHECK,
            format!("{} is this user's or root's alone", path.display()),
        ),
        Err(error) if is_there => report.here(
            CHECK,
            error.to_string(),
            "do that: a key that others could read or replace is not used",
        ),
        Err(error) => report.here(
            CHECK,
            error.to_string(),
            "there is a database that it belongs to: restore the key from its copy",
        ),
    }
}

fn data(sqlite: &Path, report: &mut Report) {
    const CHECK: &str = "database";
    let directory = sqlite.parent().unwrap_or(Path::new("."));
    match std::fs::metadata(directory) {
        Err(error) => {
            report.here(
                CHECK,
                format!("{}: {error}", directory.display()),
                "make the directory for the broker's user, mode 0700",
            );
            return;
        }
        Ok(facts) if facts.mode() & 0o022 != 0 => {
            report.here(
                CHECK,
                format!("others can write to {}", directory.display()),
                "chmod go-w the directory",
            );
            return;
        }
        Ok(_) => {}
    }
    match std::fs::metadata(sqlite) {
        Ok(facts) if facts.mode() & 0o077 != 0 => {
            report.unwise(
                CHECK,
                format!("{} can be read by others", sqlite.display()),
                "chmod 0600 it",
            );
        }
        Ok(_) => report.sound(CHECK, format!("{} is the broker's alone", sqlite.display())),
        Err(_) => report.sound(
            CHECK,
            format!("{} is made at the first start", sqlite.display()),
        ),
    }
    if let Ok(disk) = rustix::fs::statvfs(directory) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let told = format!("{} MiB are free", free / (1024 * 1024));
        if free < LEAST_DISK {
            report.unwise(
                "disk",
                told,
                "make room: a broker that cannot write only revokes",
            );
        } else {
            report.sound("disk", told);
        }
    }
}

fn certificate(tls: &TlsSource, issuer: &BaseUrl, clock: &Arc<dyn Clock>, report: &mut Report) {
    const CHECK: &str = "certificate";
    let paths = match tls {
        TlsSource::Files(paths) => paths,
        TlsSource::Issued(hosts) => {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            let told = format!("the broker issues it to itself, for {}", hosts.join(", "));
            return report.sound(CHECK, told);
        }
    };
    let files = TlsFiles {
        chain: paths.certificate.clone(),
        key: paths.key.clone(),
    };
    let nobody = WebPkiClientVerifier::no_client_auth();
    if let Err(error) = FileTls::open(files, nobody, Arc::clone(clock)) {
        return report.here(
            CHECK,
            error.to_string(),
            "put certificate chain and key in PEM there, the key with mode 0600",
        );
    }
    let leaf = CertificateDer::from_pem_file(&paths.certificate).ok();
    let host = issuer.host();
    if let Some(leaf) = &leaf
        && !is_for(leaf, host)
    {
        report.unwise(
            CHECK,
            format!("it is not for {host}, where the issuer says that jobs find the broker"),
            "take one for that name, unless a proxy in front of the broker has it",
        );
    }
    let ends = leaf.and_then(|leaf| attest::certificate::ends(&leaf));
    let now = clock.now();
    match ends {
        Some(ends) if ends <= now => report.here(CHECK, "it has expired", "renew it"),
        Some(ends) if ends <= now.plus(SOON) => {
            report.unwise(
                CHECK,
                format!("it ends at {}", ends.whole_seconds()),
                "renew it, and see why that does not happen by itself",
            );
        }
        Some(ends) => report.sound(CHECK, format!("until {}", ends.whole_seconds())),
        None => report.unwise(
            CHECK,
            "its end cannot be read",
            "look at it with openssl x509 -enddate",
        ),
    }
}

/// Whether TLS takes the certificate for this name or address.
fn is_for(leaf: &CertificateDer<'_>, host: &str) -> bool {
    let name = ServerName::try_from(host);
    let parsed = ParsedCertificate::try_from(leaf);
    matches!((name, parsed), (Ok(name), Ok(parsed)) if verify_server_name(&parsed, &name).is_ok())
}

/// A week before its end, something that renews by itself has done so.
const SOON: Duration = Duration::from_hours(24 * 7);
const LEAST_DISK: u64 = 1024 * 1024 * 1024;
