//! `writ-demo`: plays pipeline runs and agents against a real `writ server` and shows what becomes of what
//! they hold when their world changes. The practice world runs in this process; the broker is the given
//! binary, with a database and keys of its own, and knows nothing of the demo. It ends with a
//! failure unless every step held.

mod call;
mod job;
mod operator;
mod outside;
mod place;
mod server;
mod session;
mod stage;
mod stories;
mod tell;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use writ_practice::{
    Desk, DeskHook, DeskSecret, HookSettings, HookTarget, NewRepo, Options, Reviewer, ReviewerKind,
    Rules, Site, World, http_client,
};

use crate::operator::Operator;
use crate::place::{ENVIRONMENT, OTHER_ENVIRONMENT, Place};
use crate::server::Server;
use crate::stage::{OWNER, REPOSITORY_NAME, Stage};
use crate::tell::Teller;
use crate::trouble::Trouble;

/// Plays pipeline runs against a real `writ server`.
#[derive(Parser)]
#[command(name = "writ-demo", version)]
struct Arguments {
    /// The `writ` binary to play against; without it, the one that was built beside this one.
    #[arg(long, value_name = "PATH")]
    writ: Option<PathBuf>,
}

impl Arguments {
    fn writ(self) -> Result<PathBuf, Trouble> {
        match self.writ {
            Some(path) => Ok(path),
            None => Ok(std::env::current_exe()
                .map_err(Trouble::io("find this binary"))?
                .with_file_name("writ")),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (writ, place) = match (arguments.writ(), Place::new()) {
        (Ok(writ), Ok(place)) => (writ, place),
        (Err(trouble), _) | (_, Err(trouble)) => return failed(&trouble),
    };
    match run(writ, &place).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let code = failed(&trouble);
            eprintln!("\nthe server's last lines:\n{}", server::last_lines(&place));
            code
        }
    }
}

async fn run(writ: PathBuf, place: &Place) -> Result<(), Trouble> {
    let tell = Teller::new();
    let world = World::start(Options {
        agents: vec![AGENTS.to_owned()],
        desks: vec![DESK.to_owned()],
        ..Options::default()
    })
    .await?;
    let (agents, desk) = (
        Arc::clone(world.agents(AGENTS)?),
        Arc::clone(world.desk(DESK)?),
    );
    let site = Arc::clone(world.site("")?);
    let repo = site.create_repo(NewRepo::new(OWNER, REPOSITORY_NAME))?;
    site.create_environment(Stage::environment(ENVIRONMENT, protected()))?;
    site.create_environment(Stage::environment(OTHER_ENVIRONMENT, Rules::default()))?;
    heard(&site, &desk, place)?;
    let http = http_client("writ-demo")?;
    let configuration = place.furnish(&site, repo, &agents, &desk)?;
    let mut server = Server::start(&writ, &configuration, place)?;
    server.ready(&http, place).await?;
    tell.title("The world")?;
    tell.say(&format!("CI system   {}", site.issuer()))?;
    tell.say(&format!("ticket desk {}", desk.api_url()))?;
    tell.say(&format!(
        "broker      {} ({})",
        place.issuer(),
        writ.display()
    ))?;
    let mut stage = Stage {
        site,
        agents,
        desk,
        http,
        issuer: place.issuer(),
        billing_secret: place.billing_secret.clone(),
        operator: Operator {
            writ,
            socket: place.socket(),
        },
        tell,
        outcomes: Vec::new(),
        refusals: Vec::new(),
    };
    tokio::select! {
        played = play(&mut stage, place) => played?,
        _ = tokio::signal::ctrl_c() => return Err(Trouble::Interrupted),
    }
    stage.tell.table(&stage.outcomes)?;
    stage.tell.held()?;
    server.stop().await?;
    world.stop().await;
    Ok(())
}

/// Has the world tell the broker of changes by signed webhooks.
fn heard(site: &Site, desk: &Desk, place: &Place) -> Result<(), Trouble> {
    site.hooks().set(HookSettings {
        enabled: true,
        targets: vec![HookTarget {
            url: format!("{}/hooks/github", place.issuer()),
            secret: place.hook_secret.clone(),
        }],
    })?;
    desk.set_hook(Some(DeskHook {
        url: format!("{}/hooks/desk", place.issuer()),
        secret: DeskSecret::Body(place.hook_secret.clone()),
    }));
    Ok(())
}

async fn play(stage: &mut Stage, place: &Place) -> Result<(), Trouble> {
    stories::cancelled::play(stage).await?;
    stories::changed::play(stage).await?;
    stories::case::play(stage).await?;
    stories::revoked::play(stage, place).await
}

/// Where agents get their identity, and where their cases are.
const AGENTS: &str = "/agents";
const DESK: &str = "/desk";

/// Deployments wait for a person.
fn protected() -> Rules {
    Rules {
        required_reviewers: vec![Reviewer {
            kind: ReviewerKind::User,
            id: 700_002,
            login: "practice-reviewer".to_owned(),
        }],
        prevent_self_review: true,
        ..Rules::default()
    }
}

/// Says what went wrong, with everything that led to it.
fn failed(trouble: &Trouble) -> ExitCode {
    eprintln!("\nthe demo stopped: {trouble}");
    let mut cause = std::error::Error::source(trouble);
    while let Some(why) = cause {
        eprintln!("  because: {why}");
        cause = why.source();
    }
    ExitCode::FAILURE
}
