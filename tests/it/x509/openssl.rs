//! Debian's `openssl`, which makes requests and judges what is issued.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use writ::domain::time::Timestamp;

/// A directory with the files that `openssl` is shown.
pub struct Desk(TempDir);

/// A key and its signing request, as `openssl req` makes them.
pub struct Made {
    pub csr: String,
    pub key: String,
}

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output();
        output.expect("openssl is not installed: run tests/setup")
    }

    /// What a line of the shell printed, where the authorities in `ca.pem` are trusted.
    pub fn shell(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-euc", line])
            .env("CURL_CA_BUNDLE", "ca.pem")
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command printed; it must succeed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A key of this kind, and a request that asks for more than anybody grants.
    pub fn request(&self, kind: &[&str], more: &[&str]) -> Made {
        let fixed = [
            "req", "-new", "-nodes", "-keyout", "key.pem", "-out", "csr.pem",
        ];
        let arguments = [
            &fixed[..],
            kind,
            &["-subj", "/CN=spiffe:__example.org_root"],
            more,
        ];
        self.told(&arguments.concat());
        Made {
            csr: self.read("csr.pem"),
            key: self.read("key.pem"),
        }
    }

    /// Whether the chain in `chain.pem` is good by the roots in `roots.pem` at this time. `more` are the
    /// options of `openssl verify`.
    pub fn verifies(&self, at: Timestamp, more: &[&str]) -> Result<(), String> {
        let at = at.seconds().to_string();
        let fixed = [
            "verify",
            "-x509_strict",
            "-attime",
            &at,
            "-CAfile",
            "roots.pem",
        ];
        let files = ["-untrusted", "chain.pem", "chain.pem"];
        let output = self.run(&[&fixed[..], more, &files].concat());
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub const P384: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub const P521: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
pub const ED25519: &[&str] = &["-newkey", "ed25519"];
pub const RSA: &[&str] = &["-newkey", "rsa:2048"];
