//! A run is cancelled: what its job holds dies without anybody asking for it.

use crate::call::{Answer, Refusal};
use crate::job::Job;
use crate::outside::{Stopwatch, random_hex};
use crate::place::BILLING;
use crate::stage::{Stage, Token, milliseconds};
use crate::stories::SECRET_PATH;
use crate::trouble::Trouble;

pub(crate) async fn play(stage: &mut Stage) -> Result<(), Trouble> {
    stage.tell.title("1. A run is cancelled")?;
    let secret = put_secret(stage).await?;
    let mut job = stage.start_run().await?;
    let first = stage.open(&mut job).await?;
    stage.tell.say("it reads the secret of its run")?;
    let answer = stage.show(&job.read(&first.text, SECRET_PATH)?).await?;
    expect_secret(&answer, &secret)?;
    let renewed = stage.renew(&job, BILLING).await?;
    stage.stands(&renewed).await?;

    stage
        .tell
        .say("somebody cancels the run; the CI system's webhook says so")?;
    let watch = Stopwatch::start();
    stage.site.cancel_run(job.run).await?;
    let dead = stage.until_dead(&renewed, watch).await?;
    stage.note(
        "the run was cancelled",
        "its token is dead at introspection",
        milliseconds(dead),
    );
    stage.is_dead(&renewed, dead).await?;
    aftermath(stage, &job, &first).await?;
    heard(stage).await
}

async fn put_secret(stage: &Stage) -> Result<String, Trouble> {
    stage
        .tell
        .say("the operator puts a secret, by standard input")?;
    let secret = format!(
        "postgres://shop:{}@db.acme.example/shop",
        random_hex::<8>()?
    );
    let arguments = ["secret", "put", SECRET_PATH];
    let done = stage
        .operator
        .run_with(&arguments, secret.as_bytes())
        .await?;
    stage.tell.command(&done)?;
    done.succeeded()?;
    Ok(secret)
}

fn expect_secret(answer: &Answer, secret: &str) -> Result<(), Trouble> {
    let value = answer.granted("the secret is read")?.text("value")?;
    if value == secret {
        return Ok(());
    }
    Err(Trouble::unmet(
        "the secret is what was put",
        "the same",
        "something else",
    ))
}

/// What is left to the job: nothing.
async fn aftermath(stage: &mut Stage, job: &Job, first: &Token) -> Result<(), Trouble> {
    stage
        .tell
        .say("the job's other token no longer reads the secret")?;
    let read = job.read(&first.text, SECRET_PATH)?;
    let refused = Refusal {
        status: 403,
        error: None,
        ..OVER
    };
    stage
        .refused("the secret is refused to the cancelled run", &read, refused)
        .await?;
    stage.tell.say("renewal is refused, and says why")?;
    let renew = job.renew(Some(BILLING))?;
    stage
        .refused("renewal is refused to the cancelled run", &renew, OVER)
        .await?;
    stage.note(
        "the run was cancelled",
        format!("renewal refused: {} {}", OVER.code, PIPELINE_STATUS),
        "at once",
    );
    Ok(())
}

/// Each webhook was taken, so that the measured time is the webhook's and not a cache's.
async fn heard(stage: &Stage) -> Result<(), Trouble> {
    stage.site.hooks().settle().await?;
    let deliveries = stage.site.hooks().deliveries();
    let lost = deliveries
        .iter()
        .find(|delivery| delivery.status != Some(202));
    match lost {
        None => Ok(()),
        Some(delivery) => Err(Trouble::unmet(
            format!("the webhook {} is taken", delivery.event),
            "202",
            format!("{delivery:?}"),
        )),
    }
}

const PIPELINE_STATUS: &str = "pipeline.status";

const OVER: Refusal = Refusal {
    status: 400,
    error: Some("invalid_grant"),
    code: "context_ended",
    field: Some(PIPELINE_STATUS),
};
