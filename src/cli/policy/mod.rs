//! `writ policy`: policies looked at without a broker. Nothing here goes out, and nothing is changed.

use clap::Subcommand;

use super::CliError;
use super::out::Out;

mod check;
mod diff;
mod question;
mod simulate;
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
    /// Answer one question, and say what would change the answer
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// Say which questions two sets of policies answer differently
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArgs),
}

pub(super) fn run(command: PolicyCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        PolicyCommand::Check(args) => check::run(&args, out),
        PolicyCommand::Test(args) => test::run(&args, out),
        PolicyCommand::Simulate(args) => simulate::run(&args, out),
        PolicyCommand::Diff(args) => diff::run(&args, out),
    }
}
