//! Keeps the broker's own certificate for one listener: made at the start, and anew at half of its life, or at
//! once when its authority is withdrawn. What could not be renewed is shown on, and tried again.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::broker::own_certificate::OwnCertificate;
use crate::domain::host::Host;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// Keeps one certificate.
pub struct OwnCertificates {
    broker: Arc<Broker>,
    hosts: Vec<Host>,
    current: Option<Arc<OwnCertificate>>,
    /// After a failure it is not asked for with every look.
    not_before: Timestamp,
}

impl OwnCertificates {
    pub const fn new(broker: Arc<Broker>, hosts: Vec<Host>) -> Self {
        Self {
            broker,
            hosts,
            current: None,
            not_before: Timestamp::EPOCH,
        }
    }

    /// The next certificate, if one is due: it is to be shown from now on.
    ///
    /// # Errors
    /// It could not be made: what there is stays.
    pub async fn run(&mut self, now: Timestamp) -> Result<Option<Arc<OwnCertificate>>, Error> {
        let current = self.current.as_ref();
        if now < self.not_before || current.is_some_and(|it| !self.is_due(it, now)) {
            return Ok(None);
        }
        self.not_before = now.plus(RETRY);
        let made = Arc::new(self.broker.certify_own(&self.hosts).await?);
        self.not_before = now;
        self.current = Some(Arc::clone(&made));
        Ok(Some(made))
    }

    fn is_due(&self, current: &OwnCertificate, now: Timestamp) -> bool {
        let life = current.expires_at.since(current.issued_at);
        now >= current.issued_at.plus(life / 2) || !self.broker.is_trusted(current)
    }
}

/// Many times in what is left of the certificate that is shown.
const RETRY: Duration = Duration::from_secs(30);
