//! `writ policy`: policies looked at without a broker. Nothing here goes out, and nothing is changed.

use clap::Subcommand;

use super::CliError;
use super::out::Out;

mod check;
mod sources;
mod test;
mod told;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Say everything that is wrong with policies, and what is unwise
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Decide the cases that ship with policies, and say which are decided otherwise than they say
    #[command(after_help = test::EXAMPLES)]
    Test(test::TestArgs),
}

pub(super) fn run(command: PolicyCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        PolicyCommand::Check(args) => check::run(&args, out),
        PolicyCommand::Test(args) => test::run(&args, out),
    }
}
