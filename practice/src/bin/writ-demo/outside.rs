//! Time and randomness of the demo's clients. They stand outside the broker, so both are the
//! system's; nothing else in this binary reads either.

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use time::OffsetDateTime;

use crate::trouble::Trouble;

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a client's clock is the system's"
)]
pub(crate) fn unix_seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// `N` random bytes in hexadecimal.
#[expect(
    clippy::disallowed_methods,
    reason = "a client's randomness is the system's"
)]
pub(crate) fn random_hex<const N: usize>() -> Result<String, Trouble> {
    let mut bytes = [0_u8; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Trouble::Random)?;
    Ok(hex::encode(bytes))
}

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo measures the broker from outside"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks again, every `pause`, until there is an answer or `limit` has passed.
pub(crate) async fn poll<T>(
    what: &str,
    pause: Duration,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Trouble>,
) -> Result<T, Trouble> {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        if watch.elapsed() >= limit {
            return Err(Trouble::unmet(
                what,
                format!("within {limit:?}"),
                "it did not happen",
            ));
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_never_happens_is_an_unmet_expectation_and_not_a_hang() {
        let never: Result<(), _> =
            poll("rain", Duration::ZERO, Duration::ZERO, async || Ok(None)).await;
        let Err(Trouble::Unmet { what, .. }) = never else {
            panic!("it ended otherwise");
        };
        assert_eq!(what, "rain");
    }
}
