//! The device flow (RFC 8628): a code is shown here and entered on any device that has a browser, while this
//! one asks whether it was.

use std::time::Duration;

use serde::Deserialize;

use super::super::CliError;
use super::super::out::complain;
use super::super::text::plain;
use super::provider::{Failed, Provider, Token};
use crate::outbound::OutboundError;

/// RFC 8628 §3.2.
#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default = "usual_interval")]
    interval: u64,
}

/// What to do about an answer that is no token (RFC 8628 §3.5).
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait,
    WaitLonger,
    GiveUp,
}

pub(super) async fn run(provider: &Provider) -> Result<Token, CliError> {
    let client = ("client_id", provider.client_id.as_str());
    let asked = [client, ("scope", provider.scope.as_str())];
    let started: Started = provider.device(&asked).await?;
    tell(&started);
    let clock = &provider.way.clock;
    let patience = Duration::from_secs(started.expires_in).min(PATIENCE);
    let end = clock.now().plus(patience);
    let mut interval = Duration::from_secs(started.interval).clamp(LEAST, MOST);
    let form = [
        client,
        ("grant_type", GRANT),
        ("device_code", started.device_code.as_str()),
    ];
    loop {
        let next = clock.now().plus(interval);
        if next >= end {
            let what = "nobody entered the code in time: run `writ login` again";
            return Err(CliError::Login(what.to_owned()));
        }
        clock.sleep_until(next).await;
        match provider.token(&form, None).await {
            Ok(token) => return Ok(token),
            Err(failed) => match next_after(&failed) {
                Next::Wait => {}
                Next::WaitLonger => interval = (interval + SLOWER).min(MOST),
                Next::GiveUp => return Err(failed.into()),
            },
        }
    }
}

fn next_after(failed: &Failed) -> Next {
    match failed {
        Failed::Said(said) if said.error == "authorization_pending" => Next::Wait,
        Failed::Said(said) if said.error == "slow_down" => Next::WaitLonger,
        Failed::Unanswered(
            OutboundError::Unreachable | OutboundError::TimedOut | OutboundError::Open(_),
        ) => Next::WaitLonger,
        Failed::Said(_) | Failed::Unanswered(_) | Failed::Other(_) => Next::GiveUp,
    }
}

/// The page and the code, where somebody sits. Where nobody does, nobody enters it either.
fn tell(started: &Started) {
    let (page, code) = (plain(&started.verification_uri), plain(&started.user_code));
    let mut text = format!("open   {page}\nenter  {code}");
    if let Some(whole) = &started.verification_uri_complete {
        text = format!("{text}\nor     {}", plain(whole));
    }
    complain(&text).ok();
}

const fn usual_interval() -> u64 {
    5
}

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const PATIENCE: Duration = Duration::from_mins(30);
const SLOWER: Duration = Duration::from_secs(5);
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: &str) -> Failed {
        Failed::Said(serde_json::from_value(serde_json::json!({ "error": error })).unwrap())
    }

    #[test]
    fn only_what_may_still_come_is_waited_for() {
        assert_eq!(next_after(&said("authorization_pending")), Next::Wait);
        assert_eq!(next_after(&said("slow_down")), Next::WaitLonger);
        let cut = Failed::Unanswered(OutboundError::TimedOut);
        assert_eq!(next_after(&cut), Next::WaitLonger);
        for over in ["access_denied", "expired_token", "invalid_grant", ""] {
            assert_eq!(next_after(&said(over)), Next::GiveUp, "{over}");
        }
    }
}
