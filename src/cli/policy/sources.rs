//! Where policies and their cases are read from. A file that cannot be read is a fault and never a policy less:
//! without one forbid the rest permits more.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;
use crate::cli::config::{self as configured, policy_sources};
use crate::config::read_text;
use crate::decide::engine::PolicySet;
use crate::decide::lint::Names;
use crate::decide::load::PolicySource;

/// Which policies a command is about.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// Folders with `.cedar` files, or such files [default: this folder, or what --config names]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The broker's configuration: its policies where no PATH is given, and the names that policies can use
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Leave out the policies that are part of the product
    #[arg(long)]
    no_shipped: bool,
}

/// Policies as they were read, and the folders that they are from.
pub(super) struct Policies {
    pub(super) sources: Vec<PolicySource>,
    pub(super) names: Option<Names>,
    folders: Vec<PathBuf>,
}

/// A file of a case, and what it is called.
pub(super) struct CaseFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl PolicyArgs {
    pub(super) fn read(&self) -> Result<Policies, CliError> {
        let config = self.config.as_deref().map(configured::load).transpose()?;
        let names = config.as_ref().map(configured::names);
        let here = [PathBuf::from(".")];
        let mut read = match (&config, self.paths.as_slice()) {
            (Some(config), []) => Policies::configured(policy_sources(config)),
            (None, []) => Policies::of(&here, !self.no_shipped)?,
            (_, paths) => Policies::of(paths, !self.no_shipped)?,
        };
        if self.no_shipped {
            read.sources
                .retain(|source| *source != PolicySource::shipped());
        }
        read.names = names;
        Ok(read)
    }
}

impl Policies {
    /// The policies of folders and files.
    pub(super) fn of(paths: &[PathBuf], shipped: bool) -> Result<Self, CliError> {
        let mut sources = Vec::new();
        let mut folders = Vec::new();
        for path in paths {
            if path.is_dir() {
                folders.push(path.clone());
                for file in files(path, "cedar")? {
                    sources.push(source(&file)?);
                }
            } else {
                sources.push(source(path)?);
            }
        }
        if sources.is_empty() {
            let all: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let what = format!("there is no `.cedar` file in {}", all.join(", "));
            return Err(CliError::Usage(what));
        }
        // Of the product's own folder they are there already.
        let own = sources
            .iter()
            .any(|source| source.text == PolicySource::shipped().text);
        if shipped && !own {
            sources.insert(0, PolicySource::shipped());
        }
        Ok(Self {
            sources,
            names: None,
            folders,
        })
    }

    /// Those of a configuration.
    pub(super) const fn configured(sources: Vec<PolicySource>) -> Self {
        Self {
            sources,
            names: None,
            folders: Vec::new(),
        }
    }

    /// The policies, ready to be asked.
    pub(super) fn compiled(&self) -> Result<PolicySet, CliError> {
        PolicySet::load(&self.sources).map_err(|error| {
            CliError::Unsound(format!(
                "{error}\nthe policies do not load: see `writ policy check`"
            ))
        })
    }

    /// The cases beside the policies, in `cases/`, and those of further folders.
    pub(super) fn cases(&self, further: &[PathBuf]) -> Result<Vec<CaseFile>, CliError> {
        let beside = self.folders.iter().map(|folder| folder.join("cases"));
        let beside = beside.filter(|folder| folder.is_dir());
        let mut found = Vec::new();
        for folder in beside.chain(further.iter().cloned()) {
            for path in files(&folder, "json")? {
                let text = read(&path)?;
                let name = path.file_stem().unwrap_or_default();
                found.push(CaseFile {
                    name: name.to_string_lossy().into_owned(),
                    path,
                    text,
                });
            }
        }
        Ok(found)
    }
}

/// The files of a folder that end so, in order. Hidden ones are an editor's, or a mounted volume's own.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, CliError> {
    let failed = |source| CliError::Io {
        what: format!("{} cannot be listed", folder.display()),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ends = path.extension().is_some_and(|own| own == ending);
        if ends && !name.starts_with('.') {
            found.push(path);
        }
        if found.len() > MOST_FILES {
            return Err(failed(io::Error::other(format!(
                "it has more than {MOST_FILES} files"
            ))));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn source(path: &Path) -> Result<PolicySource, CliError> {
    Ok(PolicySource {
        name: path.display().to_string(),
        text: read(path)?,
    })
}

/// A regular file, or a link that leads to one, of a size that can be meant.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    read_text(path).map_err(|source| CliError::Io {
        what: format!("{} cannot be read", path.display()),
        source,
    })
}

const MOST_FILES: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir) -> Result<Vec<String>, CliError> {
        let read = Policies::of(&[dir.path().to_owned()], false)?;
        let prefix = format!("{}/", dir.path().display());
        let names = read.sources.iter();
        Ok(names
            .map(|source| source.name.replace(&prefix, ""))
            .collect())
    }

    #[test]
    fn files_are_taken_in_order_and_hidden_ones_and_others_are_not() {
        let dir = folder(&[
            ("b.cedar", ""),
            ("a.cedar", ""),
            (".a.cedar", ""),
            ("c.txt", ""),
        ]);
        symlink("a.cedar", dir.path().join("z.cedar")).unwrap();
        assert_eq!(names(&dir).unwrap(), ["a.cedar", "b.cedar", "z.cedar"]);
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_a_fault_and_not_a_policy_less() {
        for prepare in [
            (|path: &Path| symlink("nowhere", path.join("b.cedar"))) as fn(&Path) -> io::Result<()>,
            |path| symlink("/dev/zero", path.join("b.cedar")),
            |path| symlink("b.cedar", path.join("b.cedar")),
            |path| std::fs::create_dir(path.join("b.cedar")),
            |path| std::fs::write(path.join("b.cedar"), b"// \xff"),
            |path| std::fs::write(path.join("b.cedar"), vec![b' '; 1024 * 1024 + 1]),
        ] {
            let dir = folder(&[("a.cedar", "")]);
            prepare(dir.path()).unwrap();
            let error = names(&dir).unwrap_err().to_string();
            assert!(error.contains("b.cedar"), "{error}");
        }
    }

    #[test]
    fn an_empty_folder_is_a_mistake() {
        assert!(matches!(names(&folder(&[])), Err(CliError::Usage(_))));
    }
}
