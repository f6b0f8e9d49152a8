//! What tracing is told. Values here have passed the lint of the configuration.

use http::HeaderName;
use ipnet::IpNet;

use crate::domain::secret::Secret;
use crate::domain::url::BaseUrl;

/// Where traces go, and how many.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's OTLP/HTTP receiver; `/v1/traces` is below it.
    pub endpoint: BaseUrl,
    pub sampling: Sampling,
    /// What the collector is shown, if it asks for anything.
    pub token: Option<CollectorToken>,
    /// Networks beyond the public ones that its name may resolve into.
    pub networks: Vec<IpNet>,
    /// Certificate authorities in PEM that are trusted for it beside the platform's.
    pub roots: Option<Vec<u8>>,
}

/// A collector's token, and where it looks for it: in `Authorization: Bearer` if no header is named.
#[derive(Debug, Clone)]
pub struct CollectorToken {
    pub secret: Secret,
    pub header: Option<HeaderName>,
}

/// The share of requests that are traced, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling(f64);

/// The number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is from 0 to 1")]
pub struct BadShare;

impl Sampling {
    pub fn new(share: f64) -> Result<Self, BadShare> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self(share));
        }
        Err(BadShare)
    }

    /// Whether a request that drew this lot is one of them.
    pub fn takes(self, lot: u32) -> bool {
        f64::from(lot) < self.0 * LOTS
    }
}

/// How many lots there are.
const LOTS: f64 = 4_294_967_296.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_that_many_lots() {
        let takes = |share, lot| Sampling::new(share).unwrap().takes(lot);
        assert!(takes(1.0, u32::MAX) && !takes(0.0, 0));
        assert!(takes(0.5, u32::MAX / 2) && !takes(0.5, u32::MAX / 2 + 1));
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampling::new(bad), Err(BadShare), "{bad}");
        }
    }
}
