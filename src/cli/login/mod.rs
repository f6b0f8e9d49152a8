//! `writ login`, `writ logout` and `writ whoami`: an operator's token for a broker that is elsewhere. It is an ID
//! token of the provider that the broker names, kept in a private file until it ends, and printed nowhere.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::CliError;
use super::client::{Admin, Call};
use super::out::Out;
use super::remote::{Remote, Shown};
use super::text::plain;
use super::way::Way;
use crate::domain::url::BaseUrl;
use crate::seams::{SystemClock, SystemEntropy};
use crate::surface::http::admin::login::{LoginView, OperatorView};
use provider::{Provider, Token};
use store::{Login, Logins};

mod browser;
mod device;
mod provider;
pub(in crate::cli) mod store;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LoginArgs {
    /// Log in by a browser on this machine, in place of a code that is entered on any
    #[arg(long)]
    browser: bool,
    /// Certificate authorities in PEM to trust instead of the system's, for the broker and the provider
    #[arg(long, env = "SSL_CERT_FILE", value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  writ logout --server https://writ.example:8444")]
pub(super) struct LogoutArgs {}

#[derive(Debug, Args)]
#[command(after_help = WHOAMI)]
pub(super) struct WhoamiArgs {}

/// Gets a token, sees what the broker makes of it, and keeps it.
pub(super) async fn login(
    args: LoginArgs,
    server: Option<BaseUrl>,
    out: &mut Out,
) -> Result<(), CliError> {
    let server = server.ok_or_else(unnamed)?;
    let logins = Logins::of_this_user()?;
    // Later commands run in other directories.
    let ca_file = args.ca_file.map(std::path::absolute).transpose();
    let ca_file = ca_file.map_err(|source| CliError::Io {
        what: "--ca-file cannot be found".to_owned(),
        source,
    })?;
    let admin = |shown| Admin::at(Remote::new(server.clone(), shown, ca_file.clone()));
    let view = admin(Shown::Nothing)
        .ask(Call::get("/api/v1/login"))
        .await?;
    let way = Way::new(
        ca_file.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let provider = Provider::find(view.read::<LoginView>()?, way).await?;
    let Token { value, expires } = if args.browser {
        browser::run(&provider).await?
    } else {
        device::run(&provider).await?
    };
    let known = admin(Shown::Token(value.clone()))
        .ask(Call::get("/api/v1/whoami"))
        .await?;
    let login = Login {
        token: value,
        expires,
        ca_file,
    };
    logins.write(&server, &login)?;
    out.answer(&known, |who: OperatorView| {
        let mut lines = vec![format!("server    {}", server.as_str())];
        lines.extend(told(&who));
        lines
    })
}

/// Who this user is to the broker, by its own word.
pub(super) async fn whoami(admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let known = admin.ask(Call::get("/api/v1/whoami")).await?;
    out.answer(&known, |who: OperatorView| told(&who))
}

/// Forgets the token. The provider is not told: until it ends, a copy of the token would still be taken.
pub(super) fn logout(server: Option<&BaseUrl>, out: &mut Out) -> Result<(), CliError> {
    let server = server.ok_or_else(unnamed)?;
    let gone = Logins::of_this_user()?.forget(server)?;
    if out.is_json() {
        return out.line(&serde_json::json!({ "logged_out": gone }).to_string());
    }
    let name = server.as_str();
    out.line(&if gone {
        format!("logged out at {name}")
    } else {
        format!("nobody was logged in at {name}")
    })
}

fn told(who: &OperatorView) -> Vec<String> {
    let mut lines = vec![
        format!("operator  {}", plain(&who.operator)),
        format!("roles     {}", plain(&who.roles.join(", "))),
    ];
    if let Some(end) = &who.expires_at {
        lines.push(format!("until     {}", plain(&end.to_the_second())));
    }
    lines
}

fn unnamed() -> CliError {
    let what = "which broker? name its operators' address with --server or WRIT_ADMIN_URL";
    CliError::Usage(what.to_owned())
}

const EXAMPLES: &str = "\
Examples:
  writ login --server https://writ.example:8444
  writ login --server https://writ.example:8444 --browser
  export WRIT_ADMIN_URL=https://writ.example:8444; writ login && writ task list

The broker names the provider, which asks who you are; what you may do then stands in the broker's \
configuration. On the broker's own machine no login is needed: commands use its socket.";

const WHOAMI: &str = "\
Examples:
  writ whoami
  writ whoami --server https://writ.example:8444

Over the admin socket the kernel says who asks, and every role is theirs; elsewhere it is the login.";
