//! `writ permit`: one use of an action that is counted, taken at the public endpoint with the token that `writ run`
//! keeps alive. The service that does it consumes it.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::out::Out;
use super::run::client::Reserved;
use super::svid::With;
use super::text::plain;
use crate::domain::action::ResourceId;
use crate::domain::grant::{Audience, BadGrant};
use crate::domain::name::{ActionName, BadName, ResourceKind};

#[derive(Debug, Subcommand)]
pub(super) enum PermitCommand {
    /// Reserve one use of one action on one resource
    #[command(after_help = RESERVE)]
    Reserve(ReserveArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReserveArgs {
    /// What is to be done, in the words of the service that does it
    action: ActionName,
    /// To what: a type and an id
    #[arg(value_name = "TYPE/ID", value_parser = resource)]
    resource: Target,
    /// The service that is to do it
    #[arg(long, value_name = "URI", value_parser = audience)]
    audience: Audience,
    /// What the service will say of the resource, where the grant wants it: account=AC-9
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    property: Vec<(String, String)>,
    /// A name for this step: asked again under it, the same permit is given and no other use is taken
    #[arg(long, value_name = "NAME", value_parser = step)]
    step: String,
    #[command(flatten)]
    with: With,
}

/// The text names no resource.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a resource is written as TYPE/ID, as in host/db-7")]
struct BadResource;

/// The text is no property.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a property is written as NAME=VALUE, as in account=AC-9")]
struct BadProperty;

/// The text names no step.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a step is 1 to 128 of A-Z a-z 0-9 . _ - : /")]
struct BadStep;

pub(super) async fn run(command: PermitCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        PermitCommand::Reserve(args) => reserve(&args, out).await,
    }
}

async fn reserve(args: &ReserveArgs, out: &mut Out) -> Result<(), CliError> {
    let (client, token) = args.with.open()?;
    let (kind, id) = &args.resource;
    let properties: BTreeMap<_, _> = args.property.iter().cloned().collect();
    let wanted = json!({
        "audience": args.audience.as_str(),
        "action": { "name": args.action.as_str() },
        "resource": { "type": kind.as_str(), "id": id.as_str(), "properties": properties },
    });
    let Reserved { permit, expires_at } = client.permit(&wanted, &args.step, &token).await?;
    let (permit, expires_at) = (plain(&permit), plain(&expires_at));
    if out.is_json() {
        return out.line(&json!({ "permit": permit, "expires_at": expires_at }).to_string());
    }
    out.line(&permit)
}

type Target = (ResourceKind, ResourceId);

fn resource(text: &str) -> Result<Target, BadResource> {
    let (kind, id) = text.split_once('/').ok_or(BadResource)?;
    let kind = kind.parse().map_err(|_: BadName| BadResource)?;
    Ok((kind, id.parse().map_err(|_| BadResource)?))
}

fn property(text: &str) -> Result<(String, String), BadProperty> {
    let (name, value) = text.split_once('=').ok_or(BadProperty)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn step(text: &str) -> Result<String, BadStep> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:/".contains(&b);
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned()).ok_or(BadStep)
}

fn audience(text: &str) -> Result<Audience, BadGrant> {
    text.parse()
}

const RESERVE: &str = "\
Example:
  permit=$(writ permit reserve restart host/db-7 --audience https://ops.example --step restart-db-7)

The profile's grant counts its writes (`uses = 3`), and the token has the broker itself as an audience. The \
permit is printed; it is no secret, and worth nothing without a token of the same job. Send it to the service, \
which consumes it when it acts. One that is not used in time has lapsed, and its use is spent all the same: \
reserve just before the step.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_resource_property_or_step_is_refused_before_anything_is_asked() {
        let (kind, id) = resource("http/accounts/AC-9").unwrap();
        assert_eq!((kind.as_str(), id.as_str()), ("http", "accounts/AC-9"));
        for bad in ["db-7", "/db-7", "host/", "a b/c"] {
            assert!(resource(bad).is_err(), "{bad}");
        }
        property("account").unwrap_err();
        for bad in ["", "two words", "a\"b", "ä"] {
            assert!(step(bad).is_err(), "{bad}");
        }
    }
}
