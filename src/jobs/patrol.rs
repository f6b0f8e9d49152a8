//! The patrol: asks a few of the sources about records that somebody stands on and that nobody has
//! spoken of for a while. A webhook can be lost, and so can all that came while the server was down;
//! the end of a run then still ends what stands on it, although nobody renews.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::observe::Stale;
use crate::domain::context::{RecordKey, RecordKind};
use crate::error::Error;
use crate::store::Down;

/// Goes round all records, a few at each call.
pub struct Patrol {
    broker: Arc<Broker>,
    /// The last record that was looked at.
    after: Option<RecordKey>,
}

/// What one call did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were looked at.
    pub seen: usize,
    /// Records about which a source was asked or would have been.
    pub asked: usize,
}

impl Patrol {
    pub const fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            after: None,
        }
    }

    /// Looks at the next records, and begins again behind the last one.
    pub async fn run(&mut self) -> Result<Report, Down> {
        let (store, realm) = (&self.broker.store, self.broker.realm);
        let records = store.records(realm, self.after.as_ref(), PAGE).await?;
        if records.is_empty() {
            self.after = None;
            return Ok(Report::default());
        }
        let mut report = Report::default();
        for record in records {
            if report.asked == ASKED {
                break;
            }
            report.seen += 1;
            // An environment has no end that takes anything with it: it is read when it is needed.
            if record.kind != RecordKind::Environment {
                match self.broker.reread(&record, Stale::Quiet).await {
                    Ok(asked) => report.asked += usize::from(asked),
                    Err(why) => {
                        report.asked += 1;
                        told(&record, &why);
                    }
                }
            }
            self.after = Some(record);
        }
        Ok(report)
    }
}

/// It is asked again on the next round.
fn told(record: &RecordKey, why: &Error) {
    tracing::debug!(%record, code = %why.code(), internal = why.internal(), "a quiet record cannot be read");
}

/// Records that one call looks at; most of them are known to be fresh, or nobody stands on them.
const PAGE: u32 = 256;

/// Questions of one call: with a call every ten seconds, 1,800 an hour of a source's allowance.
const ASKED: usize = 5;
