//! A token on a descriptor: in memory only, read by the command as a file, on no disk.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::super::CliError;

/// The descriptor that was asked for, reserved while the number is still free.
#[derive(Debug)]
pub(in crate::cli) struct Descriptor {
    memory: File,
    /// The same memory under the number that the command inherits.
    inherited: OwnedFd,
}

impl Descriptor {
    /// Takes the number. Has to come before anything else opens something.
    pub(super) fn reserve(number: u16) -> Result<Self, CliError> {
        let memory = memfd_create("writ-token", MemfdFlags::CLOEXEC).map_err(unusable)?;
        let inherited = fcntl_dupfd_cloexec(&memory, i32::from(number)).map_err(unusable)?;
        let memory = File::from(memory);
        if inherited.as_raw_fd() == i32::from(number) {
            return Ok(Self { memory, inherited });
        }
        // The memory itself may have got the number that was wanted.
        if memory.as_raw_fd() == i32::from(number) {
            return Ok(Self {
                memory: File::from(inherited),
                inherited: OwnedFd::from(memory),
            });
        }
        let what = format!("descriptor {number} is open already; choose another for --token-fd");
        Err(CliError::Usage(what))
    }

    /// Writes the token, and lets the next command that is started inherit it.
    pub(super) fn fill(&mut self, token: &[u8]) -> Result<(), CliError> {
        let written = self.memory.write_all(token);
        written
            .and_then(|()| self.memory.rewind())
            .and_then(|()| Ok(fcntl_setfd(&self.inherited, FdFlags::empty())?))
            .map_err(unusable)
    }
}

fn unusable(source: impl Into<std::io::Error>) -> CliError {
    CliError::Io {
        what: "the descriptor for the token cannot be used".to_owned(),
        source: source.into(),
    }
}
