//! `writ dev`: a broker for one developer on one machine. It is the real one, with a configuration that
//! the same lint has passed; only its keys and data lie where they can be thrown away.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::log::{self, LogArgs};
use super::out::complain;
use super::{CliError, serve};
use crate::config::{Config, Dev, DevCi};
use crate::seams::{Entropy as _, SystemEntropy};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DevArgs {
    /// Where the database, the keys and the admin socket are kept; without it, in a temporary
    /// directory that goes with the broker
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8420")]
    listen: SocketAddr,
    /// The loopback address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    ci: DevCiArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// The one CI system and repository that a developer's broker trusts.
#[derive(Debug, Args)]
struct DevCiArgs {
    /// The issuer of the CI's ID tokens
    #[arg(long, value_name = "URL", requires_all = ["api", "repository_id", "environment"])]
    issuer: Option<String>,
    /// The CI's API
    #[arg(long, value_name = "URL", requires = "issuer")]
    api: Option<String>,
    /// A file with the token that the API takes
    #[arg(long, value_name = "FILE", requires = "issuer")]
    api_token_file: Option<PathBuf>,
    /// A file with the secret that webhooks are signed with
    #[arg(long, value_name = "FILE", requires = "issuer")]
    webhook_secret_file: Option<PathBuf>,
    /// The id of the repository whose jobs are trusted
    #[arg(long, value_name = "ID", requires = "issuer")]
    repository_id: Option<String>,
    /// The environment that its jobs deploy to
    #[arg(long, value_name = "NAME", requires = "issuer")]
    environment: Option<String>,
}

/// A directory; a temporary one goes when this does.
struct Place {
    path: PathBuf,
    temporary: bool,
}

pub(super) async fn run(args: &DevArgs) -> Result<(), CliError> {
    log::start(&args.log)?;
    let place = Place::open(args.data.as_deref())?;
    let dev = Dev {
        data: place.path.clone(),
        address: args.listen,
        metrics: args.metrics,
        admin_uid: rustix::process::geteuid().as_raw(),
        ci: args.ci.trusted(),
    };
    let config = Config::for_dev(&dev).map_err(|problems| serve::refused(&problems))?;
    serve::until_told(config, |address| {
        // The broker serves whether anybody reads this or not.
        complain(&banner(address, &place)).ok();
    })
    .await
}

impl DevCiArgs {
    /// `None` unless all of it is there, which the arguments' own rules see to.
    fn trusted(&self) -> Option<DevCi> {
        Some(DevCi {
            issuer: self.issuer.clone()?,
            api: self.api.clone()?,
            token_file: self.api_token_file.clone(),
            webhook_secret_file: self.webhook_secret_file.clone(),
            repository_id: self.repository_id.clone()?,
            environment: self.environment.clone()?,
        })
    }
}

impl Place {
    /// The given directory, made if it is missing, or a fresh one; for this user only.
    fn open(given: Option<&Path>) -> Result<Self, CliError> {
        let (path, temporary) = match given {
            Some(path) => (std::path::absolute(path), false),
            None => (Ok(fresh()), true),
        };
        let made = path.and_then(|path| {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).recursive(!temporary).create(&path)?;
            Ok(path)
        });
        let failed = |source: io::Error| CliError::Io {
            what: "the data directory cannot be made".to_owned(),
            source,
        };
        let path = made.map_err(failed)?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "the temporary data directory is left behind");
        }
    }
}

fn fresh() -> PathBuf {
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    std::env::temp_dir().join(format!("writ-dev-{}", hex::encode(random)))
}

fn banner(address: SocketAddr, place: &Place) -> String {
    let path = place.path.display();
    let kept = if place.temporary {
        "gone when it stops"
    } else {
        "kept"
    };
    format!(
        "\n  FOR DEVELOPMENT ONLY: plain HTTP, keys beside the data\n\n  \
         listening  http://{address}\n  \
         data       {path} ({kept})\n\n  \
         in another terminal:\n    \
         export WRIT_ADMIN_SOCKET={path}/admin.sock\n    \
         writ task list\n    \
         curl http://{address}/.well-known/oauth-authorization-server\n"
    )
}

const EXAMPLES: &str = "\
Examples:
  writ dev
  writ dev --data ./writ-data --listen 127.0.0.1:8420
  writ dev --issuer http://127.0.0.1:8900 --api http://127.0.0.1:8900 \\
           --repository-id 812345 --environment production";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_temporary_place_is_for_this_user_only_and_goes() {
        let place = Place::open(None).unwrap();
        let path = place.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn a_given_place_is_made_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("a/b");
        drop(Place::open(Some(&wanted)).unwrap());
        assert!(wanted.is_dir());
    }
}
