//! The practice world of a run: the repositories whose jobs ask, and their ID tokens by the thousand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::runtime::Runtime;
use writ_practice::client::SessionKey;
use writ_practice::{
    Desk, DeskHook, DeskSecret, Fault as Trouble, MintMany, Mode, NewRepo, Options, Running,
    StartJob, StartRun, Target,
};

use crate::fault::Fault;
use crate::place::{DESK_TOKEN, HOOK_SECRET, Place, Surroundings};

pub(crate) struct World {
    running: Running,
    /// The broker's issuer: the audience of evidence.
    issuer: String,
}

/// Whose jobs ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Proof,
    Secret,
}

/// An ID token that is good with one key only.
pub(crate) struct Bound<'a> {
    pub(crate) token: String,
    pub(crate) key: &'a SessionKey,
}

impl World {
    /// Starts a world, and configures the broker of `place` to trust it.
    pub(crate) async fn start(place: &Place) -> Result<Self, Fault> {
        let running = writ_practice::World::start(Options {
            api_token: DESK_TOKEN.to_owned(),
            agents: vec![AGENTS.to_owned()],
            desks: vec![DESK.to_owned()],
            hook_authorities: place.certificate()?,
            ..Options::default()
        })
        .await?;
        let desk = running.desk(DESK)?;
        desk.open(CASE_ID, "AC-9", Some(AGENT))?;
        let site = running.site("")?;
        let new = |name| site.create_repo(NewRepo::new("octo", name));
        let (proof, secret) = (new("proof")?, new("secret")?);
        place.configure(&Surroundings {
            ci: site.issuer(),
            proof_repository: proof.repository_id,
            secret_repository: secret.repository_id,
            agents: running.agents(AGENTS)?.issuer(),
            desk: &desk.api_url(),
        })?;
        Ok(Self {
            running,
            issuer: place.issuer(),
        })
    }

    pub(crate) fn url(&self) -> &str {
        self.running.base_url()
    }

    /// Distinct tokens of as many runs, for callers without a key.
    pub(crate) fn tokens(
        &self,
        runtime: &Runtime,
        kind: Kind,
        count: usize,
    ) -> Result<Vec<String>, Fault> {
        self.mint(runtime, kind, count, vec![self.issuer.clone()])
    }

    /// One token for each key.
    pub(crate) fn bound<'a>(
        &self,
        runtime: &Runtime,
        keys: &'a [SessionKey],
    ) -> Result<Vec<Bound<'a>>, Fault> {
        let audience = |key: &SessionKey| format!("{}/jkt/{}", self.issuer, key.thumbprint());
        let by_audience: HashMap<_, _> = keys.iter().map(|key| (audience(key), key)).collect();
        let audiences = by_audience.keys().cloned().collect();
        let tokens = self.mint(runtime, Kind::Proof, keys.len(), audiences)?;
        let bound = tokens.into_iter().map(|token| {
            let key = audience_of(&token).and_then(|audience| by_audience.get(&audience));
            let key = key.ok_or_else(|| Fault::of("a token for a key that is not there"))?;
            Ok(Bound { token, key })
        });
        bound.collect()
    }

    /// One token of the agent for each key.
    pub(crate) fn agents<'a>(&self, keys: &'a [SessionKey]) -> Result<Vec<Bound<'a>>, Fault> {
        let agents = self.running.agents(AGENTS)?;
        let bound = keys.iter().map(|key| {
            let audience = format!("{}/jkt/{}", self.issuer, key.thumbprint());
            let token = agents.token(AGENT, &audience)?;
            Ok(Bound { token, key })
        });
        bound.collect()
    }

    /// A token of the agent, for a caller without a key.
    pub(crate) fn agent(&self) -> Result<String, Fault> {
        Ok(self.running.agents(AGENTS)?.token(AGENT, &self.issuer)?)
    }

    /// From now on the desk tells the broker of `place` what changes.
    pub(crate) fn telling_desk(&self, place: &Place) -> Result<TellingDesk, Fault> {
        let desk = self.running.desk(DESK)?;
        desk.set_hook(Some(DeskHook {
            url: format!("{}/hooks/desk", place.issuer()),
            secret: DeskSecret::Body(HOOK_SECRET.to_owned()),
        }));
        Ok(TellingDesk(Arc::clone(desk)))
    }

    /// From now on the desk takes this long for each answer.
    pub(crate) fn slow_desk(&self, delay: Duration) -> Result<SlowDesk, Fault> {
        let desk = self.running.desk(DESK)?;
        desk.faults().forget_requests();
        desk.faults().set(Trouble {
            target: Target::Cases,
            mode: Mode::Slow,
            delay_ms: u64::try_from(delay.as_millis()).map_err(Fault::of)?,
        })?;
        Ok(SlowDesk(Arc::clone(desk)))
    }

    fn mint(
        &self,
        runtime: &Runtime,
        kind: Kind,
        count: usize,
        audiences: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let job = StartJob::new("build");
        let (repository, job) = match kind {
            Kind::Proof => ("octo/proof", job),
            Kind::Secret => ("octo/secret", job.in_environment("production")),
        };
        let order = MintMany {
            count,
            run: StartRun::new(repository, vec![job]),
            audiences,
            lifetime_secs: LIFETIME_SECS,
        };
        Ok(runtime.block_on(self.running.site("")?.mint_many(order))?)
    }
}

/// A desk that tells the broker what changes, until this is dropped.
pub(crate) struct TellingDesk(Arc<Desk>);

impl TellingDesk {
    pub(crate) fn open(&self, case: &str) -> Result<(), Fault> {
        Ok(self.0.open(case, "AC-9", Some(AGENT))?)
    }

    /// Closes a case; done when the broker has taken the webhook.
    pub(crate) async fn solve(&self, case: &str) -> Result<(), Fault> {
        let delivery = self.0.set_state(case, "solved").await?;
        match delivery.and_then(|delivery| delivery.status) {
            Some(202) => Ok(()),
            other => Err(Fault::of(format!("a webhook was answered {other:?}"))),
        }
    }
}

impl Drop for TellingDesk {
    fn drop(&mut self) {
        self.0.set_hook(None);
    }
}

/// A desk that takes its time, until this is dropped.
pub(crate) struct SlowDesk(Arc<Desk>);

impl SlowDesk {
    /// How often it was asked for a case.
    pub(crate) fn reads(&self) -> u64 {
        self.0.faults().requests().of(Target::Cases)
    }
}

impl Drop for SlowDesk {
    fn drop(&mut self) {
        self.0.faults().clear();
    }
}

fn audience_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        aud: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&claims)
        .ok()
        .map(|c| c.aud)
}

/// The configuration takes tokens of this age.
const LIFETIME_SECS: i64 = 3_600;

const AGENTS: &str = "/agents";
const DESK: &str = "/desk";

/// The agent that the case names.
const AGENT: &str = "a-1";
const CASE_ID: &str = "4711";

/// The task of that case.
pub(crate) const CASE: &str = "desk/case/4711";
