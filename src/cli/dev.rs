//! `writ dev`: a broker for one developer on one machine, with a certificate authority of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::dev_tls::{DevTls, make};
use super::serve::{serve_config, told_to_stop};
use crate::config::{Dev, DevCi, dev_text};
use crate::seams::{Clock as _, SystemClock};
use crate::telemetry::log::{self, Form};

/// What a developer's broker is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DevArgs {
    /// Where the database, the keys and the admin socket are kept; a temporary directory by default
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Make the authority, the certificate and the configuration there, and end
    #[arg(long, requires = "data")]
    pub prepare: bool,
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8420")]
    pub listen: SocketAddr,
    /// The loopback address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub ci: DevCiArgs,
}

/// The one CI system and repository that a developer's broker trusts.
#[derive(Debug, Args)]
pub struct DevCiArgs {
    /// The issuer of the CI's ID tokens
    #[arg(long, value_name = "URL", requires_all = ["api", "repository_id", "environment"])]
    pub issuer: Option<String>,
    /// The CI's API
    #[arg(long, value_name = "URL", requires = "issuer")]
    pub api: Option<String>,
    /// A file with the token that the API takes
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub api_token_file: Option<PathBuf>,
    /// A file with the secret that webhooks are signed with
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub webhook_secret_file: Option<PathBuf>,
    /// The id of the repository whose jobs are trusted
    #[arg(long, value_name = "ID", requires = "issuer")]
    pub repository_id: Option<String>,
    /// The environment that its jobs deploy to
    #[arg(long, value_name = "NAME", requires = "issuer")]
    pub environment: Option<String>,
}

/// Runs a developer's broker until it is told to stop.
pub async fn run(args: DevArgs) -> Result<(), CliError> {
    log::start(Form::Text);
    if !args.listen.ip().is_loopback() {
        return Err(CliError::Usage("writ dev listens on loopback only: for anything else write a configuration and use writ server".to_owned()));
    }
    let home = Home::open(args.data.clone())?;
    let tls = make(&home.path, SystemClock.now())
        .map_err(|e| local("the certificate cannot be made", e))?;
    let dev = Dev {
        data: home.path.clone(),
        address: args.listen,
        metrics: args.metrics,
        admin_uid: rustix::process::geteuid().as_raw(),
        ci: ci(args.ci),
    };
    let file = home.path.join("writ.toml");
    std::fs::write(&file, dev_text(&dev))
        .map_err(|e| local("the configuration cannot be written", e))?;
    let config = super::config::load(&file)?;
    if args.prepare {
        return super::out::complain(&prepared(&dev, &tls))
            .map_err(|e| local("what was made cannot be told", e));
    }
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            told_to_stop().await;
            stop.cancel();
        }
    });
    let banner = banner(&dev, &tls);
    let done = serve_config(config, None, stop, |_| {
        if super::out::complain(&banner).is_err() {
            tracing::warn!("nobody reads what is printed");
        }
    })
    .await;
    done.map_err(|why| CliError::Server {
        what: format!("the broker cannot run: {why}"),
        source: None,
    })
}

/// Where everything is kept. A directory that nobody named goes when the broker stops.
struct Home {
    path: PathBuf,
    temporary: bool,
}

impl Home {
    fn open(named: Option<PathBuf>) -> Result<Self, CliError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let temporary = named.is_none();
        let path = named.unwrap_or_else(|| {
            std::env::temp_dir().join(format!(
                "writ-dev-{}",
                rustix::process::getpid().as_raw_nonzero()
            ))
        });
        let made = std::fs::DirBuilder::new()
            .recursive(!temporary)
            .mode(0o700)
            .create(&path);
        made.map_err(|e| local(&format!("{} cannot be made", path.display()), e))?;
        let path = path
            .canonicalize()
            .map_err(|e| local("the data directory cannot be used", e))?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary && std::fs::remove_dir_all(&self.path).is_err() {
            tracing::warn!(path = %self.path.display(), "the temporary directory is left behind");
        }
    }
}

fn ci(args: DevCiArgs) -> Option<DevCi> {
    Some(DevCi {
        issuer: args.issuer?,
        api: args.api?,
        token_file: args.api_token_file.map(absolute),
        webhook_secret_file: args.webhook_secret_file.map(absolute),
        repository_id: args.repository_id?,
        environment: args.environment?,
    })
}

/// Paths on the command line are relative to where the command was given.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn local(what: &str, source: io::Error) -> CliError {
    CliError::Io {
        what: what.to_owned(),
        source,
    }
}

fn banner(dev: &Dev, tls: &DevTls) -> String {
    let (ca, issuer) = (
        shown(&tls.ca),
        format!("https://localhost:{}", dev.address.port()),
    );
    let socket = shown(&dev.data.join("admin.sock"));
    let next = if dev.ci.is_some() {
        format!("A job exchanges its ID token (audience {issuer}) at {issuer}/oauth2/token.")
    } else {
        "No CI system is trusted yet: give --issuer, --api, --repository-id and --environment."
            .to_owned()
    };
    format!(
        "\
==============================================================================
  writ dev: NOT FOR PRODUCTION. One machine, its own certificate authority,
  keys in {data}.
==============================================================================

  In the shell of whoever calls it:
    export WRIT_ADMIN_SOCKET={socket}
    export SSL_CERT_FILE={ca}
    export NODE_EXTRA_CA_CERTS={ca}
    export REQUESTS_CA_BUNDLE={ca}

  To try:
    curl --cacert {ca} {issuer}/.well-known/oauth-authorization-server
    printf %s 's3cret' | writ secret put ci/prod/db
    writ task list

  {next}
  The configuration is in {config}, and is written anew at each start: grow a copy of it
  into one for `writ server`. docs/scenarios/practice.md has one that plays with everything.
",
        data = shown(&dev.data),
        config = shown(&dev.data.join("writ.toml")),
    )
}

/// What is said where only the files were wanted.
fn prepared(dev: &Dev, tls: &DevTls) -> String {
    format!(
        "{data} has an authority ({ca}), a certificate and key for localhost, and writ.toml",
        data = shown(&dev.data),
        ca = shown(&tls.ca),
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

const EXAMPLES: &str = "\
Examples:
  writ dev
  writ dev --data ./writ-data --listen 127.0.0.1:8420
  writ dev --issuer http://127.0.0.1:8900 --api http://127.0.0.1:8900/api \\
           --repository-id 812345 --environment production";
