//! Where the objects of tracing are made, if it is configured: the tracer that the listeners hold, and what
//! carries its spans away.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time;

use crate::cli::wire::StartError;
use crate::config::Config;
use crate::jobs::traces::{Collector, export};
use crate::outbound::{Content, Form, Origin, Outbound, OutboundSettings, Rules, Shown, Trust};
use crate::seams::{Clock, Entropy, SystemEntropy};
use crate::telemetry::otlp::Resource;
use crate::telemetry::settings::TraceSettings;
use crate::telemetry::trace::Tracer;

/// What carries spans to the collector. It ends by itself a moment after the last holder of the tracer is gone.
pub(super) struct Sending(Option<JoinHandle<()>>);

/// The tracer, where there is to be one, and what sends what it sees.
pub(super) fn traces(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<Arc<Tracer>>, Sending), StartError> {
    let Some(settings) = &config.traces else {
        return Ok((None, Sending(None)));
    };
    let collector = collector(settings, clock, &SystemEntropy)?;
    let entropy = Arc::new(SystemEntropy);
    let (tracer, queue) = Tracer::new(settings.sampling, Arc::clone(clock), entropy);
    let sending = tokio::spawn(export(collector, queue));
    Ok((Some(tracer), Sending(Some(sending))))
}

impl Sending {
    /// Lets the last spans reach the collector, if that is quickly done.
    pub(super) async fn end(self) {
        let Some(mut sending) = self.0 else {
            return;
        };
        if time::timeout(FLUSH, &mut sending).await.is_err() {
            tracing::warn!("the collector did not take the last traces in time");
            sending.abort();
        }
    }
}

/// Whoever takes the traces. Plain HTTP is switched on for it alone.
pub(super) fn collector(
    settings: &TraceSettings,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Collector, StartError> {
    let endpoint = settings.endpoint.as_str();
    let named = |why| StartError::Peer {
        name: "the collector of traces".to_owned(),
        why,
    };
    let (origin, path) = Origin::split(&format!("{endpoint}/v1/traces"))
        .map_err(|_| StartError::Address(endpoint.to_owned()))?;
    let outbound = Outbound::new(
        OutboundSettings {
            plain_http_on_loopback: !origin.is_https(),
            ..OutboundSettings::default()
        },
        Arc::clone(clock),
    );
    let peer = outbound.client_for(origin, rules(settings)?);
    let mut instance = [0; 16];
    entropy.fill(&mut instance);
    Ok(Collector {
        peer: peer.map_err(named)?,
        path,
        resource: Resource {
            version: env!("CARGO_PKG_VERSION"),
            instance: hex::encode(instance),
        },
        clock: Arc::clone(clock),
    })
}

fn rules(settings: &TraceSettings) -> Result<Rules, StartError> {
    let shown = match &settings.token {
        None => Shown::Nothing,
        Some(token) => {
            let form = token.header.clone().map_or(Form::Bearer, Form::Header);
            let shown = form.of(&token.secret).map_err(|why| StartError::Token {
                name: "the collector of traces".to_owned(),
                why,
            })?;
            Shown::This(shown)
        }
    };
    let roots = settings.roots.clone();
    Ok(Rules {
        networks: settings.networks.clone(),
        trust: roots.map_or(Trust::Platform, Trust::PlatformAnd),
        shown,
        max_body: MOST_ANSWER,
        content: Content::Any,
    })
}

/// A collector says little.
const MOST_ANSWER: usize = 64 * 1024;

/// A stop waits no longer than this for a collector.
const FLUSH: Duration = Duration::from_secs(3);
