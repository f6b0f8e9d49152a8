//! `writ server`: where objects are wired.

use std::path::PathBuf;

use clap::Args;

use super::CliError;

/// How the broker is started.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  writ server --config /etc/writ/writ.toml")]
pub struct ServerArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "WRIT_CONFIG")]
    pub config: PathBuf,
}

/// Runs the broker until it is told to stop.
#[expect(
    clippy::unused_async,
    reason = "starting a broker waits for its listeners"
)]
pub async fn run(args: ServerArgs) -> Result<(), CliError> {
    Err(CliError::Server {
        what: format!("{} cannot be served", args.config.display()),
        source: None,
    })
}
