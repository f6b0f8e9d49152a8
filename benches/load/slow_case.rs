//! A thousand agents wait for one case that its desk shows slowly: what they cost the desk, and how much
//! longer than the one read they wait.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Serialize;
use writ::seams::{Clock as _, SystemClock};
use writ_practice::client::SessionKey;

use crate::fault::Fault;
use crate::paths::{Broker, issued};
use crate::report::Report;
use crate::work::CASE;

/// What the waiting came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Waited {
    pub(crate) callers: usize,
    /// How long the desk takes for its answer.
    pub(crate) desk_ms: u64,
    /// How often the desk was asked.
    pub(crate) reads: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Exchanges of as many sessions of the agent that the case names, all at one moment.
pub(crate) fn wait(broker: &Broker<'_>, report: &mut Report) -> Result<(), Fault> {
    let keys: Result<Vec<_>, _> = (0..=CALLERS).map(|_| SessionKey::generate()).collect();
    let keys = keys.map_err(Fault::of)?;
    let tokens = broker.world.agents(&keys)?;
    let requests: Result<Vec<_>, Fault> = tokens
        .iter()
        .map(|one| {
            let proof = broker.requests.proof(one.key, 0)?;
            Ok(broker.requests.exchange_for_case(&one.token, &proof, CASE))
        })
        .collect();
    let requests = requests?;
    let (first, others) = requests.split_first().ok_or_else(|| Fault::of("nobody"))?;
    report.waited(broker.runtime.block_on(all(broker, first, others))?);
    Ok(())
}

async fn all(broker: &Broker<'_>, first: &Bytes, others: &[Bytes]) -> Result<Waited, Fault> {
    // The task is open when the others come, and what was read for it has grown old.
    let mut line = broker.target.connect().await?;
    let answer = line.ask(first).await?;
    if !issued(&answer) {
        return Err(answer.unexpected());
    }
    let mut lines = Vec::with_capacity(others.len());
    for _ in others {
        lines.push(broker.target.connect().await?);
    }
    tokio::time::sleep(FACTS_LAST).await;
    let desk = broker.world.slow_desk(DESK_TAKES)?;
    let asked = lines.iter_mut().zip(others).map(async |(line, request)| {
        let from = SystemClock.elapsed();
        let answer = line.ask(request).await?;
        if issued(&answer) {
            return Ok(SystemClock.elapsed().saturating_sub(from));
        }
        Err(answer.unexpected())
    });
    let mut took = try_join_all(asked).await?;
    let reads = desk.reads();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100);
    let ms = |share| at(share).map_or(f64::INFINITY, |took| took.as_secs_f64() * 1e3);
    Ok(Waited {
        callers: took.len(),
        desk_ms: u64::try_from(DESK_TAKES.as_millis()).map_err(Fault::of)?,
        reads,
        p50_ms: ms(50),
        p99_ms: ms(99),
    })
}

const CALLERS: usize = 1_000;
const DESK_TAKES: Duration = Duration::from_millis(500);

/// Longer than the profile lets a fact live.
const FACTS_LAST: Duration = Duration::from_millis(1_200);
