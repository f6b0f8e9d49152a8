//! `writ server`: a configuration, run until the process is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::log::{self, LogArgs};
use super::{CliError, server};
use crate::config::{self, Config, Problem};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServerArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "WRIT_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) async fn run(args: &ServerArgs) -> Result<(), CliError> {
    log::start(&args.log)?;
    let config = config::load(&args.config).map_err(|problems| refused(&problems))?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    until_told(config, |address| tracing::info!(%address, "ready")).await
}

/// Serves until SIGTERM or SIGINT, and lets what is under way finish.
pub(super) async fn until_told(
    config: Config,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let stop = CancellationToken::new();
    let mut serving = Box::pin(server::run(config, stop.clone(), ready));
    let served = tokio::select! {
        served = &mut serving => served,
        () = server::told_to_stop() => {
            stop.cancel();
            serving.await
        }
    };
    served.map_err(|error| CliError::Server {
        what: "the broker cannot run".to_owned(),
        source: Box::new(error),
    })
}

/// A configuration that is no ground to start on.
pub(super) fn refused(problems: &[Problem]) -> CliError {
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    CliError::Unsound(format!(
        "the configuration is refused\n{}",
        told.join("\n")
    ))
}

const EXAMPLES: &str = "\
Example:
  writ server --config /etc/writ/writ.toml

SIGTERM and SIGINT end it in good order; SIGHUP reads the TLS certificate again.";
