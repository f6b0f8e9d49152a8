//! `writ completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::out::Out;
use super::{Cli, CliError};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  writ completions bash > /etc/bash_completion.d/writ")]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, out: &mut Out) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "writ", &mut script);
    out.bytes(&script)
}
