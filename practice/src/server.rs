//! Starts the world and serves it on loopback. The accept loop is the world's own, because only
//! below the router can a connection be closed without an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::agents::{self, Agents};
use crate::cluster::{self, Cluster};
use crate::courier::hook_client;
use crate::desk::{self, Desk};
use crate::error::WorldError;
use crate::faults::HangUp;
use crate::gitlab::{self, Lab};
use crate::hooks::{HookTarget, Hooks};
use crate::site::Site;
use crate::{control, github_api, oidc};

/// What a world is started with.
#[derive(Clone)]
pub struct Options {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Path prefixes, each an issuer with a world of its own: `""` or `/name`.
    pub issuers: Vec<String>,
    /// Path prefixes, each a GitLab instance.
    pub labs: Vec<String>,
    /// Path prefixes, each a Kubernetes cluster.
    pub clusters: Vec<String>,
    /// Path prefixes, each an issuer of agents' identities.
    pub agents: Vec<String>,
    /// Path prefixes, each a ticket desk.
    pub desks: Vec<String>,
    /// What the APIs want: GitHub's, a cluster's and a desk's as `Authorization: Bearer`, GitLab's as `PRIVATE-TOKEN`.
    pub api_token: String,
    /// Where every site's events go at first.
    pub hooks: Vec<HookTarget>,
    /// Certificate authorities in PEM, for webhooks to `https`.
    pub hook_authorities: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            issuers: vec![String::new()],
            labs: Vec::new(),
            clusters: Vec::new(),
            agents: Vec::new(),
            desks: Vec::new(),
            api_token: "practice-api-token".to_owned(),
            hooks: Vec::new(),
            hook_authorities: String::new(),
        }
    }
}

/// The practice world.
pub struct World;

impl World {
    /// Starts a world; it serves as long as the answer lives.
    pub async fn start(options: Options) -> Result<Running, WorldError> {
        if !options.listen.ip().is_loopback() {
            return Err(WorldError::Invalid(format!(
                "{} is not loopback",
                options.listen
            )));
        }
        let listener = TcpListener::bind(options.listen).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let mut tasks = JoinSet::new();
        let hook_client = hook_client(&options.hook_authorities)?;
        let mut sites = BTreeMap::new();
        let mut router = Router::new();
        for prefix in &options.issuers {
            check_prefix(prefix)?;
            let (hooks, work) = Hooks::new(options.hooks.clone(), hook_client.clone())?;
            tasks.spawn(work);
            let issuer = format!("{base_url}{prefix}");
            let site = Arc::new(Site::new(&issuer, options.api_token.clone(), hooks)?);
            if sites.insert(prefix.clone(), Arc::clone(&site)).is_some() {
                return Err(WorldError::Exists {
                    kind: "issuer",
                    name: prefix.clone(),
                });
            }
            let served = site_routes(&site);
            router = if prefix.is_empty() {
                router.merge(served)
            } else {
                router.nest(prefix, served)
            };
        }
        let mut taken: BTreeSet<String> = sites.keys().cloned().collect();
        let neighbours = Neighbours::new(&base_url, &options, &hook_client, &mut taken)?;
        let router = neighbours.mounted(router);
        tasks.spawn(serve(listener, router));
        Ok(Running {
            base_url,
            sites,
            neighbours,
            tasks,
        })
    }
}

/// A world that is being served; dropping it ends it at once.
pub struct Running {
    base_url: String,
    sites: BTreeMap<String, Arc<Site>>,
    neighbours: Neighbours,
    tasks: JoinSet<()>,
}

/// What lives beside the sites, each under a prefix of its own.
struct Neighbours {
    labs: BTreeMap<String, Arc<Lab>>,
    clusters: BTreeMap<String, Arc<Cluster>>,
    agents: BTreeMap<String, Arc<Agents>>,
    desks: BTreeMap<String, Arc<Desk>>,
}

impl Neighbours {
    fn new(
        base_url: &str,
        options: &Options,
        http: &reqwest::Client,
        taken: &mut BTreeSet<String>,
    ) -> Result<Self, WorldError> {
        let secret = || options.api_token.clone();
        Ok(Self {
            labs: beside(base_url, &options.labs, taken, |url| {
                Lab::new(url, secret(), http.clone())
            })?,
            clusters: beside(base_url, &options.clusters, taken, |url| {
                Cluster::new(url, secret())
            })?,
            agents: beside(base_url, &options.agents, taken, Agents::new)?,
            desks: beside(base_url, &options.desks, taken, |url| {
                Ok(Desk::new(url, secret(), http.clone()))
            })?,
        })
    }

    fn mounted(&self, mut router: Router) -> Router {
        for (prefix, lab) in &self.labs {
            router = router.nest(prefix, gitlab::routes(lab));
        }
        for (prefix, cluster) in &self.clusters {
            router = router.nest(prefix, cluster::routes(cluster));
        }
        for (prefix, issuer) in &self.agents {
            router = router.nest(prefix, agents::routes(issuer));
        }
        for (prefix, desk) in &self.desks {
            router = router.nest(prefix, desk::routes(desk));
        }
        router
    }
}

impl Running {
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The site under that prefix (`""` unless the options named others).
    pub fn site(&self, prefix: &str) -> Result<&Arc<Site>, WorldError> {
        self.sites
            .get(prefix)
            .ok_or_else(|| WorldError::unknown("issuer", prefix))
    }

    /// The GitLab instance under that prefix.
    pub fn lab(&self, prefix: &str) -> Result<&Arc<Lab>, WorldError> {
        self.neighbours
            .labs
            .get(prefix)
            .ok_or_else(|| WorldError::unknown("GitLab instance", prefix))
    }

    /// The cluster under that prefix.
    pub fn cluster(&self, prefix: &str) -> Result<&Arc<Cluster>, WorldError> {
        self.neighbours
            .clusters
            .get(prefix)
            .ok_or_else(|| WorldError::unknown("cluster", prefix))
    }

    /// The issuer of agents' identities under that prefix.
    pub fn agents(&self, prefix: &str) -> Result<&Arc<Agents>, WorldError> {
        self.neighbours
            .agents
            .get(prefix)
            .ok_or_else(|| WorldError::unknown("issuer of agents", prefix))
    }

    /// The desk under that prefix.
    pub fn desk(&self, prefix: &str) -> Result<&Arc<Desk>, WorldError> {
        self.neighbours
            .desks
            .get(prefix)
            .ok_or_else(|| WorldError::unknown("desk", prefix))
    }

    /// Ends the world and waits until nothing of it runs.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

fn site_routes(site: &Arc<Site>) -> Router {
    oidc::routes(site)
        .nest("/api", github_api::routes(site))
        .nest("/control", control::routes())
        .with_state(Arc::clone(site))
}

/// What lives beside the issuers, each under a prefix that nobody has yet.
fn beside<T>(
    base_url: &str,
    prefixes: &[String],
    taken: &mut BTreeSet<String>,
    make: impl Fn(&str) -> Result<T, WorldError>,
) -> Result<BTreeMap<String, Arc<T>>, WorldError> {
    let mut all = BTreeMap::new();
    for prefix in prefixes {
        check_prefix(prefix)?;
        if prefix.is_empty() || !taken.insert(prefix.clone()) {
            return Err(bad_prefix(prefix));
        }
        all.insert(
            prefix.clone(),
            Arc::new(make(&format!("{base_url}{prefix}"))?),
        );
    }
    Ok(all)
}

/// One segment, so that no issuer's paths lie within another's.
fn check_prefix(prefix: &str) -> Result<(), WorldError> {
    let Some(name) = prefix.strip_prefix('/') else {
        return if prefix.is_empty() {
            Ok(())
        } else {
            Err(bad_prefix(prefix))
        };
    };
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if name.is_empty() || !plain || ["api", "control", "token"].contains(&name) {
        return Err(bad_prefix(prefix));
    }
    Ok(())
}

fn bad_prefix(prefix: &str) -> WorldError {
    WorldError::Invalid(format!(
        "{prefix:?} is no issuer prefix: it is empty or /name"
    ))
}

async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(converse(stream, router.clone()))),
            // Out of descriptors, or a peer that has gone already: neither is for ever.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answering = inner.call(request);
        async move { answering.await.map_err(never).and_then(sendable) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // A connection ends in an error when the peer leaves it or when it is hung up on purpose.
    drop(connection.await);
}

fn sendable(response: Response) -> io::Result<Response> {
    if response.extensions().get::<HangUp>().is_some() {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(response)
}

fn never(impossible: Infallible) -> io::Error {
    match impossible {}
}

const MAX_CONNECTIONS: usize = 4_096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
