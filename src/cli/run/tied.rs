//! The moment between this program and the command: the process becomes the command, after it has arranged
//! to be told when the one that started it dies.
//!
//! `writ run` starts itself in this form. A signal at the death of a parent is asked for by the child, from
//! the inside, and stays over `execve` (prctl(2), `PR_SET_PDEATHSIG`), so that this needs no code between
//! fork and exec.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::super::CliError;
use super::child::of_signal;

#[derive(Debug, Args)]
pub(in crate::cli) struct TiedArgs {
    /// The process that has to live
    #[arg(long, value_name = "PID")]
    to: i32,
    /// The command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the command, which is sent SIGTERM when its parent dies.
pub(in crate::cli) fn tied(args: &TiedArgs) -> Result<ExitCode, CliError> {
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|errno| CliError::Io {
        what: "the command cannot be tied to its parent".to_owned(),
        source: errno.into(),
    })?;
    // It may have died before that was arranged.
    if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(args.to) {
        return Ok(ended_by(Signal::TERM));
    }
    let (program, arguments) = args
        .command
        .split_first()
        .ok_or_else(|| CliError::Usage("there is no command".to_owned()))?;
    // It returns only when it fails.
    let source = Command::new(program).args(arguments).exec();
    Err(CliError::Io {
        what: format!("{} cannot be started", program.display()),
        source,
    })
}

fn ended_by(signal: Signal) -> ExitCode {
    u8::try_from(of_signal(signal.as_raw())).map_or(ExitCode::FAILURE, ExitCode::from)
}
