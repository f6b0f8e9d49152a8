//! Parses the arguments, does what they ask, and says how it went.

use std::process::ExitCode;

use clap::Parser as _;
use writ::cli::{self, Cli};

/// A request makes some thousand small values that live for a millisecond, on every thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(stop) => return cli::usage(&stop),
    };
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => cli::report(&error),
    }
}
