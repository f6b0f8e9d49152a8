//! `writ oidc`: the discovery document and the keys of JWT-SVIDs as files, for a bucket that everybody can
//! read where the broker itself is not public.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::CliError;
use super::out::Out;
use super::way::Way;
use crate::domain::url::{BadUrl, BaseUrl};
use crate::outbound::{Origin, Peer, Rules};
use crate::seams::{SystemClock, SystemEntropy};

#[derive(Debug, Subcommand)]
pub(super) enum OidcCommand {
    /// Write discovery document and keys below a directory, as their issuer's URL has to serve them
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The directory whose contents are put at the issuer of JWT-SVIDs
    dir: PathBuf,
    /// The broker's URL, as its configuration spells its `issuer`
    #[arg(long, env = "WRIT_ISSUER", value_name = "URL", value_parser = issuer)]
    issuer: BaseUrl,
    /// Certificate authorities in PEM to trust instead of the system's
    #[arg(long, env = "SSL_CERT_FILE", value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

pub(super) async fn run(command: OidcCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        OidcCommand::Export(args) => export(&args, out).await,
    }
}

async fn export(args: &ExportArgs, out: &mut Out) -> Result<(), CliError> {
    let way = Way::new(
        args.ca_file.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let unusable = |error| CliError::Usage(format!("the issuer is unusable: {error}"));
    let (origin, below) = Origin::split(args.issuer.as_str()).map_err(unusable)?;
    let peer = way.peer(origin, Rules::json())?;
    let below = below.trim_end_matches('/');
    let discovery = read(&peer, &way, &format!("{below}/svid/{DISCOVERY}")).await?;
    let keys = read(&peer, &way, &format!("{below}/svid/{JWKS}")).await?;
    let issuer = sound(&discovery, &keys)?;
    // Keys first: whoever reads in between finds no document that names keys which are not there.
    for (name, document) in [(JWKS, &keys), (DISCOVERY, &discovery)] {
        put(&args.dir.join(name), document).map_err(|source| CliError::Io {
            what: format!("{} cannot be written", args.dir.join(name).display()),
            source,
        })?;
    }
    let count = keys
        .get("keys")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if out.is_json() {
        return out.line(
            &json!({ "issuer": issuer, "files": [JWKS, DISCOVERY], "keys": count }).to_string(),
        );
    }
    out.lines(&[
        format!("issuer  {issuer}"),
        format!("keys    {count}"),
        format!(
            "wrote   {JWKS} and {DISCOVERY} below {}",
            args.dir.display()
        ),
        format!("serve   {issuer}/{DISCOVERY} and {issuer}/{JWKS}, to everybody"),
    ])
}

async fn read(peer: &Peer, way: &Way, path: &str) -> Result<Value, CliError> {
    let answer = peer
        .ask(
            Method::GET,
            path,
            HeaderMap::new(),
            bytes::Bytes::new(),
            way.soon(),
        )
        .await
        .map_err(|error| CliError::Unanswered(format!("the broker: {error}")))?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return Err(CliError::Unanswered(format!(
            "the broker answered {path} with status {status}"
        )));
    }
    let broken = |error: crate::outbound::OutboundError| CliError::Broken(error.to_string());
    answer.json().map_err(broken)
}

/// Sees that the documents belong together and hold nothing that is not for everybody. Gives their
/// issuer.
fn sound(discovery: &Value, keys: &Value) -> Result<String, CliError> {
    let broken =
        |what: &str| CliError::Broken(format!("its documents cannot be published: {what}"));
    let text = |name: &str| discovery.get(name).and_then(Value::as_str);
    let issuer: BaseUrl = text("issuer")
        .and_then(|issuer| issuer.parse().ok())
        .ok_or_else(|| broken("there is no issuer"))?;
    let issuer = issuer.as_str().to_owned();
    if text("jwks_uri") != Some(&format!("{issuer}/{JWKS}")) {
        return Err(broken("the keys are not below the issuer"));
    }
    let keys = keys.get("keys").and_then(Value::as_array);
    let keys = keys.filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| broken("there are no keys"))?;
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if keys
        .iter()
        .any(|key| private.iter().any(|name| key.get(name).is_some()))
    {
        return Err(broken("a key is not a public one"));
    }
    Ok(issuer)
}

/// Replaces a file whole, readable by everybody.
fn put(path: &Path, document: &Value) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    writeln!(file, "{document:#}")?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

fn issuer(text: &str) -> Result<BaseUrl, BadUrl> {
    text.parse()
}

/// OpenID Connect Discovery 1.0 §4.
const DISCOVERY: &str = ".well-known/openid-configuration";
const JWKS: &str = "jwks";

const EXPORT: &str = "\
Example:
  writ oidc export --issuer https://writ.example ./public
  aws s3 sync ./public s3://svid-example/ --content-type application/json

Run it by a timer, more often than `publish_ahead` in the broker's `[svid]`: a key that is not in the \
bucket when it begins to sign is one that nobody can verify. After a key was withdrawn, run it at once.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_do_not_belong_together_are_not_published() {
        let discovery =
            json!({ "issuer": "https://b.example/w", "jwks_uri": "https://b.example/w/jwks" });
        let keys = json!({ "keys": [{ "kty": "EC", "x": "a", "y": "b" }] });
        assert_eq!(sound(&discovery, &keys).unwrap(), "https://b.example/w");
        let elsewhere =
            json!({ "issuer": "https://b.example/w", "jwks_uri": "https://c.example/jwks" });
        let private = json!({ "keys": [{ "kty": "EC", "d": "canary" }] });
        for (discovery, keys) in [
            (&elsewhere, &keys),
            (&discovery, &private),
            (&discovery, &json!({ "keys": [] })),
            (&json!({}), &keys),
        ] {
            let refused = sound(discovery, keys).unwrap_err();
            assert!(!refused.to_string().contains("canary"), "{refused}");
        }
    }
}
