//! A private directory for what the command reads: nobody else can look into it, a file is replaced
//! whole or not at all, and all of it goes when the command has ended.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::super::CliError;
use crate::seams::Entropy;

/// A directory of mode 0700 with files of mode 0600; dropping it removes it.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Makes a directory under the first parent that lets it be made.
    pub(super) fn make(parents: &[PathBuf], entropy: &dyn Entropy) -> Result<Self, CliError> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for parent in parents {
            let mut name = [0; 8];
            entropy.fill(&mut name);
            let path = parent.join(format!("writ-run-{}", hex::encode(name)));
            // It must not be there yet: what somebody else made is somebody else's.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => refused = error,
            }
        }
        Err(CliError::Io {
            what:
                "no private directory can be made under XDG_RUNTIME_DIR or the temporary directory"
                    .to_owned(),
            source: refused,
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts the bytes under this name. A reader sees what was there before, or all of them.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CliError> {
        replace(&self.path(name), bytes)
    }
}

/// Puts the bytes into a file of mode 0600. A reader sees what was there before, or all of them.
pub(in crate::cli) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let unwritten = |source| CliError::Io {
        what: format!("{} cannot be written", path.display()),
        source,
    };
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.ok_or_else(|| unwritten(io::ErrorKind::InvalidInput.into()))?;
    let fresh = path.with_file_name(format!(".{name}.new"));
    put(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|source| {
            // What is half written is of no use to anybody.
            fs::remove_file(&fresh).ok();
            unwritten(source)
        })
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may be gone already, and there is nobody to tell.
        fs::remove_dir_all(&self.0).ok();
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::seams::SystemEntropy;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_this_user_reads_it_and_nothing_of_it_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parents = [PathBuf::from("/nonexistent"), parent.path().to_owned()];
        let place = Place::make(&parents, &SystemEntropy).unwrap();
        place.write("token", b"one").unwrap();
        let path = place.path("token");
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        drop(place);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_reader_that_has_the_file_open_reads_it_to_its_end() {
        let parent = tempfile::tempdir().unwrap();
        let place = Place::make(&[parent.path().to_owned()], &SystemEntropy).unwrap();
        place.write("token", b"the first token").unwrap();
        let mut open = fs::File::open(place.path("token")).unwrap();
        place.write("token", b"the second").unwrap();
        let mut read = String::new();
        io::Read::read_to_string(&mut open, &mut read).unwrap();
        assert_eq!(read, "the first token");
        assert_eq!(fs::read(place.path("token")).unwrap(), b"the second");
    }
}
