//! `writ init`: what a broker in production begins with, written once and never over anything.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use writ_keys::KeyEncryptionKey;
use zeroize::Zeroizing;

use super::CliError;
use super::out::{Out, complain};
use crate::config::{Ci, Production, production_text};
use crate::domain::identity::TrustDomain;
use crate::domain::url::BaseUrl;
use crate::seams::{Entropy, SystemEntropy};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// Where the configuration, its secrets and the unit are written
    #[arg(default_value = "/etc/writ")]
    dir: PathBuf,

    /// The broker's URL, as jobs and services will know it
    #[arg(long, value_name = "URL", value_parser = url)]
    issuer: BaseUrl,

    /// The domain of the SPIFFE IDs that workloads get; without it, the issuer's host
    #[arg(long, value_name = "NAME", value_parser = trust_domain)]
    trust_domain: Option<TrustDomain>,

    /// Trust ID tokens of GitHub Actions
    #[arg(long)]
    github: bool,

    /// Trust ID tokens of the GitLab instance at this URL
    #[arg(long, value_name = "URL", value_parser = url)]
    gitlab: Option<BaseUrl>,

    /// Let the broker certify itself, in place of a certificate from elsewhere
    #[arg(long)]
    own_certificate: bool,

    /// Where the service finds this program
    #[arg(long, default_value = "/usr/local/bin/writ", value_name = "PATH")]
    binary: PathBuf,
}

pub(super) fn run(args: &InitArgs, out: &mut Out) -> Result<(), CliError> {
    let dir = directory(&args.dir)?;
    let production = production(args)?;
    let files = files(&production, &dir, &args.binary, &SystemEntropy)?;
    let mut names: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
    names.insert(0, KEK.to_owned());
    if let Some(taken) = names
        .iter()
        .find(|name| dir.join(name).symlink_metadata().is_ok())
    {
        let taken = dir.join(taken);
        return Err(CliError::Usage(format!(
            "{} is there already, and nothing is written over it; nothing was written",
            taken.display()
        )));
    }
    let mut made = Made(Vec::new());
    made.write(&dir, files)?;
    let config = super::config::load(&dir.join(CONFIG))?;
    made.keep();
    for warning in config.warnings() {
        complain(&format!("warning: {warning}")).ok();
    }
    if out.is_json() {
        return out.line(&json!({ "dir": dir, "files": names }).to_string());
    }
    out.lines(&told(&production, &dir))
}

/// The directory, made if it is not there. Nobody else may put something in a file's place.
fn directory(dir: &Path) -> Result<PathBuf, CliError> {
    let failed = |source| CliError::Io {
        what: format!("{} cannot be used", dir.display()),
        source,
    };
    match DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let mode = fs::metadata(dir).map_err(failed)?.mode();
    if mode & 0o022 != 0 {
        let what = format!("others can write to {0}: chmod go-w {0}", dir.display());
        return Err(CliError::Usage(what));
    }
    let dir = dir.canonicalize().map_err(failed)?;
    // The path goes into the unit and the shell's arguments as it is.
    let text = dir.to_str().unwrap_or(" ");
    if text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c))
    {
        return Ok(dir);
    }
    Err(CliError::Usage(
        "the directory's path has to be of A-Z a-z 0-9 . _ - + and /".to_owned(),
    ))
}

fn production(args: &InitArgs) -> Result<Production, CliError> {
    let issuer = &args.issuer;
    if !issuer.is_https() {
        let what =
            "the issuer of a broker in production is https; `writ dev` is for trying things out";
        return Err(CliError::Usage(what.to_owned()));
    }
    let trust_domain = match &args.trust_domain {
        Some(given) => given.clone(),
        None => issuer.host().parse().map_err(|error| {
            CliError::Usage(format!(
                "give --trust-domain: the issuer's host is none: {error}"
            ))
        })?,
    };
    let github = args.github.then_some(Ci::Github);
    let gitlab = args.gitlab.clone().map(Ci::Gitlab);
    Ok(Production {
        issuer: issuer.clone(),
        trust_domain,
        sources: github.into_iter().chain(gitlab).collect(),
        own_certificate: args.own_certificate,
    })
}

/// A file that is to be written.
struct NewFile {
    name: String,
    mode: u32,
    text: Zeroizing<String>,
}

fn files(
    production: &Production,
    dir: &Path,
    binary: &Path,
    entropy: &dyn Entropy,
) -> Result<Vec<NewFile>, CliError> {
    let public = |name: &str, text: String| NewFile {
        name: name.to_owned(),
        mode: 0o644,
        text: Zeroizing::new(text),
    };
    let mut files = vec![
        public(CONFIG, production_text(production)),
        public(UNIT, unit(production, dir, binary)?),
    ];
    for source in &production.sources {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut());
        files.push(NewFile {
            name: source.secret_file(),
            mode: 0o600,
            text: Zeroizing::new(format!("{}\n", &*Zeroizing::new(hex::encode(*bytes)))),
        });
    }
    Ok(files)
}

/// The shipped unit, with the paths of this installation.
fn unit(production: &Production, dir: &Path, binary: &Path) -> Result<String, CliError> {
    let binary = binary.to_str().filter(|path| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        path.starts_with('/') && path.chars().all(plain)
    });
    let binary = binary.ok_or_else(|| {
        CliError::Usage("--binary is an absolute path of A-Z a-z 0-9 . _ - + and /".to_owned())
    })?;
    let dir = dir.display();
    let credential = |name: &str| format!("LoadCredential={name}:{dir}/{name}\n");
    let secrets = production.sources.iter();
    let secrets: String = secrets
        .map(|source| credential(&source.secret_file()))
        .collect();
    let pair = ["tls.pem", "tls.key"].map(credential).concat();
    let kept = if production.own_certificate {
        ""
    } else {
        &pair
    };
    Ok(SHIPPED
        .replace("/etc/writ/", &format!("{dir}/"))
        .replace("/usr/local/bin/writ", binary)
        .replacen(&pair, &format!("{kept}{secrets}"), 1))
}

/// What this run has written, and takes away again unless it is told to keep it.
struct Made(Vec<PathBuf>);

impl Made {
    fn write(&mut self, dir: &Path, files: Vec<NewFile>) -> Result<(), CliError> {
        let kek = dir.join(KEK);
        let written = KeyEncryptionKey::generate(&SystemEntropy).write_new(&kek);
        written.map_err(|error| CliError::Usage(error.to_string()))?;
        self.0.push(kek);
        for file in files {
            let path = dir.join(&file.name);
            let put = || -> io::Result<()> {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(file.mode);
                let mut opened = options.open(&path)?;
                opened.write_all(file.text.as_bytes())?;
                opened.sync_all()
            };
            put().map_err(|source| CliError::Io {
                what: format!("{} cannot be written", path.display()),
                source,
            })?;
            self.0.push(path);
        }
        Ok(())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // What cannot be removed is found by the next run, which names it.
            fs::remove_file(path).ok();
        }
    }
}

fn told(production: &Production, dir: &Path) -> Vec<String> {
    let (dir, issuer) = (dir.display(), production.issuer.as_str());
    let host = production.issuer.host();
    let mut lines = vec![
        format!("wrote {dir}/{CONFIG}, the configuration"),
        format!(
            "wrote {dir}/{KEK}, the key-encryption key: without it the database is lost, so keep a copy apart from the database's"
        ),
        format!("wrote {dir}/{UNIT}, the hardened service"),
    ];
    for source in &production.sources {
        let (file, name) = (source.secret_file(), source.name());
        lines.push(format!(
            "wrote {dir}/{file}, for the webhook to {issuer}/hooks/{name}"
        ));
    }
    let certificate = if production.own_certificate {
        format!(
            "  1. let clients trust {issuer}/pki/roots.pem, once it runs and they have compared it with what its log says of its root"
        )
    } else {
        format!(
            "  1. put the certificate of {host} at {dir}/tls.pem and its key at {dir}/tls.key, mode 0600"
        )
    };
    lines.extend([
        "next".to_owned(),
        certificate,
        format!("  2. writ profile new --no-api --from-token - >> {dir}/{CONFIG}"),
        "     with an ID token of a real job; without --no-api where the source has its API"
            .to_owned(),
        format!("  3. writ config check {dir}/{CONFIG}"),
        format!("  4. systemctl enable --now {dir}/{UNIT}"),
        format!("  5. writ doctor server --config {dir}/{CONFIG}"),
    ]);
    lines
}

fn url(text: &str) -> Result<BaseUrl, crate::domain::url::BadUrl> {
    text.parse()
}

fn trust_domain(text: &str) -> Result<TrustDomain, crate::domain::identity::BadIdentity> {
    text.parse()
}

const SHIPPED: &str = include_str!("../../deploy/systemd/writ.service");
const CONFIG: &str = "writ.toml";
const KEK: &str = "kek";
const UNIT: &str = "writ.service";

const EXAMPLES: &str = "\
Examples:
  writ init --issuer https://writ.example --github
  writ init --issuer https://writ.example --github --own-certificate
  writ init ./etc --issuer https://writ.example --trust-domain example.org \\
    --gitlab https://gitlab.example

Nothing is ever written over. The key-encryption key and the webhook secrets have mode 0600.";
