//! The one maker of HTTP clients, and the one reader of their errors.

use std::{error::Error as _, time::Duration};

use rustls::ClientConfig;

use super::{
    OutboundError, OutboundSettings, Rule, SetupError,
    resolve::{AddressRefused, Checked},
};

/// The HTTP client of one peer: no redirects, no proxy of the environment, no repeats, no other addresses.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that makes HTTP clients"
)]
pub(super) fn build(
    settings: &OutboundSettings,
    tls: ClientConfig,
    resolver: Checked,
) -> Result<reqwest::Client, SetupError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .dns_resolver(resolver)
        .connect_timeout(settings.connect)
        .pool_max_idle_per_host(settings.in_flight)
        .pool_idle_timeout(IDLE_CONNECTION)
        .http2_max_header_list_size(ANSWER_HEADERS)
        .user_agent(concat!("writ/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(SetupError::Client)
}

/// What an error of the HTTP client means for us; its text, which may hold the URL, ends here.
pub(super) fn failure(error: &reqwest::Error) -> OutboundError {
    let mut cause = error.source();
    while let Some(link) = cause {
        if let Some(AddressRefused(kind)) = link.downcast_ref() {
            return OutboundError::Refused(Rule::Address(*kind));
        }
        cause = link.source();
    }
    if error.is_timeout() {
        OutboundError::TimedOut
    } else {
        OutboundError::Unreachable
    }
}

/// After this the name is resolved, and its address judged, again.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// Bytes of headers that an HTTP/2 answer may have.
const ANSWER_HEADERS: u32 = 64 * 1024;
