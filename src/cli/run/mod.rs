//! `writ run`: a command with a credential of its own, kept alive while it runs and revoked when it
//! ends. A client like any other: it speaks to the public endpoints, and decides nothing.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use writ_keys::SessionKey;

use super::CliError;
use super::out::{Out, complain};
use super::way::Way;
use crate::domain::time::Timestamp;
use crate::seams::{Clock, SystemClock, SystemEntropy};

mod args;
mod child;
pub(super) mod client;
mod cloud;
mod descriptor;
mod dry;
mod evidence;
mod examine;
pub(super) mod failure;
pub(super) mod files;
mod form;
mod prepare;
mod refusal;
mod renewals;
mod schedule;
mod secrets;
mod session;
mod tied;

pub(super) use args::{LONG, RunArgs};
pub(super) use descriptor::Descriptor;
pub(super) use examine::{ExamineArgs, examine};
pub(super) use tied::{TiedArgs, tied};

use child::{Environment, Running, Signals};
use client::{Ask, Client, Token};
use failure::Failed;
use prepare::Prepared;
use refusal::OnRefusal;
use schedule::{Backoff, Dice};
use session::Session;

/// Runs the command. The exit code is the command's own.
pub(super) async fn run(
    args: RunArgs,
    descriptor: Option<Descriptor>,
    out: &mut Out,
) -> Result<ExitCode, CliError> {
    prepare::check(&args)?;
    // A pipeline sets a variable to nothing where it has nothing to say.
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let source = args.evidence.find(&env, &Path::exists)?;
    let way = Way::new(
        args.ca_file.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let key = (!args.bearer).then(SessionKey::generate).transpose();
    let key = key.map_err(|error| CliError::Broken(error.to_string()))?;
    let issuer = args.issuer.as_str();
    let base = args
        .evidence_audience
        .as_ref()
        .map_or(issuer, |a| a.as_str());
    let client = Client::new(args.issuer.clone(), key, way)?;
    if args.dry_run {
        let named = client.key().filter(|_| source.takes_audience());
        let audience = session::audience(base, named);
        dry::show(&args, &source, &client, &audience, &asked(&args), out).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut session = Session::new(client, source, base);
    let mut signals = Signals::catch()?;
    let ended = with_session(&args, descriptor, &mut session, &mut signals).await;
    if !args.no_revoke {
        release(&session).await;
    }
    ended.map(ExitCode::from)
}

/// Everything between the first request and the end of the command.
async fn with_session(
    args: &RunArgs,
    descriptor: Option<Descriptor>,
    session: &mut Session,
    signals: &mut Signals,
) -> Result<u8, CliError> {
    let ask = asked(args);
    let prepared = tokio::select! {
        prepared = prepare::prepare(args, &ask, session) => prepared?,
        signal = signals.next() => {
            say("interrupted before the command started");
            return Ok(stopped(signal));
        }
    };
    let Prepared {
        token,
        place,
        environment,
    } = prepared;
    let until = token.expires.whole_seconds();
    say(&format!(
        "{}: a token until {until}, {}",
        token.task_name,
        session.told()
    ));
    let running = launch(args, descriptor, &token, environment)?;
    let clock = Arc::clone(&session.client.way.clock);
    let keeping = renewals::keep(session, token, &ask, &args.cloud, &place);
    watch(running, keeping, signals, args.on_refusal, clock.as_ref()).await
}

/// What the job's own token is asked for.
fn asked(args: &RunArgs) -> Ask {
    Ask {
        profile: args.profile.clone(),
        case: args.case.clone(),
        audiences: args.audience.clone(),
        scopes: args.scope.clone(),
    }
}

fn launch(
    args: &RunArgs,
    descriptor: Option<Descriptor>,
    token: &Token,
    environment: Environment,
) -> Result<Running, CliError> {
    let mut descriptor = descriptor;
    if let Some(descriptor) = &mut descriptor {
        descriptor.fill(token.value.expose())?;
    }
    Running::start(&args.command, environment)
}

/// Waits for the end of the command, and meanwhile passes on signals and minds the renewals.
async fn watch(
    mut running: Running,
    keeping: impl Future<Output = Failed>,
    signals: &mut Signals,
    on_refusal: OnRefusal,
    clock: &dyn Clock,
) -> Result<u8, CliError> {
    let mut keeping = std::pin::pin!(keeping);
    let (mut refused, mut later) = (false, None::<(Timestamp, Signal)>);
    loop {
        let patience = async {
            match later {
                Some((at, _)) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = running.ended() => return status.map(child::exit_code),
            signal = signals.next() => running.pass_on(signal),
            why = &mut keeping, if !refused => {
                refused = true;
                say(&format!("the token is not renewed any more: {}", CliError::from(why)));
                if let Some(step) = on_refusal.step() {
                    running.send(step.signal);
                    later = step.then.map(|(wait, signal)| (clock.now().plus(wait), signal));
                }
            }
            () = patience => {
                if let Some((_, signal)) = later.take() {
                    running.send(signal);
                }
            }
        }
    }
}

/// Revokes what this job holds: its session, and never the task, which other jobs work under. A signal
/// does not cut it short: the one that ended the command may be on its way still.
async fn release(session: &Session) {
    let clock = &session.client.way.clock;
    let told = tokio::select! {
        revoked = revoke(session) => revoked.err().map(|why| CliError::from(why).to_string()),
        () = clock.sleep_until(clock.now().plus(PARTING)) => Some("it took too long".to_owned()),
    };
    if let Some(why) = told {
        say(&format!(
            "what was issued could not be revoked and runs out by itself: {why}"
        ));
    }
}

async fn revoke(session: &Session) -> Result<(), Failed> {
    let way = &session.client.way;
    let mut backoff = Backoff::default();
    for held in session.held() {
        while let Err(failed) = session.client.revoke(&held).await {
            let Failed::Unknown { retry_after, .. } = &failed else {
                return Err(failed);
            };
            let wait = backoff.next(*retry_after, Dice::roll(way.entropy.as_ref()));
            way.clock.sleep_until(way.clock.now().plus(wait)).await;
        }
    }
    Ok(())
}

/// The exit code of a process that was ended by this signal.
fn stopped(signal: Signal) -> u8 {
    u8::try_from(child::of_signal(signal.as_raw())).unwrap_or(1)
}

/// Tells whoever reads standard error; where it is closed there is nobody to tell.
fn say(text: &str) {
    complain(&format!("writ: {text}")).ok();
}

const TOKEN_FILE: &str = "token";
/// How long an end may take for the sake of revocation.
const PARTING: Duration = Duration::from_secs(10);
