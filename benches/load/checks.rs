//! Actions at their use, for tokens that were seen before: one that changes nothing and need not wait for its
//! record, one that does, and twenty of the first kind in one request.

use bytes::Bytes;

use crate::client::Answer;
use crate::fault::Fault;
use crate::paths::{Broker, row};
use crate::report::{Path, Report};

pub(crate) fn all(
    broker: &Broker<'_>,
    report: &mut Report,
    tokens: &[String],
) -> Result<(), Fault> {
    let (reads, writes) = (broker.plan.reads, broker.plan.writes);
    for (path, action, times, count) in [
        (Path::CheckRead, "read", 1, reads),
        (Path::CheckTwenty, "read", TWENTY, reads / TWENTY),
        (Path::CheckWrite, "restart", 1, writes),
    ] {
        let asked = tokens
            .iter()
            .map(|token| broker.requests.check(token, action, times));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let again: Vec<Bytes> = asked.iter().cycle().take(count).cloned().collect();
        let mut windows = vec![asked];
        windows.extend((0..broker.plan.windows).map(|_| again.clone()));
        let driven = broker.ask(&windows, permitted, None)?;
        report.row(row(path, 0, &driven));
    }
    Ok(())
}

fn permitted(answer: &Answer<'_>) -> bool {
    let no = b"\"decision\":false";
    answer.status == 200 && !answer.body.windows(no.len()).any(|part| part == no)
}

const TWENTY: usize = 20;
