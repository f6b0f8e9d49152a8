//! `writ doctor`: what keeps a job from its credential, or a broker from its work, each with its mend.
//! It changes nothing, and asks for no credential.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CliError;
use super::out::Out;
use super::run::ExamineArgs;

mod around;
mod report;
mod running;
mod server;

pub(super) use report::Report;

#[derive(Debug, Subcommand)]
pub(super) enum DoctorCommand {
    /// Look from a job's side: the way to the broker, the clock, the ID token
    #[command(after_help = JOB)]
    Job(ExamineArgs),
    /// Look from the broker's side: configuration, keys, certificate, issuers, APIs, webhooks
    #[command(after_help = SERVER)]
    Server(ServerArgs),
}

#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The broker's configuration file
    #[arg(
        long,
        env = "WRIT_CONFIG",
        default_value = "/etc/writ/writ.toml",
        value_name = "PATH"
    )]
    config: PathBuf,
}

pub(super) async fn run(command: DoctorCommand, out: &mut Out) -> Result<(), CliError> {
    let report = match command {
        DoctorCommand::Job(args) => super::run::examine(args).await,
        DoctorCommand::Server(args) => server::examine(&args.config).await,
    };
    report.end(out)
}

const JOB: &str = "\
Example:
  writ doctor job --issuer https://writ.example

Run it as a step of the job that has trouble. Exit codes: 0 nothing is broken, 1 something here is, \
2 only the other side is.";

const SERVER: &str = "\
Example:
  sudo writ doctor server --config /etc/writ/writ.toml

Run it on the broker's machine, as root or as the broker's user. Exit codes: 0 nothing is broken, \
1 something here is, 2 only the other side is.";
