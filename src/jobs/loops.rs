//! The loops that run jobs beside the requests, each until the server stops. A job that fails says
//! so and is run again: none of them may end the process, and none of them holds up a request.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::broker::observe::{Rereads, Stale};
use crate::jobs::patrol::Patrol;
use crate::jobs::revocations::Revocations;
use crate::jobs::rotation::Rotation;
use crate::jobs::sequencer::Sequencer;
use crate::seams::Clock;
use crate::store::Store;

/// Merges new entries into the audit tree, every second.
pub async fn sequence(
    sequencer: Sequencer<dyn Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    while tick(clock.as_ref(), SEQUENCE_EVERY, &stop).await {
        match sequencer.run(clock.now()).await {
            Ok(report) => metrics::gauge!("writ_audit_tree_size").set(precise(report.size)),
            Err(why) => tracing::error!(%why, "the audit tree could not be extended"),
        }
    }
}

/// Reads what other writers have done, and notes how fresh the view is.
pub async fn follow(broker: Arc<Broker>, stop: CancellationToken) {
    let mut follower = crate::jobs::follower::Follower::new(Arc::clone(&broker.store));
    while tick(broker.clock.as_ref(), FOLLOW_EVERY, &stop).await {
        if let Err(why) = follower.run(broker.clock.elapsed()).await {
            tracing::error!(%why, "the log could not be read");
        }
    }
}

/// Deletes rows that can no longer matter, in bounded batches, and forgets what is cached of them.
pub async fn sweep(broker: Arc<Broker>, stop: CancellationToken) {
    while tick(broker.clock.as_ref(), SWEEP_EVERY, &stop).await {
        let now = broker.clock.now();
        broker.store.view().forget(now);
        broker.forget_tokens(now);
        broker.forget_certificates(now);
        broker.forget_sessions(now);
        broker.observer.cache.forget(now);
        match broker.store.sweep(now, SWEEP_LIMIT).await {
            Ok(rows) => metrics::counter!("writ_swept_rows_total").increment(rows),
            Err(why) => tracing::error!(%why, "the sweep could not be done"),
        }
    }
}

/// Reads again what webhooks hinted at. What cannot be read is asked for again a little later: the
/// hint may have been the only news of a run's end.
pub async fn reread(broker: Arc<Broker>, rereads: Arc<Rereads>, stop: CancellationToken) {
    let readers = (0..READERS).map(|_| reader(&broker, &rereads, &stop));
    futures_util::future::join_all(readers).await;
}

async fn reader(broker: &Broker, rereads: &Rereads, stop: &CancellationToken) {
    loop {
        let record = tokio::select! {
            record = rereads.next() => record,
            () = stop.cancelled() => return,
        };
        if let Err(why) = broker.reread(&record, Stale::Hinted).await {
            tracing::warn!(%record, code = %why.code(), internal = why.internal(), "a hinted record cannot be read yet");
            rereads.later(record);
        }
    }
}

/// Asks again for what could not be read.
pub async fn retry(broker: Arc<Broker>, rereads: Arc<Rereads>, stop: CancellationToken) {
    while tick(broker.clock.as_ref(), RETRY_EVERY, &stop).await {
        rereads.ask_again();
    }
}

/// Sends the tokens that are stored now, a moment after they were put.
pub async fn keep_tokens(broker: Arc<Broker>, stop: CancellationToken) {
    while tick(broker.clock.as_ref(), TOKENS_EVERY, &stop).await {
        if let Err(why) = broker.take_api_tokens().await {
            tracing::error!(code = %why.code(), internal = why.internal(), "the APIs' tokens stay as they are");
        }
    }
}

/// Replaces keys that have grown old.
pub async fn rotate(rotation: Rotation, clock: Arc<dyn Clock>, stop: CancellationToken) {
    while tick(clock.as_ref(), ROTATE_EVERY, &stop).await {
        if let Err(why) = rotation.run(clock.now()).await {
            tracing::error!(code = %why.code(), internal = why.internal(), "a key could not be rotated");
        }
    }
}

/// Publishes what is revoked: at once, and then within a moment of each revocation.
pub async fn list_revoked(
    mut revocations: Revocations,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        match revocations.run(clock.now()).await {
            Ok(report) => metrics::gauge!("writ_revoked_certificates")
                .set(precise(u64::try_from(report.listed).unwrap_or(u64::MAX))),
            Err(why) => tracing::error!(%why, "the lists of revoked certificates stay as they are"),
        }
        if !tick(clock.as_ref(), LIST_EVERY, &stop).await {
            return;
        }
    }
}

/// Looks after what no webhook spoke of.
pub async fn patrol(broker: Arc<Broker>, stop: CancellationToken) {
    let mut patrol = Patrol::new(Arc::clone(&broker));
    while tick(broker.clock.as_ref(), PATROL_EVERY, &stop).await {
        if let Err(why) = patrol.run().await {
            tracing::error!(%why, "the records of the living could not be listed");
        }
    }
}

/// Waits for the next turn; `false` once the server stops.
async fn tick(clock: &dyn Clock, every: Duration, stop: &CancellationToken) -> bool {
    let next = clock.sleep_until(clock.now().plus(every));
    tokio::select! {
        () = next => true,
        () = stop.cancelled() => false,
    }
}

/// A count as a gauge wants it; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and no log has 2^53 entries"
)]
const fn precise(count: u64) -> f64 {
    count as f64
}

const TOKENS_EVERY: Duration = Duration::from_secs(1);
const SEQUENCE_EVERY: Duration = Duration::from_secs(1);
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const ROTATE_EVERY: Duration = Duration::from_mins(1);
const LIST_EVERY: Duration = Duration::from_millis(250);
const PATROL_EVERY: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_secs(3);

/// How many rows one sweep deletes at most: a few milliseconds of writing.
const SWEEP_LIMIT: u32 = 10_000;

/// How many records are read at a time after hints: a flood of hints is not a flood of calls.
const READERS: usize = 4;
