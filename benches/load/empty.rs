//! The empty handler: the broker's own accept loop and TLS in a process of its own, and behind them
//! nothing. What a path costs above it is the path's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child as Process, Command};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use writ::seams::SystemClock;
use writ::surface::http::serve::{Limits, Listener, serve};
use writ::surface::http::tls::files::{FileTls, TlsFiles};

use crate::client::{Answer, Target};
use crate::drive::{Load, Window, median};
use crate::fault::Fault;
use crate::place::{CERTIFICATE, KEY, Place};
use crate::plan::Plan;
use crate::process::Cpu;
use crate::requests::Requests;

/// The process that serves it.
pub(crate) struct Child {
    process: Process,
    target: Target,
    requests: Requests,
}

/// The directory of the certificate, where this process was started to be the empty handler.
pub(crate) fn asked_for(arguments: &[String]) -> Option<PathBuf> {
    match arguments {
        [_, word, place] if word == WORD => Some(PathBuf::from(place)),
        _ => None,
    }
}

/// Serves until the process is killed, and says at which port.
pub(crate) fn serve_until_killed(place: &Path) -> Result<(), Fault> {
    Runtime::new()?.block_on(async {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", tcp.local_addr()?.port());
        let files = TlsFiles {
            chain: place.join(CERTIFICATE),
            key: place.join(KEY),
        };
        let tls = FileTls::open(
            files,
            WebPkiClientVerifier::no_client_auth(),
            Arc::new(SystemClock),
        )
        .map_err(Fault::of)?;
        let router = Router::new().fallback(post(nothing));
        let listener = Listener::Tls(tcp, tls.tls().config());
        serve(
            listener,
            router,
            Limits::default(),
            CancellationToken::new(),
        )
        .await;
        Ok(())
    })
}

async fn nothing(body: Bytes) -> &'static str {
    drop(body);
    "{}"
}

impl Child {
    pub(crate) fn start(runtime: &Runtime, place: &Place) -> Result<Self, Fault> {
        runtime.block_on(Self::started(place))
    }

    async fn started(place: &Place) -> Result<Self, Fault> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(place.path("").as_path() as &Path)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take();
        let stdout = stdout.ok_or_else(|| Fault::of("the empty handler has no output"))?;
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port).await?;
        let port = port.trim().parse().map_err(Fault::of)?;
        let target = place.target_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let requests = Requests::to(place);
        Ok(Self {
            process,
            target,
            requests,
        })
    }

    /// As fast as it goes, with a request as large as an exchange.
    pub(crate) fn measure(&self, plan: &Plan, sample: &[String]) -> Result<Window, Fault> {
        self.run(plan, sample, None, plan.reads)
    }

    /// At a pace, in requests a second.
    pub(crate) fn paced(&self, plan: &Plan, sample: &[String], pace: f64) -> Result<Window, Fault> {
        self.run(plan, sample, Some(pace), plan.reads / 2)
    }

    fn run(
        &self,
        plan: &Plan,
        sample: &[String],
        pace: Option<f64>,
        count: usize,
    ) -> Result<Window, Fault> {
        let token = sample.first().map_or("", String::as_str);
        let one = self.requests.exchange(token);
        let mut windows = vec![vec![one.clone(); plan.warm()]];
        windows.extend((0..plan.windows).map(|_| vec![one.clone(); count]));
        let load = Load {
            targets: std::slice::from_ref(&self.target),
            of: Cpu::of(&self.process)?,
            wanted: |answer: &Answer<'_>| answer.status == 200,
            keep: false,
            pace,
            limit: plan.limit,
        };
        Ok(median(&load.run(&windows)?.windows))
    }
}

/// What tells this program to be the empty handler.
const WORD: &str = "empty-handler";
