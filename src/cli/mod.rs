//! The command line. It decides nothing: each subcommand is one call to the admin socket, a check of a
//! file that needs no broker at all, or (`run`) a client like any other.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apply;
mod audit;
mod audit_file;
mod certificates;
mod client;
mod completions;
mod config;
pub mod dev;
mod dev_tls;
mod doctor;
mod error;
mod explain;
mod find;
mod freeze;
mod generations;
mod init;
mod key;
mod login;
mod oidc;
mod out;
mod permit;
mod policy;
mod profile;
mod quarantine;
mod reload;
mod remote;
mod resource_server;
mod revoke;
mod risk;
mod run;
mod secret;
pub mod serve;
pub mod server;
mod svid;
mod table;
mod task;
mod text;
mod watch;
mod way;
mod why;
pub mod wire;
mod wire_sources;
mod wire_traces;

pub use error::{CliError, Refused};

use crate::domain::url::BaseUrl;
use client::Admin;
use login::{LogoutArgs, WhoamiArgs};
use out::{Format, Out};
use remote::{Remote, Shown};
use run::Descriptor;

/// A short-lived credential broker: every credential belongs to a task and dies with it.
#[derive(Debug, Parser)]
#[command(name = "writ", version, about, long_about = LONG, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, infer_subcommands = false)]
pub struct Cli {
    /// The broker's admin socket
    #[arg(long, global = true, env = "WRIT_ADMIN_SOCKET", value_name = "PATH", help_heading = OPERATORS)]
    #[arg(default_value = "/run/writ/admin.sock", hide_env_values = true)]
    socket: PathBuf,

    /// The operators' address of a broker elsewhere, in place of the socket: see `writ login`
    #[arg(long, global = true, env = "WRIT_ADMIN_URL", value_name = "URL", help_heading = OPERATORS)]
    #[arg(value_parser = remote::server)]
    server: Option<BaseUrl>,

    /// Tables for eyes, or the API's JSON as it is
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, help_heading = OPERATORS)]
    output: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker
    Server(server::ServerArgs),
    /// Run a broker for one developer on this machine
    Dev(dev::DevArgs),
    /// Run a command with a credential that is renewed while it runs and revoked when it ends
    #[command(long_about = run::LONG)]
    Run(Box<run::RunArgs>),
    /// Become a command that ends with the process that started it: how `run` starts its own
    #[command(
        hide = true,
        after_help = "Example:\n  writ tied --to $$ -- ./deploy.sh"
    )]
    Tied(run::TiedArgs),
    /// Write what a broker in production begins with: configuration, keys and a systemd unit
    Init(init::InitArgs),
    /// Say what keeps a job or a broker from working, and how to mend it
    #[command(subcommand)]
    Doctor(doctor::DoctorCommand),
    /// Log in as an operator of a broker that is elsewhere
    Login(login::LoginArgs),
    /// Forget the login
    Logout(LogoutArgs),
    /// Say who this user is to the broker, with which roles, and until when
    Whoami(WhoamiArgs),
    /// Check a configuration without starting anything
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Write task profiles
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Check, test, simulate and compare policies, without a broker
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Have the broker read its configuration again: say what changes, and put it in force
    Apply(apply::ApplyArgs),
    /// See what is at work, and end it
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Say why something was refused
    Explain(explain::ExplainArgs),
    /// Say what a token, an id, a run's page, a secret's path or a commit belongs to
    Find(find::FindArgs),
    /// Show the last refusals about a run, a task or a denial, and what happened before them
    Why(why::WhyArgs),
    /// Revoke many tasks by a condition, or one lineage, credential, workload or key
    Revoke(Box<revoke::RevokeArgs>),
    /// Trust one lineage less, and see what waits for approval
    #[command(subcommand)]
    Risk(risk::RiskCommand),
    /// Let a lineage act for a while in spite of its risk
    Approve(risk::ApproveArgs),
    /// Stop everything under one lineage until somebody has looked at it
    Quarantine(quarantine::QuarantineArgs),
    /// Let a lineage go on after its quarantine, with less than it had
    Release(quarantine::ReleaseArgs),
    /// Stop issue and renewal for a while, for everybody or for a part
    #[command(subcommand)]
    Freeze(freeze::FreezeCommand),
    /// Put, list and delete secrets; no command reads one back
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// The broker's own keys and their lives
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Export the audit log, and check an export without the broker
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Prove a workload's identity: certificates and JWT-SVIDs, taken with a token
    #[command(subcommand)]
    Svid(svid::SvidCommand),
    /// Take what an action that is counted can be done with, once
    #[command(subcommand)]
    Permit(permit::PermitCommand),
    /// What those need who verify JWT-SVIDs by OpenID Connect
    #[command(subcommand)]
    Oidc(oidc::OidcCommand),
    /// Things for services that verify tokens by asking the broker
    #[command(subcommand)]
    ResourceServer(resource_server::ResourceServerCommand),
    /// Print a shell's completions
    Completions(completions::CompletionsArgs),
}

/// Does what was asked for.
pub fn run(cli: Cli) -> Result<ExitCode, CliError> {
    // What has to be taken before the runtime opens descriptors of its own.
    let descriptor = if let Command::Run(args) = &cli.command {
        args.descriptor()?
    } else {
        None
    };
    let runtime = runtime(&cli.command).map_err(|source| CliError::Io {
        what: "the runtime cannot be started".to_owned(),
        source,
    })?;
    let ended = runtime.block_on(dispatch(cli, descriptor));
    // A name that is still being looked up is nobody's concern any more.
    runtime.shutdown_background();
    ended
}

/// What to print and how to exit when the arguments are not understood, or ask for help.
pub fn usage(stop: &clap::Error) -> ExitCode {
    let printed = stop.print();
    let failed = stop.use_stderr() || printed.is_err();
    if failed {
        ExitCode::from(error::USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Says what went wrong, with every cause.
pub fn report(error: &CliError) -> ExitCode {
    if !matches!(error, CliError::NobodyReads) {
        // Where standard error is gone as well there is nobody left to tell.
        out::complain(&error::chain(error)).ok();
    }
    error.exit_code()
}

async fn dispatch(cli: Cli, descriptor: Option<Descriptor>) -> Result<ExitCode, CliError> {
    let admin = match &cli.server {
        None => Admin::new(cli.socket),
        Some(server) => Admin::at(Remote::new(server.clone(), Shown::Login, None)),
    };
    let stdout = io::stdout();
    let mut out = Out::new(stdout, cli.output);
    match cli.command {
        Command::Server(args) => server::run(args).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Run(args) => return run::run(*args, descriptor, &mut out).await,
        Command::Tied(args) => return run::tied(&args),
        Command::Doctor(command) => doctor::run(command, &mut out).await,
        Command::Init(args) => init::run(&args, &mut out),
        Command::Login(args) => login::login(args, cli.server, &mut out).await,
        Command::Logout(LogoutArgs {}) => login::logout(cli.server.as_ref(), &mut out),
        Command::Whoami(WhoamiArgs {}) => login::whoami(&admin, &mut out).await,
        Command::Config(command) => config::run(command, &mut out),
        Command::Profile(command) => profile::run(command, &mut out),
        Command::Policy(command) => policy::run(command, &mut out),
        Command::Apply(args) => apply::run(args, &admin, &mut out).await,
        Command::Task(command) => task::run(command, &admin, &mut out).await,
        Command::Explain(args) => explain::run(args, &admin, &mut out).await,
        Command::Find(args) => find::run(args, &admin, &mut out).await,
        Command::Why(args) => why::run(args, &admin, &mut out).await,
        Command::Revoke(args) => revoke::run(*args, &admin, &mut out).await,
        Command::Risk(command) => risk::run(command, &admin, &mut out).await,
        Command::Approve(args) => risk::approve(args, &admin, &mut out).await,
        Command::Quarantine(args) => quarantine::quarantine(args, &admin, &mut out).await,
        Command::Release(args) => quarantine::release(args, &admin, &mut out).await,
        Command::Freeze(command) => freeze::run(command, &admin, &mut out).await,
        Command::Secret(command) => secret::run(command, &admin, &mut out).await,
        Command::Key(command) => key::run(command, &admin, &mut out).await,
        Command::Audit(command) => audit::run(command, &admin, &mut out).await,
        Command::Svid(command) => svid::run(command, &mut out).await,
        Command::Permit(command) => permit::run(command, &mut out).await,
        Command::Oidc(command) => oidc::run(command, &mut out).await,
        Command::ResourceServer(command) => resource_server::run(&command, &mut out),
        Command::Completions(args) => completions::run(&args, &mut out),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn runtime(command: &Command) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Command::Server(_) | Command::Dev(_) => tokio::runtime::Builder::new_multi_thread(),
        Command::Doctor(_)
        | Command::Init(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Whoami(_)
        | Command::Config(_)
        | Command::Profile(_)
        | Command::Policy(_)
        | Command::Apply(_)
        | Command::Run(_)
        | Command::Tied(_)
        | Command::Task(_)
        | Command::Explain(_)
        | Command::Find(_)
        | Command::Risk(_)
        | Command::Approve(_)
        | Command::Quarantine(_)
        | Command::Release(_)
        | Command::Freeze(_)
        | Command::Revoke(_)
        | Command::Why(_)
        | Command::Secret(_)
        | Command::Key(_)
        | Command::Audit(_)
        | Command::Svid(_)
        | Command::Permit(_)
        | Command::Oidc(_)
        | Command::ResourceServer(_)
        | Command::Completions(_) => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

/// Options that stand with every command stand apart from its own.
const OPERATORS: &str = "Operators' commands";

const LONG: &str = "\
Writ proves who is asking, ties what it hands out to one task, and keeps it alive only while the \
context that justified the task still holds. When the run is over or its environment changed, \
renewal is refused and what is out is revoked.

Operators speak to a running broker over its admin socket: as root, as the broker's own user, or as \
a user in `listen.admin_uids`. From elsewhere they log in (`writ login`), where the broker has `[operators]`.";

const EXAMPLES: &str = "\
Examples:
  writ dev                                          a broker for trying things out
  writ init --issuer https://writ.example --github  what a broker in production begins with
  writ config check /etc/writ/writ.toml             what is wrong with a configuration
  writ server --config /etc/writ/writ.toml          the broker
  writ run --profile deploy -- ./deploy.sh          a job's step with a credential of its own
  writ doctor job                                   what keeps this job from its credential
  writ login --server https://writ.example:8444     be an operator from elsewhere
  writ task list                                    what is at work now
  writ task revoke github/812345/99001/1            end one run's task and everything under it
  writ explain dn-3-17                              why something was refused
  writ why https://github.com/o/r/actions/runs/7    what was refused to a run, and what came before
  writ find - < leaked.txt                          whose token this is
  writ revoke --where 'repository_id=812345'        show what fits, ask, and revoke all of it
  writ freeze repository github/812345 --until 2h   stop what one repository may get
  writ secret put ci/prod/deploy-key < key.pem      store a secret
  writ audit export > log.jsonl && writ audit verify log.jsonl

Exit codes: 0 done, 1 wrong usage or a local fault, 2 the broker could not, 3 denied.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_an_example() {
        fn walk(command: &clap::Command, missing: &mut Vec<String>) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.clone().render_long_help().to_string();
            if leaf && !help.contains("Example") {
                missing.push(command.get_name().to_owned());
            }
            for sub in command.get_subcommands() {
                walk(sub, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn the_socket_and_the_output_may_stand_anywhere() {
        for line in [
            "writ --socket /s -o json task list",
            "writ task --socket /s list -o json",
            "writ task list --output json --socket /s",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                (cli.socket, cli.output),
                (PathBuf::from("/s"), Format::Json)
            );
        }
    }

    #[test]
    fn a_key_whose_id_begins_with_a_dash_can_be_withdrawn() {
        let cli = Cli::try_parse_from(["writ", "key", "withdraw", "-IGCp-V_UzgLMTh"]).unwrap();
        assert!(matches!(cli.command, Command::Key(_)));
    }

    #[test]
    fn a_secret_has_no_place_among_the_arguments() {
        for line in [
            "writ secret put ci/key value",
            "writ secret put ci/key --value x",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
