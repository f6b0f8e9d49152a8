//! Where a run lives: a directory on the disk that holds the build, with certificate, keys, policies
//! and configuration. It is gone when the run is over.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use crate::client::Target;
use crate::fault::Fault;

pub(crate) struct Place {
    dir: TempDir,
    /// The name of a Unix socket has to be short; the build's directory may be deep.
    short: TempDir,
    certificate: CertificateDer<'static>,
    address: SocketAddr,
}

/// What a configuration has to be told of the world.
pub(crate) struct Surroundings<'a> {
    pub(crate) ci: &'a str,
    pub(crate) proof_repository: u64,
    pub(crate) secret_repository: u64,
    pub(crate) agents: &'a str,
    pub(crate) desk: &'a str,
}

impl Place {
    pub(crate) fn make() -> Result<Self, Fault> {
        let dir = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let names = vec![Ipv4Addr::LOCALHOST.to_string()];
        let made = rcgen::generate_simple_self_signed(names).map_err(Fault::of)?;
        private(&dir.path().join(CERTIFICATE), &made.cert.pem())?;
        private(&dir.path().join(KEY), &made.signing_key.serialize_pem())?;
        private(&dir.path().join(POLICIES), &policies())?;
        private(&dir.path().join("desk-token"), DESK_TOKEN)?;
        private(&dir.path().join("hook-secret"), HOOK_SECRET)?;
        Ok(Self {
            certificate: made.cert.der().clone(),
            dir,
            short: TempDir::new()?,
            address: free_address()?,
        })
    }

    /// Writes the configuration of the broker.
    pub(crate) fn configure(&self, around: &Surroundings<'_>) -> Result<(), Fault> {
        private(&self.config(), &self.text(around))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("writ.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.short.path().join("admin.sock")
    }

    /// The broker's certificate, for those who send it something.
    pub(crate) fn certificate(&self) -> Result<String, Fault> {
        Ok(fs::read_to_string(self.path(CERTIFICATE))?)
    }

    pub(crate) fn issuer(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn target(&self) -> Result<Target, Fault> {
        self.target_at(self.address)
    }

    /// A listener elsewhere that shows the same certificate.
    pub(crate) fn target_at(&self, address: SocketAddr) -> Result<Target, Fault> {
        Target::new(address, self.certificate.clone())
    }

    fn text(&self, around: &Surroundings<'_>) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, SERVER_SECRET.as_bytes());
        include_str!("writ.toml")
            .replace("{issuer}", &self.issuer())
            .replace("{address}", &self.address.to_string())
            .replace("{socket}", &self.admin_socket().to_string_lossy())
            .replace("{ci}", around.ci)
            .replace("{proof}", &around.proof_repository.to_string())
            .replace("{secret}", &around.secret_repository.to_string())
            .replace("{agents}", around.agents)
            .replace("{desk}", around.desk)
            .replace("{digest}", &hex::encode(digest))
    }
}

fn private(path: &Path, text: &str) -> Result<(), Fault> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn free_address() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// With the five shipped policies that speak about tokens these make ten.
fn policies() -> String {
    let one = |n: usize| {
        format!(
            "@id(\"bench.{n}\")\n@code(\"policy_denied\")\n\
             forbid (principal is Writ::Workload, action, resource)\n\
             when {{ principal has ref && principal.ref == \"refs/heads/frozen-{n}\" }};\n\n"
        )
    };
    (1..=5).map(one).collect()
}

pub(crate) const CERTIFICATE: &str = "tls.pem";
pub(crate) const KEY: &str = "tls.key";
const POLICIES: &str = "bench.cedar";

/// The resource server of the configuration, and what it authenticates with.
pub(crate) const SERVER: &str = "deploy";
pub(crate) const SERVER_SECRET: &str = "bench-secret-0123456789abcdef0123456789abcdef";

/// What the desk is asked with.
pub(crate) const DESK_TOKEN: &str = "desk-token-0123456789abcdef";

/// What the desk signs its webhooks with.
pub(crate) const HOOK_SECRET: &str = "hook-secret-0123456789abcdef0123456789abcdef";

/// The audience whose tokens that server may ask about.
pub(crate) const AUDIENCE: &str = "https://deploy.example";

/// The secret that is read.
pub(crate) const SECRET_PATH: &str = "ci/bench/key";
