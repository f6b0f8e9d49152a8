//! Ending one task with a thousand live credentials: how long until that is acknowledged, and that
//! the next question about any of them is refused.

use std::time::Duration;

use serde::Deserialize;
use writ::seams::{Clock as _, SystemClock};
use writ_practice::client::SessionKey;

use crate::fault::Fault;
use crate::paths::{Broker, Token, handed_out, issued, read};
use crate::report::Report;
use crate::requests::order;
use crate::start::operator;

/// Ends as many tasks as there are windows, and reports the median.
pub(crate) fn revoke(broker: &Broker<'_>, report: &mut Report) -> Result<(), Fault> {
    let mut took = Vec::new();
    for _ in 0..broker.plan.windows {
        let (task, tokens) = full_task(broker)?;
        took.push(broker.runtime.block_on(end(broker, &task, &tokens))?);
    }
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or(Duration::MAX);
    report.task_revoked(broker.plan.credentials, median);
    Ok(())
}

/// One session, renewed until its task has all the credentials.
fn full_task(broker: &Broker<'_>) -> Result<(String, Vec<Token>), Fault> {
    let keys = [SessionKey::generate().map_err(Fault::of)?];
    let bound = broker.world.bound(broker.runtime, &keys)?;
    let first = bound
        .first()
        .ok_or_else(|| Fault::of("no token was minted"))?;
    let proof = broker.requests.proof(first.key, 0)?;
    let exchange = broker.requests.exchange_bound(&first.token, &proof);
    let opened = broker.runtime.block_on(async {
        let mut line = broker.target.connect().await?;
        let answer = line.ask(&exchange).await?;
        if issued(&answer) {
            read(answer.body)
        } else {
            Err(answer.unexpected())
        }
    })?;
    let renewals: Result<Vec<_>, Fault> = (1..broker.plan.credentials)
        .map(|number| {
            let proof = broker.requests.proof(first.key, number)?;
            Ok(broker.requests.renew(&opened.refresh_token, &proof))
        })
        .collect();
    let renewed = broker.drive(&[renewals?], issued)?;
    let mut tokens = handed_out(&renewed)?;
    let task = opened.task.clone();
    tokens.push(opened);
    Ok((task, tokens))
}

#[derive(Deserialize)]
struct Ended {
    credentials: Vec<serde::de::IgnoredAny>,
}

async fn end(broker: &Broker<'_>, task: &str, tokens: &[Token]) -> Result<Duration, Fault> {
    let mut operator = operator(broker.place).await?;
    let mut line = broker.target.connect().await?;
    let revoke = order(&format!("POST /api/v1/tasks/{task}/revoke"), "");
    let from = SystemClock.elapsed();
    let answer = operator.ask(&revoke).await?;
    let took = SystemClock.elapsed().saturating_sub(from);
    if !issued(&answer) {
        return Err(answer.unexpected());
    }
    let ended: Ended = serde_json::from_slice(answer.body).map_err(Fault::of)?;
    if ended.credentials.len() != tokens.len() {
        let told = ended.credentials.len();
        return Err(Fault::of(format!(
            "of {} credentials, {told} were told of",
            tokens.len()
        )));
    }
    for token in tokens {
        let ask = broker.requests.introspect(&token.access_token);
        let answer = line.ask(&ask).await?;
        if answer.body != br#"{"active":false}"# {
            return Err(answer.unexpected());
        }
    }
    Ok(took)
}
