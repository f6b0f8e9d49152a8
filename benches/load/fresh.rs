//! How soon the next action is refused after an operator or a desk has said so: from the moment when the order
//! or the change is sent to the first answer that is no. Somebody asks all the while, so that the answer's own time
//! is in it.

use std::time::Duration;

use serde::Serialize;
use writ::seams::{Clock as _, SystemClock};

use crate::client::Answer;
use crate::fault::Fault;
use crate::paths::{Broker, Token, issued, read};
use crate::report::Report;
use crate::requests::order;
use crate::start::operator;

/// What came of one kind of word, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Fresh {
    pub(crate) word: &'static str,
    pub(crate) trials: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// An operator revokes the task of each token.
pub(crate) fn revocations(
    broker: &Broker<'_>,
    report: &mut Report,
    tokens: &[Token],
) -> Result<(), Fault> {
    let took = broker.runtime.block_on(async {
        let mut operator = operator(broker.place).await?;
        let mut line = broker.target.connect().await?;
        let mut took = Vec::new();
        for token in tokens.iter().take(broker.plan.trials) {
            let ask = broker.requests.check(&token.access_token, "read", 1)?;
            let revoke = order(&format!("POST /api/v1/tasks/{}/revoke", token.task), "");
            expect(&line.ask(&ask).await?, true)?;
            let from = SystemClock.elapsed();
            let (ordered, no) = tokio::join!(operator.ask(&revoke), async {
                while permitted(&line.ask(&ask).await?) {}
                Ok::<_, Fault>(SystemClock.elapsed())
            });
            if !issued(&ordered?) {
                return Err(Fault::of("a task was not revoked"));
            }
            took.push(no?.saturating_sub(from));
        }
        Ok::<_, Fault>(took)
    })?;
    report.fresh(spread("operator's revocation", took));
    Ok(())
}

/// A desk closes the case of each token, and says so by its webhook; the broker reads the case again.
pub(crate) fn webhooks(broker: &Broker<'_>, report: &mut Report) -> Result<(), Fault> {
    let desk = broker.world.telling_desk(broker.place)?;
    let took = broker.runtime.block_on(async {
        let mut line = broker.target.connect().await?;
        let mut took = Vec::new();
        for trial in 0..broker.plan.trials {
            let case = format!("fresh-{trial}");
            desk.open(&case)?;
            let evidence = broker.world.agent()?;
            let task = format!("desk/case/{case}");
            let exchange = broker.requests.exchange_unbound_for_case(&evidence, &task);
            let answer = line.ask(&exchange).await?;
            if !issued(&answer) {
                return Err(answer.unexpected());
            }
            let token = read(answer.body)?;
            let ask = broker.requests.check(&token.access_token, "read", 1)?;
            expect(&line.ask(&ask).await?, true)?;
            let from = SystemClock.elapsed();
            let (told, no) = tokio::join!(desk.solve(&case), async {
                while !denied(&line.ask(&ask).await?) {}
                Ok::<_, Fault>(SystemClock.elapsed())
            });
            told?;
            took.push(no?.saturating_sub(from));
        }
        Ok::<_, Fault>(took)
    })?;
    report.fresh(spread("desk's webhook", took));
    Ok(())
}

fn expect(answer: &Answer<'_>, wanted: bool) -> Result<(), Fault> {
    if permitted(answer) == wanted {
        return Ok(());
    }
    Err(answer.unexpected())
}

fn permitted(answer: &Answer<'_>) -> bool {
    answer.status == 200 && !denied(answer)
}

/// Known to be false: while nobody knows, the answer is neither.
fn denied(answer: &Answer<'_>) -> bool {
    let no = b"\"decision\":false";
    answer.status == 200 && answer.body.windows(no.len()).any(|part| part == no)
}

fn spread(word: &'static str, mut took: Vec<Duration>) -> Fresh {
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1)));
    let ms = |share| at(share).map_or(f64::INFINITY, |took| took.as_secs_f64() * 1e3);
    Fresh {
        word,
        trials: took.len(),
        p50_ms: ms(50),
        p99_ms: ms(99),
        max_ms: ms(100),
    }
}
