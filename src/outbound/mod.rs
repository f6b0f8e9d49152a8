//! The only way out: every call to another system is made here, under one set of rules.
//!
//! A [`Peer`] is tied to one [`Origin`] for good. It speaks HTTPS (plain HTTP only to a loopback origin, and
//! only where that is switched on), connects only to addresses that [`address`] lets through, never follows a
//! redirect, reads no more than its cap, and ends at its deadline. What must stay true: no text that came from
//! outside (a token, a discovery document, a webhook) can choose where a request goes.

pub mod address;
mod body;
pub mod breaker;
mod certificate;
mod client;
mod error;
mod flight;
mod origin;
mod peer;
mod probe;
mod resolve;
mod rules;
pub(crate) mod tls;
#[cfg(test)]
mod trap;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use crate::seams::Clock;
use breaker::{Breaker, BreakerSettings};

pub use certificate::{BadCertificate, ClientCertificate};
pub use error::{OutboundError, Rule, SetupError};
pub use origin::{Origin, OriginError};
pub use peer::{Peer, Response};
pub use probe::Blocked;
pub use resolve::{Lookup, SystemLookup};
pub use rules::{Content, Credential, CredentialError, Form, Rules, Shown, Slot, Trust};

/// What holds for every peer.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// Whether an origin that names loopback may be spoken to without TLS.
    pub plain_http_on_loopback: bool,
    /// The platform's trusted certificate authorities, one PEM file.
    pub platform_roots: PathBuf,
    /// How long a connection attempt may take, TLS included.
    pub connect: Duration,
    /// How long any one call may take, however late its caller's deadline is.
    pub total: Duration,
    /// How many calls to one peer may be under way; the rest wait until their deadline.
    pub in_flight: usize,
    pub breaker: BreakerSettings,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            plain_http_on_loopback: false,
            platform_roots: tls::system_roots(),
            connect: Duration::from_secs(2),
            total: Duration::from_secs(10),
            in_flight: 32,
            breaker: BreakerSettings::default(),
        }
    }
}

/// The client: makes peers, and keeps one circuit breaker per origin across them.
pub struct Outbound {
    settings: OutboundSettings,
    clock: Arc<dyn Clock>,
    lookup: Arc<dyn Lookup>,
    breakers: Mutex<HashMap<Origin, Weak<Breaker>>>,
}

impl Outbound {
    /// A client that resolves names as the platform does.
    pub fn new(settings: OutboundSettings, clock: Arc<dyn Clock>) -> Self {
        Self::with_lookup(settings, clock, Arc::new(SystemLookup))
    }

    /// A client with its own source of name answers; the address rules judge those answers all the same.
    pub fn with_lookup(
        settings: OutboundSettings,
        clock: Arc<dyn Clock>,
        lookup: Arc<dyn Lookup>,
    ) -> Self {
        Self {
            settings,
            clock,
            lookup,
            breakers: Mutex::new(HashMap::new()),
        }
    }

    /// A peer for `origin` under `rules`. Reads certificate files, so it belongs to start-up and reload.
    ///
    /// # Errors
    /// The origin may not be spoken to (plain HTTP, a forbidden address), or the certificates cannot be used.
    pub fn client_for(&self, origin: Origin, rules: Rules) -> Result<Peer, SetupError> {
        let plain_allowed = origin.is_loopback() && self.settings.plain_http_on_loopback;
        if !origin.is_https() && !plain_allowed {
            return Err(SetupError::Refused(Rule::PlainHttp));
        }
        let policy = address::Policy::new(&origin, rules.networks.clone());
        if let Some(literal) = origin.address() {
            policy
                .check(literal)
                .map_err(|kind| SetupError::Refused(Rule::Address(kind)))?;
        }
        let resolver = resolve::Checked::new(Arc::clone(&self.lookup), policy);
        let certificate = rules.shown.certificate();
        if certificate.is_some() && !origin.is_https() {
            return Err(SetupError::Refused(Rule::PlainHttp));
        }
        // Without TLS there is nothing to trust, and no file of authorities is needed.
        let trust = origin.is_https().then_some(&rules.trust);
        let tls = tls::client_config(&self.settings, trust, certificate, &self.clock)?;
        let client = client::build(&self.settings, tls, resolver)?;
        let breaker = self.breaker(&origin);
        Ok(Peer::new(origin, rules, client, breaker, self))
    }

    fn breaker(&self, origin: &Origin) -> Arc<Breaker> {
        let mut known = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = known.get(origin).and_then(Weak::upgrade) {
            return breaker;
        }
        known.retain(|_, breaker| breaker.strong_count() > 0);
        let breaker = Arc::new(Breaker::new(
            self.settings.breaker.clone(),
            self.settings.connect,
            Arc::clone(&self.clock),
        ));
        known.insert(origin.clone(), Arc::downgrade(&breaker));
        breaker
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
