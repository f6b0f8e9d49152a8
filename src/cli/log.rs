//! What a running broker says of itself, on standard error.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::CliError;

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// What to log: a level, or levels by module as in `info,writ::context=debug`
    #[arg(long, value_name = "FILTER", env = "WRIT_LOG", default_value = "info")]
    log: String,
    /// Lines for eyes, or one JSON object per line
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Starts logging, once per process.
pub(super) fn start(args: &LogArgs) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| CliError::Usage(format!("--log cannot be read: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = match args.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| CliError::Usage(format!("the log cannot be started: {error}")))
}
