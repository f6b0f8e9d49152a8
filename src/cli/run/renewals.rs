//! Keeping a token alive: renewed at half of its life, asked for again while nobody answers, and
//! given up only when somebody says no.

use std::sync::Arc;
use std::time::Duration;

use super::client::{Ask, Token};
use super::cloud::{self, Cloud};
use super::failure::Failed;
use super::files::Place;
use super::schedule::{Backoff, Dice, due};
use super::session::Session;
use super::{TOKEN_FILE, say};
use crate::domain::time::Timestamp;

/// Renews for as long as it is polled, and puts each token in the place of the one before. Ends with
/// the refusal that nothing can change.
pub(super) async fn keep(
    session: &mut Session,
    first: Token,
    ask: &Ask,
    clouds: &[Cloud],
    place: &Place,
) -> Failed {
    let (clock, entropy) = {
        let way = &session.client.way;
        (Arc::clone(&way.clock), Arc::clone(&way.entropy))
    };
    let mut token = first;
    loop {
        if !session.renews() {
            return std::future::pending().await;
        }
        let dice = Dice::roll(entropy.as_ref());
        // However short a token lives, it is not renewed all the time.
        let soonest = clock.now().plus(SOONEST);
        let at = due(token.asked, token.renew_after, dice).max(soonest);
        clock.sleep_until(at).await;
        let mut outage = Outage::default();
        token = loop {
            let failed = match renewed(session, ask, clouds, place).await {
                Ok(renewed) => break renewed,
                Err(refused @ (Failed::Refused(_) | Failed::NoEvidence(_))) => return refused,
                Err(failed) => failed,
            };
            let dice = Dice::roll(entropy.as_ref());
            let wait = outage.goes_on(failed, token.expires, clock.now(), dice);
            clock.sleep_until(clock.now().plus(wait)).await;
        };
        outage.ends();
    }
}

async fn renewed(
    session: &mut Session,
    ask: &Ask,
    clouds: &[Cloud],
    place: &Place,
) -> Result<Token, Failed> {
    let token = session.token(ask).await?;
    let written = place.write(TOKEN_FILE, token.value.expose());
    written.map_err(Failed::Local)?;
    if !clouds.is_empty() {
        let own = session.beside(ask).await?;
        cloud::refresh(clouds, session, own.as_ref().unwrap_or(&token), place).await?;
    }
    Ok(token)
}

/// A time without answers. Its beginning and its end are told, and that the token ended meanwhile.
#[derive(Default)]
struct Outage {
    backoff: Backoff,
    told: bool,
    told_end: bool,
}

impl Outage {
    fn goes_on(
        &mut self,
        failed: Failed,
        expires: Timestamp,
        now: Timestamp,
        dice: Dice,
    ) -> Duration {
        let retry_after = match &failed {
            Failed::Unknown { retry_after, .. } => *retry_after,
            Failed::Refused(_) | Failed::NoEvidence(_) | Failed::Local(_) => None,
        };
        if !self.told {
            self.told = true;
            let what = super::super::CliError::from(failed);
            say(&format!(
                "the token could not be renewed yet: {what}; trying on"
            ));
        }
        if now >= expires && !self.told_end {
            self.told_end = true;
            say("the token has ended, and nobody answered in time; nothing was refused, trying on");
        }
        self.backoff.next(retry_after, dice)
    }

    fn ends(&self) {
        if self.told {
            say("the token is renewed again");
        }
    }
}

const SOONEST: Duration = Duration::from_millis(500);
