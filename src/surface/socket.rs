//! The admin Unix socket: whoever may connect to it may command, so nobody else may ever reach it.
//!
//! It lives in a directory that others cannot write to, has its mode before it listens, and is taken over from
//! a dead process only: a socket that answers belongs to a running server.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::net::{UnixListener, UnixStream};

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The server's own user (and root): mode 0600.
    Owner,
    /// Also its group: mode 0660.
    Group,
    /// Every local process: mode 0666.
    Anyone,
}

/// A listening socket; its name goes when it does.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The process at the other end, as the kernel saw it when it connected (`SO_PEERCRED`). The pid may by now
/// belong to another process; uid and gid stay true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    pub pid: Option<i32>,
}

/// Why the socket cannot be had. The mend is in the text.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{path} is not an absolute path of a file: name the socket by its full path")]
    Name { path: PathBuf },
    #[error("{path} is too long for a socket, which may have 107 bytes: choose a shorter path")]
    TooLong { path: PathBuf },
    #[error("the directory {dir} is missing, is a symbolic link, or cannot be opened: {source}")]
    Directory { dir: PathBuf, source: io::Error },
    #[error(
        "the directory {dir} belongs to user {uid}: chown it to root or to the user that runs writ"
    )]
    Owner { dir: PathBuf, uid: u32 },
    #[error("the directory {dir} can be written to by others (mode {mode:04o}): chmod go-w it")]
    Writable { dir: PathBuf, mode: u32 },
    #[error("{path} exists and is not a socket of this user: remove it")]
    Occupied { path: PathBuf },
    #[error("a server is already listening on {path}: stop it first")]
    Live { path: PathBuf },
    #[error("another server is starting in {dir} right now")]
    Starting { dir: PathBuf },
    #[error("{path} cannot be listened on: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Listens on `path`. Must be called inside a runtime.
pub fn bind(path: &Path, access: Access) -> Result<BoundSocket, SocketError> {
    let (Some(dir), Some(_), true) = (path.parent(), path.file_name(), path.is_absolute()) else {
        return Err(SocketError::Name {
            path: path.to_owned(),
        });
    };
    let address = SocketAddrUnix::new(path).map_err(|_| SocketError::TooLong {
        path: path.to_owned(),
    })?;
    check_ancestors(dir)?;
    // Held while the old socket is judged and replaced, so that two servers cannot both find it dead.
    let lock = lock(dir)?;
    let io = |source: io::Error| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    clear(path, &address)?;
    let socket = stream_socket().map_err(|error| io(error.into()))?;
    rustix::net::bind(&socket, &address).map_err(|error| io(error.into()))?;
    // Nobody can connect before `listen`, so the mode is in place for the first who can.
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode())).map_err(io)?;
    let facts = fs::symlink_metadata(path).map_err(io)?;
    rustix::net::listen(&socket, BACKLOG).map_err(|error| io(error.into()))?;
    drop(lock);
    let listener =
        UnixListener::from_std(std::os::unix::net::UnixListener::from(socket)).map_err(io)?;
    Ok(BoundSocket {
        listener,
        path: path.to_owned(),
        device: facts.dev(),
        inode: facts.ino(),
    })
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o660,
            Self::Anyone => 0o666,
        }
    }
}

impl BoundSocket {
    /// The next connection and who made it.
    pub async fn accept(&self) -> io::Result<(UnixStream, Caller)> {
        let (stream, _) = self.listener.accept().await?;
        let seen = stream.peer_cred()?;
        Ok((
            stream,
            Caller {
                uid: seen.uid(),
                gid: seen.gid(),
                pid: seen.pid(),
            },
        ))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        // Another server may have put its own socket here since.
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|facts| facts.dev() == self.device && facts.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the socket's name remains");
        }
    }
}

/// Nobody but root and this user may be able to put something else in the socket's place.
fn check_ancestors(dir: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Directory {
        dir: dir.to_owned(),
        source,
    };
    let parent = fs::symlink_metadata(dir).map_err(failed)?;
    if !parent.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    let uid = parent.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(SocketError::Owner {
            dir: dir.to_owned(),
            uid,
        });
    }
    let real = fs::canonicalize(dir).map_err(failed)?;
    for (height, dir) in real.ancestors().enumerate() {
        let mode = fs::symlink_metadata(dir).map_err(failed)?.mode();
        // A sticky directory protects the directories in it, but lets anybody make a socket there first.
        let protected = height > 0 && mode & STICKY != 0;
        if mode & WRITABLE_BY_OTHERS != 0 && !protected {
            return Err(SocketError::Writable {
                dir: dir.to_owned(),
                mode: mode & 0o7777,
            });
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<OwnedFd, SocketError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let failed = |error: Errno| SocketError::Directory {
        dir: dir.to_owned(),
        source: error.into(),
    };
    let handle = rustix::fs::open(dir, flags, Mode::empty()).map_err(failed)?;
    match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => Err(SocketError::Starting {
            dir: dir.to_owned(),
        }),
        Err(error) => Err(failed(error)),
    }
}

/// Removes the socket of a dead server; anything else in its place is left alone and refused.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let io = |source: io::Error| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    let facts = match fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    let ours = facts.uid() == rustix::process::geteuid().as_raw();
    if !facts.file_type().is_socket() || !ours {
        return Err(SocketError::Occupied {
            path: path.to_owned(),
        });
    }
    let probe = stream_socket().map_err(|error| io(error.into()))?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(io),
        // A full backlog is the sign of a living, busy server.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::Live {
            path: path.to_owned(),
        }),
        Err(error) => Err(io(error.into())),
    }
}

fn stream_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn dir(mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    #[tokio::test]
    async fn the_socket_has_its_mode_and_names_its_callers() {
        let dir = dir(0o755);
        for (access, mode) in [
            (Access::Owner, 0o600),
            (Access::Group, 0o660),
            (Access::Anyone, 0o666),
        ] {
            let path = dir.path().join("admin.sock");
            let socket = bind(&path, access).unwrap();
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, mode);
            let (accepted, client) = tokio::join!(socket.accept(), UnixStream::connect(&path));
            let (_, caller) = accepted.unwrap();
            assert_eq!(caller.uid, rustix::process::geteuid().as_raw());
            assert_eq!(caller.pid, i32::try_from(std::process::id()).ok());
            drop((client.unwrap(), socket));
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_living_server_is_not_replaced_and_a_dead_one_is() {
        let dir = dir(0o700);
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let living = bind(&path, Access::Owner).unwrap();
        let refused = bind(&path, Access::Owner);
        assert!(matches!(refused, Err(SocketError::Live { .. })));
        // The probe of the refused one comes first, and has already left.
        let (mut probe, _) = living.accept().await.unwrap();
        assert_eq!(probe.read(&mut [0; 1]).await.unwrap(), 0);
        let (accepted, client) = tokio::join!(living.accept(), UnixStream::connect(&path));
        drop((accepted.unwrap(), client.unwrap()));
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_to_is_refused() {
        for mode in [0o777, 0o1777, 0o770] {
            let dir = dir(mode);
            let path = dir.path().join("admin.sock");
            let refused = bind(&path, Access::Owner);
            assert!(
                matches!(refused, Err(SocketError::Writable { .. })),
                "{mode:o}"
            );
            assert!(!path.exists());
        }
        let open = dir(0o777);
        let inner = open.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
        let refused = bind(&inner.join("admin.sock"), Access::Owner);
        assert!(matches!(refused, Err(SocketError::Writable { .. })));
    }

    #[tokio::test]
    async fn a_symbolic_link_is_followed_neither_for_the_directory_nor_for_the_socket() {
        let dir = dir(0o700);
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let refused = bind(&link.join("admin.sock"), Access::Owner);
        assert!(matches!(refused, Err(SocketError::Directory { .. })));
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
        let refused = bind(&link, Access::Owner);
        assert!(matches!(refused, Err(SocketError::Occupied { .. })));
        assert!(real.exists());
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_socket_is_left_alone() {
        let dir = dir(0o700);
        let path = dir.path().join("admin.sock");
        fs::write(&path, "notes").unwrap();
        let refused = bind(&path, Access::Owner);
        assert!(matches!(refused, Err(SocketError::Occupied { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    }

    #[tokio::test]
    async fn a_socket_put_there_by_another_server_outlives_this_one() {
        let dir = dir(0o700);
        let path = dir.path().join("admin.sock");
        let first = bind(&path, Access::Owner).unwrap();
        fs::remove_file(&path).unwrap();
        let second = bind(&path, Access::Owner).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn names_that_cannot_be_sockets_are_refused() {
        let dir = dir(0o700);
        let refused = bind(Path::new("admin.sock"), Access::Owner);
        assert!(matches!(refused, Err(SocketError::Name { .. })));
        let refused = bind(&dir.path().join("x".repeat(200)), Access::Owner);
        assert!(matches!(refused, Err(SocketError::TooLong { .. })));
        let refused = bind(&dir.path().join("missing/admin.sock"), Access::Owner);
        assert!(matches!(refused, Err(SocketError::Directory { .. })));
    }
}
