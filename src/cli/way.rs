//! The way out of this machine, for a client: the one HTTP client of `outbound`, trusting what the
//! system trusts, and going where its user says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::CliError;
use crate::domain::time::Timestamp;
use crate::outbound::{Blocked, Origin, Outbound, OutboundSettings, Peer, Rules, SetupError};
use crate::seams::{Clock, Entropy};

/// How to reach others, with the clock and the dice of the process.
pub(super) struct Way {
    outbound: Outbound,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Way {
    pub(super) fn new(
        ca_file: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let usual = OutboundSettings::default();
        let settings = OutboundSettings {
            plain_http_on_loopback: true,
            platform_roots: ca_file.unwrap_or(usual.platform_roots),
            connect: CONNECT,
            total: REQUEST,
            ..usual
        };
        Self {
            outbound: Outbound::new(settings, Arc::clone(&clock)),
            clock,
            entropy,
        }
    }

    /// A peer anywhere: unlike a server, which calls where a document says, this goes where the one
    /// who started it says, and that may be a private network.
    pub(super) fn peer(&self, origin: Origin, rules: Rules) -> Result<Peer, CliError> {
        let rules = anywhere(rules);
        let place = origin.to_string();
        self.outbound.client_for(origin, rules).map_err(|error| {
            let hint = if matches!(error, SetupError::Roots { .. } | SetupError::NoRoots { .. }) {
                "\n  to mend: name the authorities' file with --ca-file or SSL_CERT_FILE"
            } else {
                ""
            };
            CliError::Usage(format!("{place} cannot be asked: {error}{hint}"))
        })
    }

    /// How far the way to an origin goes, anywhere too.
    pub(super) async fn probe(&self, origin: &Origin) -> Result<SocketAddr, Blocked> {
        self.outbound.probe(origin, &anywhere(Rules::json())).await
    }

    /// The latest time for an answer to what is asked now.
    pub(super) fn soon(&self) -> Timestamp {
        self.clock.now().plus(REQUEST)
    }
}

fn anywhere(rules: Rules) -> Rules {
    let networks = ["0.0.0.0/0", "::/0"].into_iter().flat_map(str::parse);
    Rules {
        networks: networks.collect(),
        ..rules
    }
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
