//! `writ-practice`: serves a practice world until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use writ_practice::{HookTarget, Options, World, WorldError};

/// A practice world for Writ: look-alikes of GitHub, GitLab and Kubernetes, an issuer of agents' identities
/// and a ticket desk, which are moved by calls below each one's `/control`.
#[derive(Parser)]
#[command(name = "writ-practice", version, after_help = EXAMPLES)]
struct Arguments {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Path prefix of a GitHub; may be given more than once.
    #[arg(long = "issuer", value_name = "PREFIX", default_value = "")]
    issuers: Vec<String>,
    /// Path prefix of a GitLab instance; may be given more than once, as the next ones may.
    #[arg(long = "gitlab", value_name = "PREFIX", default_value = "/gitlab")]
    labs: Vec<String>,
    /// Path prefix of a Kubernetes cluster.
    #[arg(long = "cluster", value_name = "PREFIX", default_value = "/cluster")]
    clusters: Vec<String>,
    /// Path prefix of an issuer of agents' identities.
    #[arg(long, value_name = "PREFIX", default_values = ["/agents", "/platform"])]
    agents: Vec<String>,
    /// Path prefix of a ticket desk.
    #[arg(long = "desk", value_name = "PREFIX", default_value = "/desk")]
    desks: Vec<String>,
    /// Where GitHub's webhooks go.
    #[arg(long)]
    hook_url: Option<String>,
    /// What signs GitHub's webhooks.
    #[arg(
        long,
        env = "WRIT_PRACTICE_HOOK_SECRET",
        hide_env_values = true,
        default_value = ""
    )]
    hook_secret: String,
    /// Certificate authorities in PEM that are trusted where webhooks go.
    #[arg(long, value_name = "PATH")]
    hook_ca_file: Option<PathBuf>,
    /// What the APIs want as token.
    #[arg(long, env = "WRIT_PRACTICE_API_TOKEN", hide_env_values = true)]
    #[arg(default_value = "practice-api-token")]
    api_token: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writ-practice: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), WorldError> {
    let hook_authorities = match arguments.hook_ca_file {
        Some(path) => std::fs::read_to_string(&path)
            .map_err(|why| WorldError::Invalid(format!("{}: {why}", path.display())))?,
        None => String::new(),
    };
    let secret = arguments.hook_secret;
    let hooks = arguments.hook_url.map(|url| HookTarget { url, secret });
    let world = World::start(Options {
        listen: arguments.listen,
        issuers: arguments.issuers,
        labs: arguments.labs,
        clusters: arguments.clusters,
        agents: arguments.agents,
        desks: arguments.desks,
        api_token: arguments.api_token,
        hooks: Vec::from_iter(hooks),
        hook_authorities,
    })
    .await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "practice world on {}", world.base_url())?;
    stdout.flush()?;
    drop(stdout);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    world.stop().await;
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  writ-practice --listen 127.0.0.1:8900
  curl --json '{\"owner\":\"octo\",\"name\":\"app\"}' http://127.0.0.1:8900/control/repos

docs/scenarios/practice.md plays with all of it.";
