//! How the key-encryption key comes in and goes out: one line of text,
//! `writ-kek-1:` and 32 bytes in base64url without padding.
//!
//! A file is judged by what was opened, never by its path, so that it cannot be exchanged between the
//! look and the read. A descriptor was opened by whoever started the process, who thereby vouches for it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};
use zeroize::Zeroizing;

use crate::error::CustodyError;
use crate::kek::{KEK_LEN, KeyEncryptionKey};

impl KeyEncryptionKey {
    /// Reads the key from `path`: a regular file, not a symbolic link, owned by this process's effective
    /// uid or root, with a mode no wider than 0600. Each refusal says what mends it.
    pub fn read_file(path: &Path) -> Result<Self, CustodyError> {
        // Without NONBLOCK the open of a pipe would wait for a writer before it can be refused.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP => CustodyError::KekSymlink {
                path: path.to_owned(),
            },
            other => failed("open", &path.display(), other.into()),
        })?;
        let stat = rustix::fs::fstat(&fd)
            .map_err(|errno| failed("inspect", &path.display(), errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(CustodyError::KekNotRegular {
                path: path.to_owned(),
            });
        }
        let reader = rustix::process::geteuid().as_raw();
        check_guarded(path, stat.st_uid, reader, stat.st_mode & PERMISSION_BITS)?;
        read_text(fd, &path.display().to_string())
    }

    /// Reads the key from an open descriptor up to its end: a pipe, a memory file, an opened file.
    pub fn read_fd(fd: OwnedFd) -> Result<Self, CustodyError> {
        read_text(fd, "the given descriptor")
    }

    /// Reads the key from the descriptor that the process inherited under this number, such as 3 in
    /// `3< file`. The number itself stays open: it belongs to whoever passed it.
    pub fn read_fd_number(fd: RawFd) -> Result<Self, CustodyError> {
        let taken =
            take_inherited(fd).map_err(|source| CustodyError::KekDescriptor { fd, source })?;
        read_text(taken, &format!("descriptor {fd}"))
    }

    /// Writes the key to a file that must not exist yet, with mode 0600, and returns when file and
    /// directory entry are on the disk. After a failed write the file may be left incomplete: it is then
    /// refused by [`KeyEncryptionKey::read_file`] and can be removed.
    pub fn write_new(&self, path: &Path) -> Result<(), CustodyError> {
        let io = |action| move |source| failed(action, &path.display(), source);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::open(path, flags, mode).map_err(|errno| match errno {
            Errno::EXIST => CustodyError::KekExists {
                path: path.to_owned(),
            },
            other => failed("create", &path.display(), other.into()),
        })?;
        let mut file = File::from(fd);
        file.write_all(self.text().as_bytes())
            .map_err(io("write"))?;
        file.sync_all().map_err(io("sync"))?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failed("sync", &directory.display(), source))
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(self.source(), &mut text);
        text.push('\n');
        text
    }
}

fn check_guarded(path: &Path, owner: u32, reader: u32, mode: u32) -> Result<(), CustodyError> {
    if owner != reader && owner != ROOT {
        return Err(CustodyError::KekOwner {
            path: path.to_owned(),
            owner,
            expected: reader,
        });
    }
    if mode & !OWNER_ONLY != 0 {
        return Err(CustodyError::KekMode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Another descriptor for what this process holds under the number `fd`.
fn take_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    let duplicate = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .and_then(|own| rustix::process::pidfd_getfd(own, fd, PidfdGetfdFlags::empty()));
    match duplicate {
        Ok(duplicate) => Ok(duplicate),
        // Container runtimes forbid this call by default.
        Err(Errno::PERM | Errno::NOSYS) => reopen_inherited(fd),
        Err(other) => Err(other.into()),
    }
}

/// Opens anew what is behind the number, which needs no privilege but the right to read it.
fn reopen_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{fd}");
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn read_text(fd: OwnedFd, origin: &str) -> Result<KeyEncryptionKey, CustodyError> {
    // Room for one byte too many, and never grown: growing would leave a copy of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_TEXT * 2));
    File::from(fd)
        .take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|source| failed("read", &origin, source))?;
    if text.len() > MAX_TEXT {
        return Err(CustodyError::KekTooLarge {
            origin: origin.to_owned(),
        });
    }
    parse(&text).ok_or_else(|| CustodyError::KekFormat {
        origin: origin.to_owned(),
    })
}

fn parse(text: &[u8]) -> Option<KeyEncryptionKey> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let encoded = line.strip_prefix(PREFIX.as_bytes())?;
    let mut decoded = Zeroizing::new([0; MAX_TEXT]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(encoded, decoded.as_mut_slice())
        .ok()?;
    let bytes = decoded.get(..length)?;
    let mut source = Box::new(Zeroizing::new([0; KEK_LEN]));
    if bytes.len() != source.len() {
        return None;
    }
    source.copy_from_slice(bytes);
    Some(KeyEncryptionKey::from_source(source))
}

fn failed(action: &'static str, origin: &dyn fmt::Display, source: io::Error) -> CustodyError {
    CustodyError::KekIo {
        action,
        origin: origin.to_string(),
        source,
    }
}

const PREFIX: &str = "writ-kek-1:";
// The prefix, 43 characters and a line end are 56 bytes.
const MAX_TEXT: usize = 128;
const ROOT: u32 = 0;
const PERMISSION_BITS: u32 = 0o7777;
const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::fixtures::TestEntropy;

    struct Place {
        directory: tempfile::TempDir,
        kek: KeyEncryptionKey,
    }

    impl Place {
        fn with_key() -> (Self, PathBuf) {
            let kek = KeyEncryptionKey::generate(&TestEntropy::seeded(7));
            let place = Self {
                directory: tempfile::tempdir().unwrap(),
                kek,
            };
            let path = place.path("kek");
            place.kek.write_new(&path).unwrap();
            (place, path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }
    }

    fn refusal(path: &Path) -> CustodyError {
        KeyEncryptionKey::read_file(path).unwrap_err()
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_written_key_reads_back_as_the_same_key() {
        let (place, path) = Place::with_key();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        let read = KeyEncryptionKey::read_file(&path).unwrap();
        assert_eq!(read.check_value(), place.kek.check_value());
        chmod(&path, 0o400);
        let read = KeyEncryptionKey::read_file(&path).unwrap();
        assert_eq!(read.check_value(), place.kek.check_value());
    }

    #[test]
    fn a_file_that_others_may_touch_is_refused_with_the_mend() {
        let (_place, path) = Place::with_key();
        for mode in [0o644, 0o640, 0o620, 0o602, 0o700, 0o4600] {
            chmod(&path, mode);
            let refused = refusal(&path);
            assert_eq!(refused.code(), "kek_mode", "{mode:o}");
            assert!(
                refused
                    .to_string()
                    .ends_with(&format!("chmod 600 {}", path.display()))
            );
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused_and_root_is_accepted() {
        let path = Path::new("kek");
        assert_eq!(
            check_guarded(path, 1001, 1000, 0o600).unwrap_err().code(),
            "kek_owner"
        );
        assert_eq!(
            check_guarded(path, 1000, 0, 0o600).unwrap_err().code(),
            "kek_owner"
        );
        check_guarded(path, 0, 1000, 0o400).unwrap();
    }

    #[test]
    fn a_link_a_directory_and_a_pipe_are_refused() {
        let (place, path) = Place::with_key();
        let link = place.path("link");
        symlink(&path, &link).unwrap();
        assert_eq!(refusal(&link).code(), "kek_symlink");
        assert_eq!(refusal(place.directory.path()).code(), "kek_not_regular");
        let pipe = place.path("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        assert_eq!(refusal(&pipe).code(), "kek_not_regular");
        assert_eq!(refusal(&place.path("absent")).code(), "kek_io");
    }

    #[test]
    fn text_that_is_no_key_is_refused_and_not_repeated() {
        let (place, path) = Place::with_key();
        let whole = std::fs::read_to_string(&path).unwrap();
        let line = whole.trim_end();
        let cases = [
            (String::new(), "kek_format"),
            (line.replace("writ-kek-1", "writ-kek-2"), "kek_format"),
            (line[..line.len() - 1].to_owned(), "kek_format"),
            (format!("{line}AAAA"), "kek_format"),
            (format!("{line}="), "kek_format"),
            (format!("{line}\n\n"), "kek_format"),
            (format!(" {line}"), "kek_format"),
            ("x".repeat(4096), "kek_too_large"),
        ];
        for (text, code) in cases {
            let damaged = place.path("damaged");
            std::fs::write(&damaged, &text).unwrap();
            chmod(&damaged, 0o600);
            let refused = refusal(&damaged);
            assert_eq!(refused.code(), code, "{text:?}");
            assert!(!format!("{refused} {refused:?}").contains(&line[PREFIX.len()..][..20]));
        }
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let (_place, path) = Place::with_key();
        let before = std::fs::read(&path).unwrap();
        let other = KeyEncryptionKey::generate(&TestEntropy::seeded(8));
        assert_eq!(other.write_new(&path).unwrap_err().code(), "kek_exists");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_key_is_read_from_a_descriptor_and_from_its_number() {
        use std::os::fd::AsRawFd as _;
        let (place, path) = Place::with_key();
        let file = File::open(&path).unwrap();
        let by_number = KeyEncryptionKey::read_fd_number(file.as_raw_fd()).unwrap();
        assert_eq!(by_number.check_value(), place.kek.check_value());
        let file = File::open(&path).unwrap();
        let reopened = reopen_inherited(file.as_raw_fd()).unwrap();
        let reopened = KeyEncryptionKey::read_fd(reopened).unwrap();
        assert_eq!(reopened.check_value(), place.kek.check_value());

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(place.kek.text().as_bytes()).unwrap();
        drop(writer);
        let piped = KeyEncryptionKey::read_fd(reader.into()).unwrap();
        assert_eq!(piped.check_value(), place.kek.check_value());

        let absent = KeyEncryptionKey::read_fd_number(987_654).unwrap_err();
        assert_eq!(absent.code(), "kek_descriptor");
    }
}
