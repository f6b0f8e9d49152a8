//! The arguments of `writ run`, each read into what it means before anything is asked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::CliError;
use super::cloud::Cloud;
use super::descriptor::Descriptor;
use super::evidence::Wanted;
use super::refusal::OnRefusal;
use super::secrets::SecretArg;
use crate::domain::grant::{Audience, BadGrant, Scope};
use crate::domain::name::{BadName, ProfileName, TaskName};
use crate::domain::url::{BadUrl, BaseUrl};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct RunArgs {
    /// The broker's URL, as its configuration spells its `issuer`
    #[arg(long, env = "WRIT_ISSUER", value_name = "URL", value_parser = issuer)]
    pub(super) issuer: BaseUrl,

    /// The profile to be judged by, where several take this job
    #[arg(long, env = "WRIT_PROFILE", value_name = "NAME", value_parser = profile)]
    pub(super) profile: Option<ProfileName>,

    /// The case to work on, where the profile is for cases: its name, as in `desk/case/4711`
    #[arg(long, value_name = "DESK/case/ID", value_parser = case)]
    pub(super) case: Option<TaskName>,

    /// A service that the token is for; without one the broker chooses
    #[arg(long, value_name = "AUDIENCE", value_parser = audience)]
    pub(super) audience: Vec<Audience>,

    /// A scope of the token; without one, all that the grant has
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(super) scope: Vec<Scope>,

    /// Put a secret into a file, whose path the command finds in `NAME_FILE`
    #[arg(long, value_name = "NAME=PATH[#FIELD]")]
    pub(super) secret: Vec<SecretArg>,

    /// Put a secret into the environment variable NAME, where every child of the command has it
    #[arg(long, value_name = "NAME=PATH[#FIELD]")]
    pub(super) secret_env: Vec<SecretArg>,

    /// Keep an OIDC token for a cloud fresh, and set what its SDKs read: `aws=ROLE_ARN`,
    /// `gcp=PROVIDER[,SERVICE_ACCOUNT]` or `azure=TENANT/CLIENT`
    #[arg(long, value_name = "CLOUD=WHO")]
    pub(super) cloud: Vec<Cloud>,

    /// Put the first token into this environment variable too; it is not renewed there
    #[arg(long, value_name = "NAME", value_parser = super::secrets::variable)]
    pub(super) token_env: Option<String>,

    /// Give the first token on this descriptor too, from 3 on; it is not renewed there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=1023))]
    pub(super) token_fd: Option<u16>,

    /// Give the command the session key as well (PEM, its path in `WRIT_KEY_FILE`), to make DPoP proofs
    #[arg(long, conflicts_with = "bearer")]
    pub(super) key_file: bool,

    /// Ask without a key: a token that whoever has it can use, renewed by fresh ID tokens only
    #[arg(long)]
    pub(super) bearer: bool,

    /// Where the ID token comes from: auto, github, gitlab, kubernetes, `env:NAME`, `file:PATH` or stdin
    #[arg(
        long,
        env = "WRIT_EVIDENCE",
        default_value = "auto",
        value_name = "SOURCE"
    )]
    pub(super) evidence: Wanted,

    /// What ID tokens are asked to be for, where the source's `audience` is not the issuer
    #[arg(long, value_name = "AUDIENCE", value_parser = audience)]
    pub(super) evidence_audience: Option<Audience>,

    /// What to do to the command when a renewal is refused: ignore, term, or int:DURATION
    ///
    /// `int:120s` interrupts it as Ctrl-C does, and terminates it if it still runs 120 s later.
    #[arg(long, default_value = "ignore", value_name = "ACTION")]
    pub(super) on_refusal: OnRefusal,

    /// How long to ask again before the command starts, while the broker cannot answer
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) wait: Duration,

    /// Leave what was issued to run out by itself at the end
    #[arg(long)]
    pub(super) no_revoke: bool,

    /// Certificate authorities in PEM to trust instead of the system's
    #[arg(long, env = "SSL_CERT_FILE", value_name = "PATH")]
    pub(super) ca_file: Option<PathBuf>,

    /// Show the identity, the candidate profiles and what the broker would answer, and issue nothing
    ///
    /// Of profiles only those are shown that name an id of this job. The exit code is 0 where a token
    /// would be permitted, 2 where that cannot be known, and 3 where it would be denied.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// The command and its arguments
    #[arg(
        last = true,
        required_unless_present = "dry_run",
        value_name = "COMMAND"
    )]
    pub(super) command: Vec<OsString>,
}

impl RunArgs {
    /// Reserves the descriptor that the command will find its token on, while its number is free.
    pub(in crate::cli) fn descriptor(&self) -> Result<Option<Descriptor>, CliError> {
        self.token_fd.map(Descriptor::reserve).transpose()
    }
}

pub(super) fn issuer(text: &str) -> Result<BaseUrl, BadUrl> {
    text.parse()
}

fn case(text: &str) -> Result<TaskName, BadName> {
    text.parse()
}

fn profile(text: &str) -> Result<ProfileName, BadName> {
    text.parse()
}

pub(super) fn audience(text: &str) -> Result<Audience, BadGrant> {
    text.parse()
}

fn scope(text: &str) -> Result<Scope, BadGrant> {
    text.parse()
}

pub(in crate::cli) const LONG: &str = "\
Runs a command with a credential of its own: fetches the job's ID token from the platform, exchanges \
it at the broker, starts the command with the token in a private file (WRIT_TOKEN_FILE), renews it \
while the command runs, and revokes what was issued to this job when it ends. Other jobs of the same \
run keep theirs.

The command's environment has WRIT_TOKEN_FILE (replaced at each renewal, so read it at each use), \
WRIT_TOKEN_TYPE (DPoP or Bearer) and WRIT_ISSUER. Signals are passed on to it, and its exit code is \
this one's. The files are in a directory that only this user can read, and are removed at the end.

A token is bound to a session key that only `writ run` has, unless --key-file gives it to the command \
too; services that take plain bearer tokens need --bearer.";

const EXAMPLES: &str = "\
Examples:
  export WRIT_ISSUER=https://writ.example
  writ run --profile deploy --secret DB_PASSWORD=ci/prod/db#password -- ./migrate.sh
  writ run --profile deploy --audience https://deploy.example -- ./deploy.sh
  writ run --profile deploy --cloud aws=arn:aws:iam::123456789012:role/deploy -- aws s3 ls
  writ run --profile infra --on-refusal=int:120s -- terraform apply -auto-approve
  writ run --profile deploy --evidence file:/var/run/secrets/writ/token -- ./worker
  writ run --profile support --case desk/case/4711 --evidence file:id-token -- ./agent
  writ run --profile deploy --dry-run

Where ID tokens come from:
  github       ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN: give the job `permissions: id-token: write`
  gitlab       the variable WRIT_ID_TOKEN: declare it under `id_tokens:` with the issuer as `aud`
  kubernetes   /var/run/secrets/writ/token: mount a projected service account token there
  stdin        its first line; the command reads on behind it

Exit codes: the command's own, or 128 and the number of the signal that ended it. Before the command
started: 1 wrong usage or a local fault, 2 the broker could not, 3 denied.";
