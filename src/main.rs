//! Parses the arguments, does what they ask, and says how it went.

use std::process::ExitCode;

use clap::Parser as _;
use writ::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(stop) => return cli::usage(&stop),
    };
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
