//! Traces on their way to the collector. Nobody waits for it: a request offers its spans to a bounded queue
//! and is done. What the collector does not take in time is dropped and counted, and never sent again.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::mpsc;

use crate::outbound::{OutboundError, Peer};
use crate::seams::Clock;
use crate::telemetry::otlp::{self, Resource};
use crate::telemetry::span::Span;
use crate::telemetry::trace::{Lost, dropped};

/// A receiver of OTLP over HTTP.
pub struct Collector {
    pub peer: Peer,
    /// Where it takes traces.
    pub path: String,
    pub resource: Resource,
    pub clock: std::sync::Arc<dyn Clock>,
}

/// Why the collector has not taken what it was sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    #[error("{0}")]
    Outbound(#[from] OutboundError),
    #[error("what answers there is no OTLP receiver")]
    Stranger,
}

impl Collector {
    /// Sends spans, and gives the number of those that were taken. To send none shows whether any would be.
    pub async fn take(&self, spans: &[Span]) -> Result<usize, Unsent> {
        let kind = HeaderValue::from_static(otlp::CONTENT_TYPE);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.clone())]);
        let body = Bytes::from(otlp::request(&self.resource, spans));
        let until = self.clock.now().plus(PATIENCE);
        let answer = self.peer.post(&self.path, headers, body, until).await?;
        // A receiver answers in the encoding it was asked in (OTLP/HTTP, "Response").
        if answer.headers.get(header::CONTENT_TYPE) != Some(&kind) {
            return Err(Unsent::Stranger);
        }
        let rejected = usize::try_from(otlp::rejected(&answer.body)).unwrap_or(usize::MAX);
        Ok(spans.len().saturating_sub(rejected))
    }
}

/// Sends what is queued until nobody is left who could queue more.
pub async fn export(collector: Collector, mut queue: mpsc::Receiver<Vec<Span>>) {
    // A count that nothing was added to yet is there to be watched all the same.
    let exported = metrics::counter!("writ_trace_spans_exported_total");
    exported.increment(0);
    for why in Lost::ALL {
        dropped(why, 0);
    }
    let mut well = true;
    while let Some(first) = queue.recv().await {
        let spans = gathered(&collector, first, &mut queue).await;
        let outcome = collector.take(&spans).await;
        let was_well = std::mem::replace(&mut well, outcome.is_ok());
        match outcome {
            Ok(taken) => {
                exported.increment(u64::try_from(taken).unwrap_or(u64::MAX));
                dropped(Lost::Rejected, spans.len().saturating_sub(taken));
                if !was_well {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(why) => {
                dropped(Lost::Unsent, spans.len());
                // Said when it changes, and not of every batch.
                if was_well {
                    tracing::warn!(%why, "the collector does not take traces: they are dropped");
                }
            }
        }
    }
}

/// The spans of a moment, so that the collector is asked about once a second.
async fn gathered(
    collector: &Collector,
    mut spans: Vec<Span>,
    queue: &mut mpsc::Receiver<Vec<Span>>,
) -> Vec<Span> {
    let clock = &collector.clock;
    let mut moment = clock.sleep_until(clock.now().plus(MOMENT));
    while spans.len() < BATCH {
        tokio::select! {
            biased;
            more = queue.recv() => match more {
                Some(more) => spans.extend(more),
                None => break,
            },
            () = &mut moment => break,
        }
    }
    spans
}

const MOMENT: Duration = Duration::from_secs(1);
const BATCH: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(5);
