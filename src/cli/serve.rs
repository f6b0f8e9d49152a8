//! Serving: every listener and every job of a broker, from its configuration until it is told to
//! stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::apply::Configuration;
use crate::cli::certificates::Certificates;
use crate::cli::reload::configuration;
use crate::cli::wire::{StartError, Wired, wire};
use crate::cli::wire_sources::operators;
use crate::cli::wire_traces::traces;
use crate::config::Config;
use crate::jobs::loops;
use crate::seams::{SystemClock, SystemEntropy};
use crate::surface::http::admin::gate::Operators;
use crate::surface::http::admin::{self, AdminState};
use crate::surface::http::clients::OwnClients;
use crate::surface::http::platform::{self, Platform};
use crate::surface::http::proxies::Proxies;
use crate::surface::http::public;
use crate::surface::http::serve::{Drained, Limits, Listener, serve, serve_behind};
use crate::surface::http::traced::traced;
use crate::surface::settings::{AdminSocket, ListenSettings, TlsSource};
use crate::surface::socket::{self, Access};
use crate::telemetry::trace::Tracer;

/// The listeners at work.
struct Doors {
    serving: JoinSet<Drained>,
    certificates: Certificates,
    limits: Limits,
    stop: CancellationToken,
    tracer: Option<Arc<Tracer>>,
    configuration: Arc<dyn Configuration>,
}

/// Runs a server until `stop`, and lets what is under way finish.
///
/// `ready` is called once every listener accepts, with the public address that was bound.
pub async fn serve_config(
    config: Config,
    file: Option<PathBuf>,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), StartError> {
    let clock: Arc<dyn crate::seams::Clock> = Arc::new(SystemClock);
    let metrics = recorder()?;
    let wired = wire(&config, Arc::clone(&clock), Arc::new(SystemEntropy)).await?;
    let (tracer, sending) = traces(&config, &clock)?;
    let mut doors = Doors {
        serving: JoinSet::new(),
        certificates: Certificates::new(Arc::clone(&wired.broker)),
        limits: limits(&config.listen),
        stop: stop.clone(),
        tracer,
        configuration: configuration(&wired.broker, file, &config, &stop),
    };
    let tcp = bind(config.listen.address).await?;
    let address = tcp
        .local_addr()
        .map_err(|e| StartError::Listen(config.listen.address.to_string(), e))?;
    let public = public::router(Arc::clone(&wired.public));
    // There callers may show a certificate of this broker.
    let own: Arc<dyn ClientCertVerifier> = Arc::new(OwnClients::new(Arc::clone(&wired.broker)));
    let tls = config.listen.tls.as_ref().zip(Some(own));
    let name = ("public", config.listen.proxies.clone());
    doors.open_tcp(name, tcp, tls, public).await?;
    if let Some(socket) = &config.listen.admin {
        doors.open_socket(socket, &wired)?;
    }
    doors.open_operators(&config, &wired).await?;
    // Last, so that whoever is told that this replica is ready finds every other door open.
    if let Some(at) = config.listen.metrics {
        doors.open_platform(at, &wired, metrics).await?;
    }
    let Doors {
        mut serving,
        certificates,
        tracer,
        ..
    } = doors;
    // The listeners hold it from here on, and it ends with the last of them.
    drop(tracer);
    let store = Arc::clone(&wired.broker.store);
    let fatal = wired.fatal.clone();
    let jobs = background(wired, &stop);
    let keeping = tokio::spawn(certificates.keep(stop.clone()));
    ready(address);

    tokio::select! {
        () = stop.cancelled() => {}
        () = fatal.cancelled() => {
            tracing::error!("the store cannot know what is durable: stopping");
            stop.cancel();
        }
    }
    while serving.join_next().await.is_some() {}
    jobs.join_all().await;
    keeping.abort();
    sending.end().await;
    store.close().await;
    Ok(())
}

impl Doors {
    fn open(&mut self, listener: Listener, router: Router) {
        let served = serve(listener, router, self.limits.clone(), self.stop.clone());
        self.serving.spawn(served);
    }

    fn router(&self, wired: &Wired, operators: Operators) -> Router {
        admin::router(Arc::new(AdminState {
            broker: Arc::clone(&wired.broker),
            operators,
            configuration: Arc::clone(&self.configuration),
        }))
    }

    /// For the operators on this machine.
    fn open_socket(&mut self, socket: &AdminSocket, wired: &Wired) -> Result<(), StartError> {
        let access = if socket.uids.is_empty() {
            Access::Owner
        } else {
            Access::Anyone
        };
        let bound = socket::bind(&socket.path, access)?;
        let operators = Operators::of_this_machine(&socket.uids)
            .map_err(|e| StartError::Listen("the local accounts".to_owned(), e))?;
        let router = traced(self.router(wired, operators), self.tracer.as_ref());
        self.open(Listener::Unix(bound), router);
        Ok(())
    }

    /// For the platform that runs the broker.
    async fn open_platform(
        &mut self,
        at: SocketAddr,
        wired: &Wired,
        metrics: PrometheusHandle,
    ) -> Result<(), StartError> {
        let platform = Platform {
            broker: Arc::clone(&wired.broker),
            metrics,
        };
        let router = platform::router(Arc::new(platform));
        self.open(Listener::Tcp(bind(at).await?), router);
        Ok(())
    }

    /// For the operators who are elsewhere, if there are any.
    async fn open_operators(&mut self, config: &Config, wired: &Wired) -> Result<(), StartError> {
        let Some((door, settings)) = &config.operators else {
            return Ok(());
        };
        let issuer = operators(settings, config, &wired.broker.clock)?;
        let router = self.router(wired, Operators::Remote(Arc::new(issuer)));
        let nobody = WebPkiClientVerifier::no_client_auth();
        let tls = door.tls.as_ref().zip(Some(nobody));
        let name = ("operators", door.proxies.clone());
        let tcp = bind(door.address).await?;
        self.open_tcp(name, tcp, tls, router).await
    }

    /// With TLS where it is configured, for whoever shows a certificate that is taken, or none.
    async fn open_tcp(
        &mut self,
        (name, proxies): (&'static str, Proxies),
        tcp: TcpListener,
        tls: Option<(&TlsSource, Arc<dyn ClientCertVerifier>)>,
        router: Router,
    ) -> Result<(), StartError> {
        let router = traced(router, self.tracer.as_ref());
        let listener = match tls {
            None => Listener::Tcp(tcp),
            Some((source, clients)) => {
                Listener::Tls(tcp, self.certificates.open(name, source, clients).await?)
            }
        };
        let (limits, stop) = (self.limits.clone(), self.stop.clone());
        let served = serve_behind(proxies, listener, router, limits, stop);
        self.serving.spawn(served);
        Ok(())
    }
}

/// The jobs beside the requests.
fn background(wired: Wired, stop: &CancellationToken) -> JoinSet<()> {
    let Wired {
        broker,
        rereads,
        sequencer,
        rotation,
        revocations,
        ..
    } = wired;
    let mut jobs = JoinSet::new();
    jobs.spawn(loops::sequence(
        sequencer,
        Arc::clone(&broker.clock),
        stop.clone(),
    ));
    jobs.spawn(loops::follow(Arc::clone(&broker), stop.clone()));
    jobs.spawn(loops::sweep(Arc::clone(&broker), stop.clone()));
    jobs.spawn(loops::rotate(
        rotation,
        Arc::clone(&broker.clock),
        stop.clone(),
    ));
    jobs.spawn(loops::list_revoked(
        revocations,
        Arc::clone(&broker.clock),
        stop.clone(),
    ));
    jobs.spawn(loops::keep_tokens(Arc::clone(&broker), stop.clone()));
    jobs.spawn(loops::patrol(Arc::clone(&broker), stop.clone()));
    jobs.spawn(loops::reread(
        Arc::clone(&broker),
        Arc::clone(&rereads),
        stop.clone(),
    ));
    jobs.spawn(loops::retry(broker, rereads, stop.clone()));
    jobs
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|e| StartError::Listen(address.to_string(), e))
}

fn limits(listen: &ListenSettings) -> Limits {
    Limits {
        connections: listen.max_connections,
        drain: listen.drain,
        ..Limits::default()
    }
}

/// Counts and times, in buckets that fit answers between a tenth of a millisecond and ten seconds.
fn recorder() -> Result<PrometheusHandle, StartError> {
    let failed = |e: metrics_exporter_prometheus::BuildError| StartError::Metrics(e.to_string());
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)
        .map_err(failed)?
        .install_recorder()
        .map_err(failed)
}

const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Completes when the process is told to end.
pub async fn told_to_stop() {
    let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut term) = term else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
