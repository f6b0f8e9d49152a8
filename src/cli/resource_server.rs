//! `writ resource-server`: the one command that prints a secret, because it has just made it and keeps
//! nothing of it.

use clap::Subcommand;
use serde_json::json;
use zeroize::Zeroizing;

use super::CliError;
use super::out::Out;
use crate::seams::{Entropy, SystemEntropy};

#[derive(Debug, Subcommand)]
pub(super) enum ResourceServerCommand {
    /// Make a secret for a service that asks about tokens; the configuration gets only its digest
    #[command(after_help = "Example:\n  writ resource-server secret")]
    Secret,
}

pub(super) fn run(command: &ResourceServerCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        ResourceServerCommand::Secret => secret(&SystemEntropy, out),
    }
}

fn secret(entropy: &dyn Entropy, out: &mut Out) -> Result<(), CliError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(bytes.as_mut_slice());
    let secret = Zeroizing::new(hex::encode(bytes.as_slice()));
    // The digest is over the text, which is what the service presents.
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let digest = hex::encode(digest.as_ref());
    if out.is_json() {
        let document = json!({ "secret": secret.as_str(), "secret_sha256": digest });
        return out.line(&document.to_string());
    }
    out.line("# for the service; it is not shown again")?;
    out.line(&secret)?;
    out.line("# for its [[resource_server]] in the configuration")?;
    out.line(&format!("secret_sha256 = \"{digest}\""))
}

const SECRET_BYTES: usize = 32;
