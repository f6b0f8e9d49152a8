//! The files that a configuration names: read once, at load, within a cap. A secret is read from the
//! very descriptor whose owner and mode were checked, so that nothing changes in between. Neither
//! contents nor path is repeated: somebody may have written the secret where its path belongs.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::Text;
use crate::domain::secret::Secret;

/// Reads a secret; a final line break is not part of it.
pub(super) fn secret(findings: &mut Findings<'_>, name: &Text) -> Option<Secret> {
    let file = open(findings, name)?;
    let facts = match file.metadata() {
        Ok(facts) => facts,
        Err(error) => return unreadable(findings, name, &error),
    };
    let me = rustix::process::geteuid().as_raw();
    if let Some((rule, what)) = flaw(facts.mode() & 0o777, facts.uid(), me) {
        findings.refuse(name.span(), rule, what);
        return None;
    }
    let mut bytes = match read(file, MOST_SECRET) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(findings, name, &error),
    };
    findings.held(name, &bytes);
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    if bytes.len() < LEAST_SECRET {
        let what = format!("the file holds fewer than {LEAST_SECRET} bytes");
        findings.refuse(name.span(), Rule::SecretWeak, what);
        return None;
    }
    Some(Secret::from(bytes))
}

/// Reads certificate authorities in PEM, and sees that there is one.
pub(super) fn authorities(findings: &mut Findings<'_>, name: &Text) -> Option<Vec<u8>> {
    let file = open(findings, name)?;
    let bytes = match read(file, MOST_TEXT) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(findings, name, &error),
    };
    findings.held(name, &bytes);
    let mut found = CertificateDer::pem_slice_iter(&bytes).peekable();
    let sound = found.peek().is_some() && found.all(|certificate| certificate.is_ok());
    if !sound {
        let what = "the file holds no certificate in PEM, or a broken one";
        findings.refuse(name.span(), Rule::Value, what);
        return None;
    }
    Some(bytes.to_vec())
}

/// Reads a text file of the configuration.
pub(super) fn text(findings: &mut Findings<'_>, name: &Text) -> Option<String> {
    let file = open(findings, name)?;
    match read(file, MOST_TEXT).and_then(|bytes| as_text(&bytes)) {
        Ok(text) => Some(text),
        Err(error) => unreadable(findings, name, &error),
    }
}

/// Reads the configuration itself.
pub(super) fn whole(path: &Path) -> io::Result<String> {
    as_text(&read(regular(path)?, MOST_TEXT)?)
}

/// What is wrong with a secret file of this mode and owner, for a broker that runs as `me`.
fn flaw(mode: u32, owner: u32, me: u32) -> Option<(Rule, String)> {
    if mode & !WIDEST_MODE != 0 {
        let what = format!("the file has mode {mode:04o}, wider than {WIDEST_MODE:04o}");
        return Some((Rule::SecretMode, what));
    }
    if owner != 0 && owner != me {
        let what = format!("the file belongs to user {owner}");
        return Some((Rule::SecretOwner, what));
    }
    None
}

fn open(findings: &mut Findings<'_>, name: &Text) -> Option<File> {
    match regular(&findings.path(name)) {
        Ok(file) => Some(file),
        Err(error) => unreadable(findings, name, &error),
    }
}

/// Opens without waiting: a pipe in place of a file must not hold up the start.
fn regular(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other("it is not a regular file"))
}

fn read(file: File, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for everything at once: a buffer that grows leaves copies of a secret behind.
    let room = usize::try_from(file.metadata()?.len().min(most)).map_err(io::Error::other)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

fn as_text(bytes: &[u8]) -> io::Result<String> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(io::Error::other)
}

fn unreadable<T>(findings: &mut Findings<'_>, name: &Text, error: &io::Error) -> Option<T> {
    let what = format!("the file that is named here cannot be read: {error}");
    findings.refuse(name.span(), Rule::Unreadable, what);
    None
}

/// Owner reads and writes, group reads.
const WIDEST_MODE: u32 = 0o640;
const LEAST_SECRET: usize = 16;
const MOST_SECRET: u64 = 64 * 1024;
const MOST_TEXT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use toml::Spanned;

    use super::*;

    const CANARY: &str = "canary-5d1f-canary-5d1f";

    fn read_with(mode: u32, contents: &str) -> Result<Secret, Vec<crate::config::Problem>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let mut findings = Findings::new("writ.toml", "", dir.path());
        let name = Spanned::new(0..0, "secret".to_owned());
        secret(&mut findings, &name).ok_or_else(|| findings.into_parts().0)
    }

    fn rules(problems: &[crate::config::Problem]) -> Vec<Rule> {
        problems.iter().map(|p| p.rule).collect()
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_and_not_repeated() {
        for mode in [0o644, 0o604, 0o660, 0o666, 0o755, 0o602] {
            let problems = read_with(mode, CANARY).unwrap_err();
            assert_eq!(rules(&problems), [Rule::SecretMode], "{mode:o}");
            assert!(!format!("{problems:?}").contains("canary"));
        }
    }

    #[test]
    fn a_secret_that_another_user_can_replace_is_refused() {
        let rule = |owner, me| flaw(0o600, owner, me).map(|(rule, _)| rule);
        assert_eq!(rule(1001, 1000), Some(Rule::SecretOwner));
        assert_eq!(rule(1001, 0), Some(Rule::SecretOwner));
        assert_eq!((rule(1000, 1000), rule(0, 1000)), (None, None));
    }

    #[test]
    fn a_final_line_break_is_not_part_of_the_secret() {
        for ending in ["", "\n", "\r\n"] {
            for mode in [0o400, 0o600, 0o640] {
                let secret = read_with(mode, &format!("{CANARY}{ending}")).unwrap();
                assert_eq!(secret.expose_str(), Some(CANARY));
            }
        }
    }

    #[test]
    fn an_empty_or_short_secret_is_refused() {
        for contents in ["", "\n", "hunter2\n"] {
            let problems = read_with(0o600, contents).unwrap_err();
            assert_eq!(rules(&problems), [Rule::SecretWeak]);
            assert!(!format!("{problems:?}").contains("hunter2"));
        }
    }

    #[test]
    fn neither_a_huge_file_nor_a_directory_is_read() {
        let problems = read_with(0o600, &"x".repeat(64 * 1024 + 1)).unwrap_err();
        assert_eq!(rules(&problems), [Rule::Unreadable]);
        let dir = tempfile::tempdir().unwrap();
        let mut findings = Findings::new("writ.toml", "", dir.path());
        let name = Spanned::new(0..0, CANARY.to_owned());
        std::fs::create_dir(dir.path().join(CANARY)).unwrap();
        assert!(secret(&mut findings, &name).is_none());
        let (problems, _) = findings.into_parts();
        assert_eq!(rules(&problems), [Rule::Unreadable]);
        assert!(!format!("{problems:?}").contains("canary"));
    }
}
