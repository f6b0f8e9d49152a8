//! `writ svid`: what proves a workload's identity to others, taken at the public endpoint with the token
//! that `writ run` keeps alive. A certificate's key is made here and never sent.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::json;
use writ_keys::SessionKey;
use zeroize::Zeroizing;

use super::CliError;
use super::generations::Generations;
use super::out::Out;
use super::run::client::{Certified, Client};
use super::run::files::replace;
use super::text::plain;
use super::way::Way;
use crate::domain::grant::Audience;
use crate::domain::secret::Secret;
use crate::domain::url::{BadUrl, BaseUrl};
use crate::outbound::{BadCertificate, ClientCertificate};
use crate::seams::{SystemClock, SystemEntropy};

#[derive(Debug, Subcommand)]
pub(super) enum SvidCommand {
    /// Make a key and have it certified: an X.509-SVID
    #[command(after_help = X509)]
    X509(X509Args),
    /// Renew the X.509-SVID in a directory, with itself as the evidence
    #[command(after_help = RENEW)]
    Renew(RenewArgs),
    /// A JWT-SVID for one service
    #[command(after_help = JWT)]
    Jwt(JwtArgs),
}

/// Where the broker is.
#[derive(Debug, Args)]
struct At {
    /// The broker's URL, as its configuration spells its `issuer`
    #[arg(long, env = "WRIT_ISSUER", value_name = "URL", value_parser = issuer)]
    issuer: BaseUrl,
    /// Certificate authorities in PEM to trust instead of the system's
    #[arg(long, env = "SSL_CERT_FILE", value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

/// With what it is taken.
#[derive(Debug, Args)]
pub(super) struct With {
    #[command(flatten)]
    at: At,
    /// The token's file; `-` is standard input
    #[arg(
        long,
        env = "WRIT_TOKEN_FILE",
        value_name = "PATH",
        hide_env_values = true
    )]
    token_file: PathBuf,
    /// The session key's file, where the token is bound to one: `writ run --key-file` gives it
    #[arg(
        long,
        env = "WRIT_KEY_FILE",
        value_name = "PATH",
        hide_env_values = true
    )]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct X509Args {
    /// The directory for key, chain and roots; made for this user alone if there is none
    dir: PathBuf,
    #[command(flatten)]
    with: With,
}

#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    /// The directory that `writ svid x509` wrote
    dir: PathBuf,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct JwtArgs {
    /// The service that it is for
    #[arg(long, value_name = "URI", value_parser = audience)]
    audience: Audience,
    /// The file that it is put into; `-` is standard output
    file: PathBuf,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(command: SvidCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        SvidCommand::X509(args) => x509(&args, out).await,
        SvidCommand::Renew(args) => renew(&args, out).await,
        SvidCommand::Jwt(args) => jwt(&args, out).await,
    }
}

async fn x509(args: &X509Args, out: &mut Out) -> Result<(), CliError> {
    let (client, token) = args.with.open()?;
    // A directory that cannot be made is found out before anything is issued.
    Generations::to_write(&args.dir)?;
    let (key, request) = request()?;
    let made = client.certificate(&request, &token).await?;
    keep(&args.dir, &key, made, out)
}

/// What is there stays as it is until there is something to replace it: where the answer was lost, the
/// same certificate renews again.
async fn renew(args: &RenewArgs, out: &mut Out) -> Result<(), CliError> {
    let (certificates, secret) = held(&args.dir)?;
    let unfit = |error: BadCertificate| {
        let file = match error {
            BadCertificate::Chain => args.dir.join(CHAIN),
            BadCertificate::Key => args.dir.join(KEY),
        };
        CliError::Usage(format!("{} is unusable: {error}", file.display()))
    };
    let certificate = ClientCertificate::from_pem(&certificates, &secret).map_err(unfit)?;
    let client = Client::certified(certificate, args.at.issuer.clone(), args.at.way())?;
    let (key, request) = request()?;
    let made = client.recertified(&request).await?;
    keep(&args.dir, &key, made, out)
}

/// A chain and the key that it certifies, out of one set.
fn held(dir: &Path) -> Result<(Zeroizing<String>, Secret), CliError> {
    let generations = Generations::to_read(dir)?;
    let (chain, key) = (generations.read(CHAIN)?, generations.read(KEY)?);
    Ok((chain, Secret::from(key.to_string())))
}

/// Puts a key and what certifies it into their files, all at once, and tells what it is.
fn keep(dir: &Path, key: &str, made: Certified, out: &mut Out) -> Result<(), CliError> {
    let files = [
        (KEY, key.as_bytes()),
        (BUNDLE, made.bundle.as_bytes()),
        (CHAIN, made.chain.as_bytes()),
    ];
    Generations::to_write(dir)?.put(&files, &SystemEntropy)?;
    let told = [
        ("spiffe_id", made.spiffe_id),
        ("serial", made.serial),
        ("id", made.id),
        ("expires_at", made.expires_at),
    ]
    .map(|(name, value)| (name, plain(&value)));
    if out.is_json() {
        let told = told.map(|(name, value)| (name.to_owned(), json!(value)));
        let members: serde_json::Map<_, _> = told.into_iter().collect();
        return out.line(&json!(members).to_string());
    }
    let lines = told.map(|(name, value)| format!("{name:<11} {value}"));
    out.lines(&lines)?;
    let dir = dir.display();
    out.line(&format!(
        "wrote       {CHAIN}, {KEY} and {BUNDLE} into {dir}"
    ))
}

async fn jwt(args: &JwtArgs, out: &mut Out) -> Result<(), CliError> {
    let (client, token) = args.with.open()?;
    let svid = client.svid(&args.audience, &token).await?;
    if args.file == Path::new("-") {
        return out.line(svid.expose_str().unwrap_or_default());
    }
    replace(&args.file, svid.expose())
}

impl At {
    fn way(&self) -> Way {
        Way::new(
            self.ca_file.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
    }
}

impl With {
    /// A client, and the token that it shows.
    pub(super) fn open(&self) -> Result<(Client, Secret), CliError> {
        let token = read(&self.token_file)?;
        let token = Secret::from(token.trim().to_owned());
        let key = self.key_file.as_deref().map(|path| {
            let unfit = |_| {
                let path = path.display();
                CliError::Usage(format!(
                    "{path} holds no session key of `writ run --key-file`"
                ))
            };
            SessionKey::from_private_pem(&read(path)?).map_err(unfit)
        });
        let client = Client::new(self.at.issuer.clone(), key.transpose()?, self.at.way())?;
        Ok((client, token))
    }
}

/// A new key in PEM, and a request that asks for nothing: only the key of it is taken.
fn request() -> Result<(Zeroizing<String>, String), CliError> {
    let failed = |error: rcgen::Error| CliError::Broken(format!("no key can be made: {error}"));
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(failed)?;
    let request = request.pem().map_err(failed)?;
    Ok((Zeroizing::new(key.serialize_pem()), request))
}

/// A short text from a file or standard input.
fn read(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().take(LONGEST).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    };
    read.map_err(|source| CliError::Io {
        what: format!("{} cannot be read", path.display()),
        source,
    })?;
    Ok(text)
}

fn issuer(text: &str) -> Result<BaseUrl, BadUrl> {
    text.parse()
}

fn audience(text: &str) -> Result<Audience, crate::domain::grant::BadGrant> {
    text.parse()
}

const CHAIN: &str = "svid.pem";
const KEY: &str = "svid_key.pem";
const BUNDLE: &str = "bundle.pem";
const LONGEST: u64 = 64 * 1024;

const X509: &str = "\
Example:
  writ run --profile mesh --key-file -- sh -c 'writ svid x509 ./tls && exec ./service --tls ./tls'

The profile's grant needs `x509_svid = true`, and the token the broker itself as its audience, which it \
has without --audience. The certificate ends with the token at the latest: take another one in time. The three \
files, mode 0600, are links into one set and change all at once.";

const RENEW: &str = "\
Example:
  writ svid renew ./tls

The certificate is shown in the TLS handshake, and its task, lineage and context must stand as for any renewal; \
a new key is made and certified under the same name. It lives as long as the profile says and not only as \
long as the token that the first was taken with. Renew at half of its life: one that has expired is refused in the \
handshake, and another is taken with `writ svid x509`. A profile that renews with fresh evidence only refuses this.

A refusal leaves the files as they are.";

const JWT: &str = "\
Example:
  writ svid jwt --audience https://db.example ./db.jwt

The profile's grant has to name the audience in `jwt_svids`. The SVID ends with the token at the latest.";
