//! Everything that the command is started with: the first token, the secrets, the files they are in.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use super::super::CliError;
use super::args::RunArgs;
use super::child::{self, Environment};
use super::client::{Ask, Token};
use super::cloud::{self, Cloud};
use super::failure::Failed;
use super::files::Place;
use super::schedule::{Backoff, Dice};
use super::session::Session;
use super::{TOKEN_FILE, say};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What the command is started with.
pub(super) struct Prepared {
    pub(super) token: Token,
    pub(super) place: Place,
    pub(super) environment: Environment,
}

/// Gets all of it, or nothing is started.
pub(super) async fn prepare(
    args: &RunArgs,
    ask: &Ask,
    session: &mut Session,
) -> Result<Prepared, CliError> {
    let until = session.client.way.clock.now().plus(args.wait);
    let token = patiently(session, until, async |session| session.token(ask).await).await?;
    let place = Place::make(&parents(), session.client.way.entropy.as_ref())?;
    place.write(TOKEN_FILE, token.value.expose())?;
    let mut environment: Environment = vec![
        ("WRIT_TOKEN_FILE".to_owned(), place.path(TOKEN_FILE).into()),
        ("WRIT_TOKEN_TYPE".to_owned(), token.kind.clone().into()),
        ("WRIT_ISSUER".to_owned(), args.issuer.as_str().into()),
    ];
    if let Some(name) = &args.token_env {
        environment.push((name.clone(), text(&token.value, name)?));
    }
    if let Some(key) = session.client.key().filter(|_| args.key_file) {
        place.write(KEY_FILE, key.private_pem().as_bytes())?;
        environment.push(("WRIT_KEY_FILE".to_owned(), place.path(KEY_FILE).into()));
    }
    let wants_more =
        !(args.secret.is_empty() && args.secret_env.is_empty() && args.cloud.is_empty());
    if wants_more {
        let beside = async |session: &mut Session| session.beside(ask).await;
        let own = patiently(session, until, beside).await?;
        let reader = own.as_ref().unwrap_or(&token);
        environment.extend(read_secrets(args, reader, session, &place, until).await?);
        let clouds = async |session: &mut Session| {
            cloud::refresh(&args.cloud, session, reader, &place).await
        };
        patiently(session, until, clouds).await?;
        for cloud in &args.cloud {
            environment.extend(cloud.environment(&place, &token.task_name)?);
        }
    }
    Ok(Prepared {
        token,
        place,
        environment,
    })
}

async fn read_secrets(
    args: &RunArgs,
    reader: &Token,
    session: &mut Session,
    place: &Place,
    until: Timestamp,
) -> Result<Environment, CliError> {
    let mut environment = Vec::new();
    let wanted = args.secret.iter().map(|secret| (secret, true));
    for (secret, in_file) in wanted.chain(args.secret_env.iter().map(|secret| (secret, false))) {
        let read = async |session: &mut Session| session.client.secret(&secret.path, reader).await;
        let whole = patiently(session, until, read).await?;
        let value = secret.pick(whole).map_err(|why| {
            let (name, path) = (&secret.name, secret.path.as_str());
            CliError::Usage(format!("{name}: the secret {path} cannot be used: {why}"))
        })?;
        if in_file {
            let file = format!("secret-{}", secret.name);
            place.write(&file, value.expose())?;
            environment.push((format!("{}_FILE", secret.name), place.path(&file).into()));
        } else {
            environment.push((secret.name.clone(), text(&value, &secret.name)?));
        }
    }
    Ok(environment)
}

/// Asks again while nobody answers, until the time is over.
async fn patiently<T>(
    session: &mut Session,
    until: Timestamp,
    mut ask: impl AsyncFnMut(&mut Session) -> Result<T, Failed>,
) -> Result<T, CliError> {
    let mut backoff = Backoff::default();
    let mut told = None;
    loop {
        let failed = match ask(session).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let Failed::Unknown {
            what, retry_after, ..
        } = &failed
        else {
            return Err(failed.into());
        };
        let way = &session.client.way;
        let wait = backoff.next(*retry_after, Dice::roll(way.entropy.as_ref()));
        let next = way.clock.now().plus(wait);
        if next > until {
            return Err(failed.into());
        }
        if told.as_ref() != Some(what) {
            say(&format!("{what}; asking again"));
            told = Some(what.clone());
        }
        way.clock.sleep_until(next).await;
    }
}

/// What only the arguments together can say.
pub(super) fn check(args: &RunArgs) -> Result<(), CliError> {
    let files = args
        .secret
        .iter()
        .map(|secret| format!("{}_FILE", secret.name));
    let values = args.secret_env.iter().map(|secret| secret.name.clone());
    let clouds = args.cloud.iter().flat_map(Cloud::variables);
    let clouds = clouds.map(|name| (*name).to_owned());
    let mut names = BTreeSet::from(OWN.map(str::to_owned));
    let all = files.chain(values).chain(args.token_env.clone());
    for name in all.chain(clouds) {
        if names.contains(&name) {
            return Err(CliError::Usage(format!(
                "the variable {name} would be set twice"
            )));
        }
        names.insert(name);
    }
    for cloud in &args.cloud {
        cloud.check(&|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    }
    let search = std::env::var_os("PATH");
    match args.command.first() {
        Some(program) if child::is_missing(program, search.as_deref()) => {
            let program = program.display();
            Err(CliError::Usage(format!(
                "{program}: there is no such command"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// A value for the environment, which carries no null byte.
fn text(value: &Secret, name: &str) -> Result<OsString, CliError> {
    use std::os::unix::ffi::OsStringExt as _;
    if value.expose().contains(&0) {
        let what =
            format!("{name}: the value holds a null byte; use --secret to have it in a file");
        return Err(CliError::Usage(what));
    }
    Ok(OsString::from_vec(value.expose().to_vec()))
}

fn parents() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let absolute = runtime.filter(|path| path.is_absolute());
    absolute.into_iter().chain([std::env::temp_dir()]).collect()
}

/// The variables that every command gets.
const OWN: [&str; 4] = [
    "WRIT_TOKEN_FILE",
    "WRIT_TOKEN_TYPE",
    "WRIT_ISSUER",
    "WRIT_KEY_FILE",
];
const KEY_FILE: &str = "key.pem";
