//! The environment of a run changes under it, and a token of a run names another environment: both
//! end what is out.

use std::time::Duration;

use serde_json::{Map, Value};
use writ_practice::{Mint, Rules};

use crate::call::Refusal;
use crate::job::Job;
use crate::outside::{Stopwatch, poll};
use crate::place::{BILLING, ENVIRONMENT, ENVIRONMENT_MAX_AGE_SECS, OTHER_ENVIRONMENT};
use crate::stage::{LIMIT, Stage, milliseconds, token_of};
use crate::trouble::Trouble;

pub(crate) async fn play(stage: &mut Stage) -> Result<(), Trouble> {
    edited(stage).await?;
    renamed(stage).await
}

/// The protection rules are edited while a run deploys.
async fn edited(stage: &mut Stage) -> Result<(), Trouble> {
    stage.tell.title("2. A run's environment changes")?;
    let mut job = stage.start_run().await?;
    stage.open(&mut job).await?;
    let token = stage.renew(&job, BILLING).await?;
    stage.stands(&token).await?;

    stage.tell.say(&format!(
        "somebody takes the reviewers off `{ENVIRONMENT}`. No webhook tells of that: the profile \
         lets a fact about an environment be {ENVIRONMENT_MAX_AGE_SECS} s old"
    ))?;
    let watch = Stopwatch::start();
    stage
        .site
        .edit_environment(Stage::environment(ENVIRONMENT, Rules::default()))?;
    stage
        .tell
        .say("the job goes on renewing, until it is refused")?;
    let (asked, refused_after) = renew_until_refused(stage, &job, watch).await?;
    stage
        .tell
        .say(&format!("that was renewal {asked} since the change"))?;
    stage.note(
        "the environment's rules were edited",
        format!("renewal refused: {} {PROTECTION_RULES}", CHANGED.code),
        format!(
            "{} (facts ≤ {ENVIRONMENT_MAX_AGE_SECS} s)",
            milliseconds(refused_after)
        ),
    );
    let dead = stage.until_dead(&token, watch).await?;
    stage.is_dead(&token, dead).await?;
    stage.note(
        "the environment's rules were edited",
        "its token is dead at introspection",
        milliseconds(dead),
    );

    stage
        .tell
        .say("the job still runs: a fresh ID token of it does not help")?;
    let id_token = stage.id_token(&job).await?;
    let exchange = job.exchange(&id_token, None)?;
    let how = Refusal {
        error: Some("invalid_request"),
        ..CHANGED
    };
    stage
        .refused("a new exchange is refused", &exchange, how)
        .await
}

/// Renews until it is refused; how many renewals that took, and how long.
async fn renew_until_refused(
    stage: &mut Stage,
    job: &Job,
    watch: Stopwatch,
) -> Result<(u32, Duration), Trouble> {
    let mut asked = 0_u32;
    let (call, answer, after) = poll("the renewal is refused", PAUSE, LIMIT, async || {
        let call = job.renew(Some(BILLING))?;
        let answer = stage.send(&call).await?;
        asked = asked.saturating_add(1);
        if answer.status == 200 {
            token_of(&answer)?;
            return Ok(None);
        }
        Ok(Some((call, answer, watch.elapsed())))
    })
    .await?;
    stage.tell.exchange(&call, &answer)?;
    stage.remember("renewal is refused after the change", &answer, CHANGED)?;
    Ok((asked, after))
}

/// A token of one job names two environments: the workload is not the one that opened the lineage.
async fn renamed(stage: &mut Stage) -> Result<(), Trouble> {
    let mut job = stage.start_run().await?;
    stage.open(&mut job).await?;
    let token = stage.renew(&job, BILLING).await?;
    stage.tell.say(&format!(
        "a fresh ID token of the same job says `{OTHER_ENVIRONMENT}`, where the profile also deploys"
    ))?;
    let mut claims = Map::new();
    claims.insert("environment".to_owned(), Value::from(OTHER_ENVIRONMENT));
    let id_token = stage.site.mint(Mint {
        job_id: Some(job.id),
        audience: Some(job.audience()),
        claims,
        ..Mint::default()
    })?;
    let watch = Stopwatch::start();
    let exchange = job.exchange(&id_token, None)?;
    stage
        .refused("another identity is refused", &exchange, OTHER)
        .await?;
    let dead = stage.until_dead(&token, watch).await?;
    stage.is_dead(&token, dead).await?;
    stage.note(
        "a token of the job named another environment",
        format!(
            "refused: {}; its token is dead at introspection",
            OTHER.code
        ),
        milliseconds(dead),
    );
    Ok(())
}

const PROTECTION_RULES: &str = "environment.protection_rules";

const CHANGED: Refusal = Refusal {
    status: 400,
    error: Some("invalid_grant"),
    code: "context_mismatch",
    field: Some(PROTECTION_RULES),
};

const OTHER: Refusal = Refusal {
    status: 400,
    error: Some("invalid_request"),
    code: "identity_mismatch",
    field: Some("environment"),
};

/// Between two renewals of the job.
const PAUSE: Duration = Duration::from_millis(50);
