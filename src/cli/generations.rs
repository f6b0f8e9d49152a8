//! A directory whose files change all at once, as kubelet changes those of a mounted secret: each set of files
//! is a directory of its own, the link `..current` names the one in force, and the files' own names are links
//! through it.
//!
//! ```text
//! DIR/svid.pem      -> ..current/svid.pem
//! DIR/..current     -> ..5f0c86a1d2e9b374
//! DIR/..5f0c86a1d2e9b374/svid.pem
//! ```
//!
//! What must stay true: at every instant, also after a kill, the names lead into one set; and of two writers
//! each has its set in force whole, one after the other.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::CliError;
use crate::seams::Entropy;

/// The directory, for as long as nobody else changes it.
pub(super) struct Generations {
    dir: PathBuf,
    /// The lock on it, which ends with the process at the latest.
    held: File,
}

/// A file by its name, with its contents.
pub(super) type Named<'a> = (&'static str, &'a [u8]);

/// A file by its name, with what it holds already.
type Held = (&'static str, Zeroizing<Vec<u8>>);

impl Generations {
    /// For reading: whoever writes waits.
    pub(super) fn to_read(dir: &Path) -> Result<Self, CliError> {
        Self::held(dir, FlockOperation::LockShared)
    }

    /// For writing; made for this user alone if there is none.
    pub(super) fn to_write(dir: &Path) -> Result<Self, CliError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| CliError::Io {
            what: format!("{} cannot be made", dir.display()),
            source,
        })?;
        Self::held(dir, FlockOperation::LockExclusive)
    }

    fn held(dir: &Path, how: FlockOperation) -> Result<Self, CliError> {
        let open = || {
            let held = File::open(dir)?;
            flock(&held, how)?;
            Ok(held)
        };
        let held = open().map_err(|source: io::Error| CliError::Io {
            what: format!("{} cannot be opened", dir.display()),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            held,
        })
    }

    /// A short file of the set in force.
    pub(super) fn read(&self, name: &str) -> Result<Zeroizing<String>, CliError> {
        let path = self.dir.join(name);
        let mut text = Zeroizing::new(String::new());
        let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.map_err(|source| CliError::Io {
            what: format!("{} cannot be read", path.display()),
            source,
        })?;
        Ok(text)
    }

    /// Puts a set of files in the place of the one in force, and removes whatever was before it. Where the
    /// names do not exist yet they appear in this order.
    pub(super) fn put(&self, files: &[Named<'_>], entropy: &dyn Entropy) -> Result<(), CliError> {
        self.put_seen(files, entropy, &mut || ())
            .map_err(|source| CliError::Io {
                what: format!("the files in {} cannot be replaced", self.dir.display()),
                source,
            })
    }

    /// As [`Generations::put`]; `seen` is called after each change that a reader could see.
    fn put_seen(
        &self,
        files: &[Named<'_>],
        entropy: &dyn Entropy,
        seen: &mut impl FnMut(),
    ) -> io::Result<()> {
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        let plain = self.plain(&names)?;
        if !plain.is_empty() {
            // Files that were put side by side become a set first: replaced by links one after another they
            // lead to what they held, whichever of them are links already.
            let plain: Vec<_> = plain
                .iter()
                .map(|(name, held)| (*name, &held[..]))
                .collect();
            self.switch(&plain, entropy, seen)?;
            let names: Vec<_> = plain.iter().map(|(name, _)| *name).collect();
            self.link(&names, seen)?;
        }
        self.switch(files, entropy, seen)?;
        self.link(&names, seen)?;
        self.sweep(&names, seen)
    }

    /// What the names lead to, where one of them is a file and no link of ours.
    fn plain(&self, names: &[&'static str]) -> io::Result<Vec<Held>> {
        let is_plain = |name: &&str| match fs::symlink_metadata(self.dir.join(name)) {
            Ok(_) => !self.leads(name),
            Err(_) => false,
        };
        if !names.iter().any(is_plain) {
            return Ok(Vec::new());
        }
        let mut held = Vec::new();
        for name in names {
            match fs::read(self.dir.join(name)) {
                Ok(bytes) => held.push((*name, Zeroizing::new(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Writes a set beside the one in force, and puts it in force by one rename.
    fn switch(
        &self,
        files: &[Named<'_>],
        entropy: &dyn Entropy,
        seen: &mut impl FnMut(),
    ) -> io::Result<()> {
        let mut id = [0; ID];
        entropy.fill(&mut id);
        let name = format!("{MARK}{}", hex::encode(id));
        let place = self.dir.join(&name);
        DirBuilder::new().mode(0o700).create(&place)?;
        for (name, bytes) in files {
            seen();
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(place.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        File::open(&place)?.sync_all()?;
        seen();
        self.point(CURRENT, Path::new(&name), seen)
    }

    /// Makes the names lead through the link.
    fn link(&self, names: &[&'static str], seen: &mut impl FnMut()) -> io::Result<()> {
        for name in names {
            if !self.leads(name) {
                self.point(name, &Path::new(CURRENT).join(name), seen)?;
            }
        }
        self.held.sync_all()
    }

    /// Puts a link in the place of whatever has this name.
    fn point(&self, name: &str, to: &Path, seen: &mut impl FnMut()) -> io::Result<()> {
        let fresh = self.dir.join(fresh(name));
        // Left over by somebody who was killed: the lock is ours.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        symlink(to, &fresh)?;
        seen();
        fs::rename(&fresh, self.dir.join(name))?;
        seen();
        Ok(())
    }

    fn leads(&self, name: &str) -> bool {
        let to = fs::read_link(self.dir.join(name));
        to.is_ok_and(|to| to == Path::new(CURRENT).join(name))
    }

    /// Removes every set but the one in force, and what somebody who was killed left half done.
    fn sweep(&self, names: &[&'static str], seen: &mut impl FnMut()) -> io::Result<()> {
        let current = fs::read_link(self.dir.join(CURRENT))?;
        let half_done: Vec<_> = names.iter().map(|name| fresh(name)).collect();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(text) = name.to_str() else {
                continue;
            };
            if is_set(text) && current != Path::new(text) {
                fs::remove_dir_all(entry.path())?;
                seen();
            } else if text == fresh(CURRENT) || half_done.iter().any(|half| half == text) {
                fs::remove_file(entry.path())?;
                seen();
            }
        }
        Ok(())
    }
}

/// Under which name a link is made before it takes its place.
fn fresh(name: &str) -> String {
    format!(".{name}.new")
}

fn is_set(name: &str) -> bool {
    let id = name.strip_prefix(MARK);
    id.is_some_and(|id| id.len() == ID * 2 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

const CURRENT: &str = "..current";
const MARK: &str = "..";
/// Bytes of a set's id.
const ID: usize = 8;
const LONGEST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;
    use crate::seams::SystemEntropy;

    const NAMES: [&str; 3] = ["key", "bundle", "chain"];

    fn put(dir: &Path, set: &str, seen: &mut impl FnMut()) {
        let files = NAMES.map(|name| (name, set.as_bytes()));
        let held = Generations::to_write(dir).unwrap();
        held.put_seen(&files, &SystemEntropy, seen).unwrap();
    }

    /// What a reader finds by the names, as one set; nothing where there is none yet.
    fn found(dir: &Path) -> Option<String> {
        let read = NAMES.map(|name| fs::read_to_string(dir.join(name)).ok());
        // The last name appears last: whoever sees it finds the others.
        read[2].as_ref()?;
        let sets: BTreeSet<_> = read.into_iter().collect();
        assert_eq!(sets.len(), 1, "two sets at once: {sets:?}");
        sets.into_iter().next().unwrap()
    }

    fn flat(dir: &Path, set: &str) {
        for name in NAMES {
            fs::write(dir.join(name), set).unwrap();
        }
    }

    fn entries(dir: &Path) -> BTreeSet<String> {
        let names = fs::read_dir(dir).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// One set, its link, the names, and nothing that was half done.
    fn assert_tidy(dir: &Path) {
        let all = entries(dir);
        assert_eq!(all.iter().filter(|name| is_set(name)).count(), 1, "{all:?}");
        assert_eq!(all.len(), NAMES.len() + 2, "{all:?}");
        assert!(all.contains(CURRENT));
    }

    #[test]
    fn at_every_step_a_reader_finds_one_set_and_a_kill_there_is_mended_by_the_next_writer() {
        for start in ["nothing", "files side by side", "a set"] {
            let place = tempfile::tempdir().unwrap();
            let (dir, snapshots) = (place.path().join("dir"), place.path().join("snapshots"));
            fs::create_dir(&dir).unwrap();
            fs::create_dir(&snapshots).unwrap();
            match start {
                "files side by side" => flat(&dir, "old"),
                "a set" => put(&dir, "old", &mut || ()),
                _ => {}
            }
            let mut steps = 0;
            put(&dir, "new", &mut || {
                let set = found(&dir);
                assert!(
                    matches!(set.as_deref(), None | Some("old" | "new")),
                    "{set:?}"
                );
                let copied = Command::new("cp")
                    .arg("-a")
                    .args([&dir, &snapshots.join(steps.to_string())])
                    .status();
                assert!(copied.unwrap().success());
                steps += 1;
            });
            assert!(steps > 6, "{start}: {steps}");
            assert_eq!(found(&dir).as_deref(), Some("new"), "{start}");
            assert_tidy(&dir);
            for step in 0..steps {
                let left = snapshots.join(step.to_string());
                put(&left, "next", &mut || {
                    found(&left);
                });
                assert_eq!(found(&left).as_deref(), Some("next"), "{start} {step}");
                assert_tidy(&left);
            }
        }
    }

    #[test]
    fn of_writers_at_once_each_has_its_set_in_force_whole() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        put(dir, "first", &mut || ());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    for turn in 0..25 {
                        put(dir, &format!("{writer}-{turn}"), &mut || ());
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..200 {
                    let held = Generations::to_read(dir).unwrap();
                    let sets = NAMES.map(|name| held.read(name).unwrap().to_string());
                    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:?}");
                }
            });
        });
        assert!(found(dir).unwrap().ends_with("-24"));
        assert_tidy(dir);
    }

    #[test]
    fn only_this_user_can_read_what_the_names_lead_to() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("made/here");
        put(&dir, "set", &mut || ());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for name in NAMES {
            assert_eq!(mode(&dir.join(name)), 0o600);
            let to = fs::read_link(dir.join(name)).unwrap();
            assert!(to.is_relative(), "the directory can be moved: {to:?}");
        }
        assert_eq!((mode(&dir), mode(&dir.join(CURRENT))), (0o700, 0o700));
    }

    #[test]
    fn what_is_not_ours_in_the_directory_stays() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        let others = ["README", "..data", "..0123", ".hidden.new"];
        for name in others {
            fs::write(dir.join(name), "theirs").unwrap();
        }
        put(dir, "one", &mut || ());
        put(dir, "two", &mut || ());
        for name in others {
            assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), "theirs");
        }
    }
}
