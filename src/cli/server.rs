//! `writ server`: runs a configuration.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::serve::{serve_config, told_to_stop};
use crate::telemetry::log::{self, Form};

/// How the broker is started.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  writ server --config /etc/writ/writ.toml")]
pub struct ServerArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "WRIT_CONFIG")]
    pub config: PathBuf,
}

/// Runs the broker until it is told to stop.
pub async fn run(args: ServerArgs) -> Result<(), CliError> {
    log::start(Form::Json);
    let config = super::config::load(&args.config)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            told_to_stop().await;
            tracing::info!("told to stop: letting what is under way finish");
            stop.cancel();
        }
    });
    let ready = |address| tracing::info!(%address, "ready");
    serve_config(config, Some(args.config), stop, ready)
        .await
        .map_err(|why| CliError::Server {
            what: format!("the broker cannot run: {why}"),
            source: None,
        })
}
