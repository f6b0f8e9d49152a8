//! `writ key`: rotation of the broker's own keys. Private bytes never leave the broker.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use writ_keys::Purpose;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::out::{Out, rows_or};
use super::table::Table;
use crate::surface::http::admin::keys::{KeyList, KeyStep, KeyView};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List every key
    #[command(after_help = "Example:\n  writ key list")]
    List,
    /// Make a key that verifiers can learn before it signs
    #[command(after_help = PREPARE)]
    Prepare(PrepareArgs),
    /// Let a prepared key sign and seal; the one before it retires
    #[command(after_help = ACTIVATE)]
    Activate(ActivateArgs),
    /// Stop a key from signing; what it signed still verifies, what it sealed still opens
    #[command(after_help = "Example:\n  writ key retire k7d2…")]
    Retire(Which),
    /// Make a key good for nothing at once: it is compromised. Every credential it signed is dead
    #[command(after_help = "Example:\n  writ key withdraw k7d2…")]
    Withdraw(Which),
}

#[derive(Debug, Args)]
pub(super) struct PrepareArgs {
    /// What it is for
    #[arg(value_parser = PossibleValuesParser::new(Purpose::ALL.map(Purpose::as_str)))]
    purpose: String,
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The key's id; it may begin with a dash
    #[arg(allow_hyphen_values = true)]
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct ActivateArgs {
    #[command(flatten)]
    which: Which,

    /// Do not wait until verifiers have heard of it: the active key is compromised
    #[arg(long)]
    at_once: bool,
}

pub(super) async fn run(command: KeyCommand, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    match command {
        KeyCommand::List => {
            let answer = admin.ask(Call::get("/api/v1/keys")).await?;
            out.answer(&answer, |list: KeyList| rows(&list.keys))
        }
        KeyCommand::Prepare(args) => {
            let body = json!({ "purpose": args.purpose });
            let answer = admin.ask(Call::post("/api/v1/keys", &body).once()).await?;
            out.answer(&answer, |key: KeyView| rows(&[key]))
        }
        KeyCommand::Activate(args) => {
            let at_once = args.at_once;
            step(&args.which, "activate", KeyStep { at_once }, admin, out).await
        }
        KeyCommand::Retire(which) => step(&which, "retire", KeyStep::default(), admin, out).await,
        KeyCommand::Withdraw(which) => {
            step(&which, "withdraw", KeyStep::default(), admin, out).await
        }
    }
}

async fn step(
    which: &Which,
    step: &str,
    how: KeyStep,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    let path = format!("/api/v1/keys/{}/{step}", segment(&which.id));
    let answer = admin.ask(Call::post(path, &json!(how)).once()).await?;
    out.answer(&answer, |key: KeyView| rows(&[key]))
}

fn rows(keys: &[KeyView]) -> Vec<String> {
    let mut table = Table::new(["ID", "PURPOSE", "STATE", "CREATED", "CHANGED"]);
    for key in keys {
        table.push([
            key.id.clone(),
            key.purpose.clone(),
            key.state.clone(),
            key.created_at.to_the_second(),
            key.changed_at.to_the_second(),
        ]);
    }
    rows_or(&table, "there are no keys")
}

const PREPARE: &str = "\
Example, a rotation of the signing key:
  writ key prepare access_token
  # until every verifier has fetched the key set again (about a minute), this is refused:
  writ key activate k7d2…";

const ACTIVATE: &str = "\
Example:
  writ key activate k7d2…

A key that signs tokens has to be known to those who verify them: until no older copy of the key
set can be in use, activating it is refused. When the active key is compromised, do not wait:
  writ key activate --at-once k7d2…
  writ key withdraw OLD";
