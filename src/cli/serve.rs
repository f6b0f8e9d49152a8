//! Serving: every listener and every job of a broker, from its configuration until it is told to
//! stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::cli::wire::{StartError, Wired, wire};
use crate::config::Config;
use crate::jobs::loops;
use crate::seams::{SystemClock, SystemEntropy};
use crate::surface::http::admin::gate::Operators;
use crate::surface::http::admin::{self, AdminState};
use crate::surface::http::clients::OwnClients;
use crate::surface::http::platform::{self, Platform};
use crate::surface::http::public;
use crate::surface::http::serve::{Limits, Listener, serve};
use crate::surface::http::tls::{ServerTls, TlsFiles};
use crate::surface::settings::ListenSettings;
use crate::surface::socket::{self, Access};

/// Runs a server until `stop`, and lets what is under way finish.
///
/// `ready` is called once every listener accepts, with the public address that was bound.
pub async fn serve_config(
    config: Config,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), StartError> {
    let clock: Arc<dyn crate::seams::Clock> = Arc::new(SystemClock);
    let metrics = recorder()?;
    let wired = wire(&config, Arc::clone(&clock), Arc::new(SystemEntropy)).await?;
    let tcp = bind(config.listen.address).await?;
    let address = tcp
        .local_addr()
        .map_err(|e| StartError::Listen(config.listen.address.to_string(), e))?;
    let (public_listener, tls) = secured(tcp, &config.listen, &wired.broker)?;
    let limits = limits(&config.listen);

    let mut serving = JoinSet::new();
    serving.spawn(serve(
        public_listener,
        public::router(Arc::clone(&wired.public)),
        limits.clone(),
        stop.clone(),
    ));
    if let Some(at) = config.listen.metrics {
        let platform = Platform {
            broker: Arc::clone(&wired.broker),
            metrics,
        };
        let router = platform::router(Arc::new(platform));
        serving.spawn(serve(
            Listener::Tcp(bind(at).await?),
            router,
            limits.clone(),
            stop.clone(),
        ));
    }
    if let Some(socket) = &config.listen.admin {
        let access = if socket.uids.is_empty() {
            Access::Owner
        } else {
            Access::Anyone
        };
        let bound = socket::bind(&socket.path, access)?;
        let router = admin_router(&wired, &socket.uids)?;
        serving.spawn(serve(Listener::Unix(bound), router, limits, stop.clone()));
    }
    let store = Arc::clone(&wired.broker.store);
    let fatal = wired.fatal.clone();
    let jobs = background(wired, &stop);
    let reload = tls.map(|tls| tokio::spawn(reload_on_hangup(tls, stop.clone())));
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
    if let Some(reload) = reload {
        reload.abort();
    }
    store.close().await;
    Ok(())
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

fn admin_router(wired: &Wired, uids: &BTreeSet<u32>) -> Result<Router, StartError> {
    let operators = Operators::of_this_machine(uids)
        .map_err(|e| StartError::Listen("the local accounts".to_owned(), e))?;
    Ok(admin::router(Arc::new(AdminState {
        broker: Arc::clone(&wired.broker),
        operators,
    })))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|e| StartError::Listen(address.to_string(), e))
}

/// The public listener, with TLS where it is configured; there callers may show a certificate of this
/// broker.
fn secured(
    tcp: TcpListener,
    listen: &ListenSettings,
    broker: &Arc<Broker>,
) -> Result<(Listener, Option<ServerTls>), StartError> {
    let Some(paths) = &listen.tls else {
        return Ok((Listener::Tcp(tcp), None));
    };
    let files = TlsFiles {
        chain: paths.certificate.clone(),
        key: paths.key.clone(),
    };
    let clients = Arc::new(OwnClients::new(Arc::clone(broker)));
    let tls = ServerTls::open(files, clients, Arc::clone(&broker.clock))?;
    Ok((Listener::Tls(tcp, tls.current()), Some(tls)))
}

/// A new certificate is taken on SIGHUP; one that cannot be used leaves the old one in force.
async fn reload_on_hangup(tls: ServerTls, stop: CancellationToken) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
    else {
        return;
    };
    while stop
        .run_until_cancelled(hangup.recv())
        .await
        .flatten()
        .is_some()
    {
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(why) => tracing::error!(%why, "the certificate stays as it was"),
        }
    }
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
