//! What `writ login` leaves for the next commands: one file for each server, below the user's state directory,
//! which nobody else may read. A file that others can read, or that is somebody else's, is not believed.

use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::CliError;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::url::BaseUrl;

/// The directory of this user's logins.
#[derive(Debug)]
pub(in crate::cli) struct Logins(PathBuf);

/// A token for one server, and until when it is good.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Login {
    pub(in crate::cli) token: Secret,
    pub(in crate::cli) expires: Timestamp,
    /// The authorities that the server was trusted by.
    pub(in crate::cli) ca_file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    server: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    /// In seconds since the epoch.
    expires: i64,
    ca_file: Option<PathBuf>,
}

impl Logins {
    /// `XDG_STATE_HOME/writ`, or `~/.local/state/writ`.
    pub(in crate::cli) fn of_this_user() -> Result<Self, CliError> {
        let named = |name| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let state =
            named("XDG_STATE_HOME").or_else(|| named("HOME").map(|home| home.join(".local/state")));
        state.map(|state| Self(state.join("writ"))).ok_or_else(|| {
            let what = "there is no place for logins: set HOME or XDG_STATE_HOME";
            CliError::Usage(what.to_owned())
        })
    }

    /// The login at a server, if it is still good.
    pub(in crate::cli) fn standing(
        &self,
        server: &BaseUrl,
        now: Timestamp,
    ) -> Result<Login, CliError> {
        let name = server.as_str();
        let again = format!("run `writ login --server {name}`");
        let Some(login) = self.read(server)? else {
            return Err(CliError::Login(format!("not logged in at {name}: {again}")));
        };
        if now >= login.expires {
            let what = format!("the login at {name} is over: {again}");
            return Err(CliError::Login(what));
        }
        Ok(login)
    }

    fn read(&self, server: &BaseUrl) -> Result<Option<Login>, CliError> {
        let path = self.path(server);
        let text = match private(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let what = format!("the login in {} cannot be used", path.display());
                return Err(CliError::Io { what, source });
            }
        };
        let spoilt = || {
            let what = format!("{} is no login: log in again", path.display());
            CliError::Usage(what)
        };
        let written: Written<'_> = serde_json::from_str(&text).map_err(|_| spoilt())?;
        if written.server != server.as_str() {
            return Err(spoilt());
        }
        Ok(Some(Login {
            token: Secret::new(written.token.as_bytes().to_vec()),
            expires: Timestamp::from_seconds(written.expires).ok_or_else(spoilt)?,
            ca_file: written.ca_file,
        }))
    }

    /// Puts a login in place of the last one there.
    pub(super) fn write(&self, server: &BaseUrl, login: &Login) -> Result<(), CliError> {
        let written = Written {
            server: Cow::Borrowed(server.as_str()),
            token: Cow::Borrowed(login.token.expose_str().unwrap_or_default()),
            expires: login.expires.seconds(),
            ca_file: login.ca_file.clone(),
        };
        let path = self.path(server);
        let put = || {
            let text = Zeroizing::new(serde_json::to_vec(&written)?);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)?;
            let fresh = path.with_extension(format!("{}.new", std::process::id()));
            let placed = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)
                .and_then(|mut file| file.write_all(&text))
                .and_then(|()| fs::rename(&fresh, &path));
            if placed.is_err() {
                fs::remove_file(&fresh).ok();
            }
            placed
        };
        put().map_err(|source| CliError::Io {
            what: format!("the login cannot be kept in {}", path.display()),
            source,
        })
    }

    /// Forgets the login at a server; says whether there was one.
    pub(super) fn forget(&self, server: &BaseUrl) -> Result<bool, CliError> {
        let path = self.path(server);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(CliError::Io {
                what: format!("{} cannot be removed", path.display()),
                source,
            }),
        }
    }

    /// The server's name is in the file; its digest is a name that every file system takes.
    fn path(&self, server: &BaseUrl) -> PathBuf {
        let digest = ring::digest::digest(&ring::digest::SHA256, server.as_str().as_bytes());
        let short = hex::encode(digest.as_ref().get(..16).unwrap_or_default());
        self.0.join(format!("login-{short}.json"))
    }
}

/// The text of a file that is this user's alone.
fn private(path: &Path) -> io::Result<Zeroizing<String>> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(no_link)
        .open(path)?;
    let facts = file.metadata()?;
    let own = facts.uid() == rustix::process::geteuid().as_raw();
    if !own || facts.mode() & 0o077 != 0 || !facts.is_file() {
        let what = "others can read or write it: remove it and log in again";
        return Err(io::Error::other(what));
    }
    let mut text = Zeroizing::new(String::with_capacity(MOST));
    file.take(MOST as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// A token has at most 16 KiB.
const MOST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn login(expires: i64) -> Login {
        Login {
            token: Secret::from("canary-5d1f".to_owned()),
            expires: Timestamp::from_seconds(expires).unwrap(),
            ca_file: None,
        }
    }

    fn place() -> (tempfile::TempDir, Logins, BaseUrl) {
        let dir = tempfile::tempdir().unwrap();
        let logins = Logins(dir.path().join("state/writ"));
        (dir, logins, "https://writ.example".parse().unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    #[test]
    fn a_login_is_this_users_alone_and_good_for_its_server_and_its_time() {
        let (_dir, logins, server) = place();
        logins.write(&server, &login(90)).unwrap();
        logins.write(&server, &login(100)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&logins.0), mode(&logins.path(&server))),
            (0o700, 0o600)
        );
        assert_eq!(fs::read_dir(&logins.0).unwrap().count(), 1);
        let read = logins.standing(&server, at(99)).unwrap();
        assert_eq!(read.token.expose(), b"canary-5d1f");
        let late = logins.standing(&server, at(100)).unwrap_err().to_string();
        assert!(
            late.contains("is over") && late.contains("writ login"),
            "{late}"
        );
        let other = "https://other.example".parse().unwrap();
        let absent = logins.standing(&other, at(1)).unwrap_err().to_string();
        assert!(absent.contains("not logged in"), "{absent}");
        assert!(logins.forget(&server).unwrap());
        assert!(!logins.forget(&server).unwrap());
        let gone = logins.standing(&server, at(1)).unwrap_err().to_string();
        assert!(gone.contains("not logged in"), "{gone}");
    }

    #[test]
    fn a_login_that_others_can_read_or_that_is_a_link_is_not_used_and_not_shown() {
        let (dir, logins, server) = place();
        logins.write(&server, &login(100)).unwrap();
        let path = logins.path(&server);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = logins.standing(&server, at(1)).unwrap_err();
        assert!(!format!("{open:?}").contains("canary"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let moved = dir.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &path).unwrap();
        let link = logins.standing(&server, at(1)).unwrap_err();
        assert!(matches!(link, CliError::Io { .. }), "{link:?}");
    }
}
