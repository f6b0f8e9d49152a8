//! The command: started with what it needs, told what this process is told, and its end is this
//! process's end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use futures_util::FutureExt as _;
use futures_util::future;
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::super::CliError;

/// What the command finds in its environment beside what this process has.
pub(super) type Environment = Vec<(String, OsString)>;

/// A command that runs.
pub(super) struct Running(Child);

/// The signals that are the command's to answer.
pub(super) struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

impl Running {
    /// Starts it in this process's group, so that whoever ends the group ends both, and [tied](super::tied) to
    /// this process, so that it does not stay behind when this one is killed.
    pub(super) fn start(command: &[OsString], more: Environment) -> Result<Self, CliError> {
        let failed = |source| CliError::Io {
            what: "the command cannot be started".to_owned(),
            source,
        };
        let own = std::env::current_exe().map_err(failed)?;
        let child = Command::new(own)
            .args(["tied", "--to", &std::process::id().to_string(), "--"])
            .args(command)
            .envs(more)
            .spawn();
        child.map(Self).map_err(failed)
    }

    pub(super) async fn ended(&mut self) -> Result<ExitStatus, CliError> {
        self.0.wait().await.map_err(|source| CliError::Io {
            what: "the command cannot be waited for".to_owned(),
            source,
        })
    }

    /// Sends it a signal, if it still runs.
    pub(super) fn send(&self, signal: Signal) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may end in this moment, which is all that a signal could do.
            kill_process(id, signal).ok();
        }
    }

    /// Passes on what this process was sent, unless the terminal has sent it to both.
    pub(super) fn pass_on(&self, signal: Signal) {
        let typed = matches!(signal, Signal::INT | Signal::QUIT);
        if !(typed && is_foreground()) {
            self.send(signal);
        }
    }
}

impl Signals {
    /// From now on these signals do not end this process.
    pub(super) fn catch() -> Result<Self, CliError> {
        let caught: io::Result<Vec<_>> = [
            Signal::HUP,
            Signal::INT,
            Signal::QUIT,
            Signal::USR1,
            Signal::USR2,
            Signal::TERM,
        ]
        .into_iter()
        .map(|which| Ok((which, signal(SignalKind::from_raw(which.as_raw()))?)))
        .collect();
        caught.map(Self).map_err(|source| CliError::Io {
            what: "signals cannot be caught".to_owned(),
            source,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        let waits = self.0.iter_mut().map(|(which, stream)| {
            let which = *which;
            stream.recv().map(move |_| which).boxed()
        });
        future::select_all(waits).await.0
    }
}

/// The exit code that tells how the command ended: its own, or 128 and its signal's number, as a
/// shell says it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let own = status.code();
    let code = own.or_else(|| status.signal().map(of_signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The exit code of an end by this signal.
pub(super) const fn of_signal(number: i32) -> i32 {
    128 + number
}

/// Whether a name would be looked for on the search path and is not there, or is no program.
pub(super) fn is_missing(program: &OsStr, search: Option<&OsStr>) -> bool {
    let exists = |path: &std::path::Path| path.is_file();
    if program.as_encoded_bytes().contains(&b'/') {
        return !exists(program.as_ref());
    }
    // Without a search path the system has one of its own.
    let Some(search) = search else { return false };
    let mut directories = std::env::split_paths(search);
    !directories.any(|directory| exists(&directory.join(program)))
}

/// Whether keys typed at a terminal signal this process, and the command in the same group as well.
fn is_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_passed_on_and_a_signal_is_told_as_a_shell_tells_it() {
        // The wait status of POSIX: the code in the second byte, or the signal in the first.
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(42 << 8)), 42);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
        assert_eq!(exit_code(ExitStatus::from_raw(9 | 0x80)), 137);
    }

    #[test]
    fn a_command_that_is_not_there_is_known_before_anything_is_issued() {
        let search = Some(OsStr::new("/nonexistent:/bin:/usr/bin"));
        assert!(!is_missing(OsStr::new("sh"), search));
        assert!(!is_missing(OsStr::new("/bin/sh"), None));
        assert!(is_missing(OsStr::new("no-such-program-5d1f"), search));
        assert!(is_missing(OsStr::new("/bin"), search));
        assert!(!is_missing(OsStr::new("sh"), None));
    }
}
