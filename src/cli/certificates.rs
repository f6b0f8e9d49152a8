//! The certificates of the listeners: opened at the start, and kept until the server stops. What is in files is
//! read again when it changes, what the broker issues to itself is issued again at half of its life; either is
//! shown from the next handshake on, and ends no connection.

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::cli::wire::StartError;
use crate::jobs::own_certificate::OwnCertificates;
use crate::surface::http::tls::files::{FileTls, Reread, TlsFiles};
use crate::surface::http::tls::{ServerTls, own};
use crate::surface::settings::TlsSource;

/// The certificates of the listeners.
pub(super) struct Certificates {
    broker: Arc<Broker>,
    kept: Vec<Kept>,
}

/// One listener's.
struct Kept {
    listener: &'static str,
    origin: Origin,
}

enum Origin {
    Files(FileTls),
    Own(ServerTls, OwnCertificates),
}

impl Certificates {
    pub(super) const fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            kept: Vec::new(),
        }
    }

    /// What a listener takes for its handshakes.
    pub(super) async fn open(
        &mut self,
        listener: &'static str,
        source: &TlsSource,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>, StartError> {
        let origin = match source {
            TlsSource::Files(paths) => {
                let files = TlsFiles {
                    chain: paths.certificate.clone(),
                    key: paths.key.clone(),
                };
                let clock = Arc::clone(&self.broker.clock);
                Origin::Files(FileTls::open(files, clients, clock)?)
            }
            TlsSource::Issued(hosts) => {
                let mut job = OwnCertificates::new(Arc::clone(&self.broker), hosts.clone());
                let first = job.run(self.broker.clock.now()).await;
                let first = first.map_err(StartError::OwnCertificate)?;
                let first = first.map(own::certified).ok_or_else(unmade)?;
                let clock = Arc::clone(&self.broker.clock);
                let tls = ServerTls::new(first, clients, clock).map_err(StartError::Handshakes)?;
                self.tell_roots(listener);
                Origin::Own(tls, job)
            }
        };
        let kept = Kept { listener, origin };
        kept.count(false);
        let config = kept.tls().config();
        self.kept.push(kept);
        Ok(config)
    }

    /// Looks every second, and reads files again on SIGHUP whether they changed or not.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        // Without certificates a hangup ends the process, as it does any other.
        if self.kept.is_empty() {
            return;
        }
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return;
        };
        let clock = Arc::clone(&self.broker.clock);
        loop {
            tokio::select! {
                () = clock.sleep_until(clock.now().plus(LOOK_EVERY)) => {
                    for kept in &mut self.kept {
                        kept.look(&self.broker).await;
                    }
                }
                told = hangup.recv() => match told {
                    Some(()) => self.kept.iter().for_each(Kept::reload),
                    None => return,
                },
                () = stop.cancelled() => return,
            }
        }
    }

    /// By what whoever fetches the roots knows them to be these.
    fn tell_roots(&self, listener: &'static str) {
        for (_, der) in self.broker.minter.keys.load().roots() {
            let sha256 = fingerprint(der);
            tracing::info!(
                listener,
                sha256,
                "the certificate is this broker's own: clients trust this root, which is at /pki/roots.pem"
            );
        }
    }
}

impl Kept {
    const fn tls(&self) -> &ServerTls {
        match &self.origin {
            Origin::Files(files) => files.tls(),
            Origin::Own(tls, _) => tls,
        }
    }

    async fn look(&mut self, broker: &Broker) {
        let listener = self.listener;
        match &mut self.origin {
            Origin::Files(files) => match files.reread() {
                Reread::Unchanged => {}
                Reread::Taken => self.taken(),
                Reread::Kept(why) => self.kept(&why),
            },
            Origin::Own(tls, job) => match job.run(broker.clock.now()).await {
                Ok(None) => {}
                Ok(Some(next)) => {
                    let (serial, until) = (next.serial, next.expires_at);
                    tls.show(own::certified(next));
                    tracing::info!(listener, %serial, %until, "the broker's own certificate was renewed");
                    self.count(false);
                }
                Err(why) => {
                    let internal = why.internal();
                    tracing::error!(listener, code = %why.code(), internal, "the certificate stays as it was");
                    self.count(true);
                }
            },
        }
    }

    fn reload(&self) {
        let Origin::Files(files) = &self.origin else {
            return;
        };
        match files.reload() {
            Ok(()) => self.taken(),
            Err(why) => self.kept(&why),
        }
    }

    fn taken(&self) {
        tracing::info!(listener = self.listener, "the certificate was read again");
        self.count(false);
    }

    fn kept(&self, why: &dyn std::fmt::Display) {
        tracing::error!(listener = self.listener, %why, "the certificate stays as it was");
        self.count(true);
    }

    /// `stuck`: there should be another certificate, and it cannot be used or made.
    fn count(&self, stuck: bool) {
        let listener = self.listener;
        metrics::gauge!("writ_tls_certificate_stuck", "listener" => listener).set(f64::from(stuck));
        if let Some(ends) = self.tls().expires_at() {
            let ends = f64::from(u32::try_from(ends.seconds()).unwrap_or(u32::MAX));
            metrics::gauge!("writ_tls_certificate_expires_timestamp_seconds", "listener" => listener)
                .set(ends);
        }
    }
}

/// As `openssl x509 -fingerprint -sha256` shows it.
fn fingerprint(der: &[u8]) -> String {
    let digest = digest(&SHA256, der);
    let pairs: Vec<_> = digest.as_ref().iter().map(|b| format!("{b:02X}")).collect();
    pairs.join(":")
}

fn unmade() -> StartError {
    let text = "the broker's own certificate was not made";
    StartError::OwnCertificate(crate::error::Error::new(crate::error::Code::Internal, text))
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
