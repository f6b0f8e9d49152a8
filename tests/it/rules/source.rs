//! The source files under `src/`, without their tests.

use std::path::{Path, PathBuf};

/// One file of the product.
pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    /// Its lines up to its unit tests.
    pub lines: Vec<String>,
}

impl Source {
    /// The module under `src/` that the file belongs to.
    pub fn module(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split(['/', '.']).next().unwrap()
    }

    /// Lines of code with their numbers, without comments.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.lines.iter().enumerate();
        numbered
            .map(|(n, line)| (n + 1, line.trim()))
            .filter(|(_, line)| !line.starts_with("//"))
    }
}

/// Every file under `src/` that is not a test.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 100, "the source was not found");
    let read = |file: &PathBuf| Source {
        path: relative(root, file),
        lines: product(&std::fs::read_to_string(file).unwrap()),
    };
    files.iter().map(read).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    let name = file.file_stem().and_then(|stem| stem.to_str());
    name.is_some_and(|name| name.ends_with("tests"))
}

fn relative(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap();
    below.to_str().unwrap().replace('\\', "/")
}

/// Unit tests stand at the end of their file.
fn product(text: &str) -> Vec<String> {
    let lines = text.lines();
    lines
        .take_while(|line| *line != "#[cfg(test)]")
        .map(str::to_owned)
        .collect()
}
