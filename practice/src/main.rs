//! `writ-practice`: serves a practice world until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use writ_practice::{HookTarget, Options, World, WorldError};

/// A practice world for Writ: OpenID Provider, GitHub and GitLab look-alikes, signed webhooks.
#[derive(Parser)]
#[command(name = "writ-practice", version)]
struct Arguments {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Path prefix of an issuer; may be given more than once.
    #[arg(long = "issuer", value_name = "PREFIX", default_value = "")]
    issuers: Vec<String>,
    /// Where webhooks go.
    #[arg(long)]
    hook_url: Option<String>,
    /// What signs webhooks.
    #[arg(
        long,
        env = "WRIT_PRACTICE_HOOK_SECRET",
        hide_env_values = true,
        default_value = ""
    )]
    hook_secret: String,
    /// What the API wants as bearer token.
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
    let secret = arguments.hook_secret;
    let hooks = arguments.hook_url.map(|url| HookTarget { url, secret });
    let world = World::start(Options {
        listen: arguments.listen,
        issuers: arguments.issuers,
        labs: Vec::new(),
        clusters: Vec::new(),
        agents: Vec::new(),
        desks: Vec::new(),
        api_token: arguments.api_token,
        hooks: Vec::from_iter(hooks),
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
