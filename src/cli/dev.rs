//! `writ dev`: a broker for one developer on one machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::CliError;

/// What a developer's broker is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DevArgs {
    /// Where the database, the keys and the admin socket are kept; a temporary directory by default
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8420")]
    pub listen: SocketAddr,
    /// The loopback address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub ci: DevCiArgs,
}

/// The one CI system and repository that a developer's broker trusts.
#[derive(Debug, Args)]
pub struct DevCiArgs {
    /// The issuer of the CI's ID tokens
    #[arg(long, value_name = "URL", requires_all = ["api", "repository_id", "environment"])]
    pub issuer: Option<String>,
    /// The CI's API
    #[arg(long, value_name = "URL", requires = "issuer")]
    pub api: Option<String>,
    /// A file with the token that the API takes
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub api_token_file: Option<PathBuf>,
    /// A file with the secret that webhooks are signed with
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub webhook_secret_file: Option<PathBuf>,
    /// The id of the repository whose jobs are trusted
    #[arg(long, value_name = "ID", requires = "issuer")]
    pub repository_id: Option<String>,
    /// The environment that its jobs deploy to
    #[arg(long, value_name = "NAME", requires = "issuer")]
    pub environment: Option<String>,
}

/// Runs a developer's broker until it is told to stop.
#[expect(
    clippy::unused_async,
    reason = "starting a broker waits for its listeners"
)]
pub async fn run(args: DevArgs) -> Result<(), CliError> {
    Err(CliError::Server {
        what: format!("{} cannot be served", args.listen),
        source: None,
    })
}

const EXAMPLES: &str = "\
Examples:
  writ dev
  writ dev --data ./writ-data --listen 127.0.0.1:8420
  writ dev --issuer http://127.0.0.1:8900 --api http://127.0.0.1:8900/api \\
           --repository-id 812345 --environment production";
