//! Actions at their use, for tokens that were seen before: one that changes nothing and need not wait for its
//! record, one that does, twenty of the first kind in one request, and what a gateway asks about one that it holds.

use bytes::Bytes;

use crate::client::Answer;
use crate::fault::Fault;
use crate::paths::{Broker, row};
use crate::report::{Path, Report};
use crate::requests::Requests;

/// How one is asked about the holder of a token.
type Ask = fn(&Requests, &str) -> Result<Bytes, Fault>;

pub(crate) fn all(
    broker: &Broker<'_>,
    report: &mut Report,
    tokens: &[String],
) -> Result<(), Fault> {
    let (reads, writes) = (broker.plan.reads, broker.plan.writes);
    let asks: [(Path, Ask, usize); 4] = [
        (
            Path::CheckRead,
            |by, token| by.check(token, "read", 1),
            reads,
        ),
        (
            Path::CheckTwenty,
            |by, token| by.check(token, "read", TWENTY),
            reads / TWENTY,
        ),
        (
            Path::CheckWrite,
            |by, token| by.check(token, "restart", 1),
            writes,
        ),
        (
            Path::ForwardAuth,
            |by, token| Ok(by.forward_auth(token)),
            reads,
        ),
    ];
    for (path, ask, count) in asks {
        let asked = tokens.iter().map(|token| ask(&broker.requests, token));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let again: Vec<Bytes> = asked.iter().cycle().take(count).cloned().collect();
        let mut windows = vec![asked];
        windows.extend((0..broker.plan.windows).map(|_| again.clone()));
        let driven = broker.ask(&windows, permitted, None)?;
        report.row(row(path, broker.live_rows, &driven));
    }
    Ok(())
}

fn permitted(answer: &Answer<'_>) -> bool {
    let no = b"\"decision\":false";
    answer.status == 200 && !answer.body.windows(no.len()).any(|part| part == no)
}

const TWENTY: usize = 20;
