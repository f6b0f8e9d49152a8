//! Whom a broker asks: the issuers of its evidence, and the APIs of its sources. Each is asked as the broker
//! itself asks it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::super::wire_sources::{Tokens, api, desk_api, keys};
use super::super::wire_traces;
use super::Report;
use crate::attest::jwks::KeyFault;
use crate::attest::preset::Preset;
use crate::config::Config;
use crate::context::desk::DeskSettings;
use crate::context::rest::RestApi;
use crate::context::settings::{ApiToken, SourceSettings};
use crate::jobs::traces::Unsent;
use crate::outbound::{Outbound, OutboundError};
use crate::seams::{Clock, SystemEntropy};
use crate::telemetry::settings::TraceSettings;

/// Reads each issuer's keys as the broker itself does.
pub(super) async fn issuers(
    config: &Config,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) {
    for issuer in &config.issuers {
        let check = format!("issuer {}", issuer.name);
        let url = issuer.issuer.as_str();
        let keys = match keys(issuer, outbound, clock) {
            Ok(keys) => keys,
            Err(error) => {
                report.here(&check, error.to_string(), "mend the source's settings");
                continue;
            }
        };
        let Some(algorithm) = issuer.algorithms.first() else {
            continue;
        };
        match keys.key(NO_KEY, *algorithm).await {
            Ok(_) | Err(KeyFault::Unknown) => report.sound(&check, format!("{url} gives its keys")),
            Err(KeyFault::Unavailable(why)) => report.there(
                &check,
                format!("the keys of {url} cannot be read: {why}"),
                "see that this machine may reach it (allowed_networks, ca_file) and that the URL is the issuer's own",
            ),
        }
    }
}

/// Asks a source's API about the token that it is asked with.
pub(super) async fn source_api(
    source: &SourceSettings,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) {
    let check = format!("API of {}", source.name);
    let Some(settings) = &source.api else {
        return;
    };
    // What each vendor answers about the token itself.
    let path = match source.preset {
        Preset::GithubActions => "/rate_limit",
        Preset::GitlabCi => "/personal_access_tokens/self",
        Preset::Kubernetes => "/version",
        Preset::JwtSvid | Preset::Oidc => return,
    };
    if is_told_elsewhere(&check, &settings.token, report) {
        return;
    }
    match api(source, outbound, &mut Tokens::default()) {
        Ok(Some(rest)) => asked(&check, &rest, path, clock, report).await,
        Ok(None) => {}
        Err(error) => report.here(&check, error.to_string(), "mend `[source.api]`"),
    }
}

/// Asks a desk about a case that nobody opened: whether it is there does not matter.
pub(super) async fn desk(
    desk: &DeskSettings,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) {
    let check = format!("API of {}", desk.name);
    if is_told_elsewhere(&check, &desk.api.token, report) {
        return;
    }
    match desk_api(desk, outbound, &mut Tokens::default()) {
        Ok(rest) => asked(&check, &rest, &desk.case.path.of(NO_CASE), clock, report).await,
        Err(error) => report.here(&check, error.to_string(), "mend `[desk.api]`"),
    }
}

fn is_told_elsewhere(check: &str, token: &ApiToken, report: &mut Report) -> bool {
    let ApiToken::Stored(path) = token else {
        return false;
    };
    report.sound(
        check,
        format!("not asked here: its token is the running broker's secret {path}"),
    );
    true
}

async fn asked(
    check: &str,
    rest: &RestApi,
    path: &str,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) {
    let accept = header::HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
    let path = format!("{}{path}", rest.root);
    let until = clock.now().plus(PATIENCE);
    match rest.peer.ask(Method::GET, &path, headers, Bytes::new(), until).await {
        Err(error) => report.there(check, error.to_string(), "see that `url` is the root of the API and that this machine may reach it (allowed_networks, ca_file)"),
        Ok(answer) => match answer.status.as_u16() {
            401 | 403 => report.here(
                check,
                format!("it does not take the token (status {})", answer.status.as_u16()),
                "put a token that is in force into `token_file`, with the rights that the reference names",
            ),
            500.. => report.there(check, format!("it answers {}", answer.status.as_u16()), "wait, or ask whoever runs it"),
            _ => report.sound(check, "it takes the token"),
        },
    }
}

/// Whether traces would be taken. The broker works without them.
pub(super) async fn collector(
    settings: &TraceSettings,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) {
    const CHECK: &str = "collector of traces";
    let endpoint = settings.endpoint.as_str();
    let collector = match wire_traces::collector(settings, clock, &SystemEntropy) {
        Ok(collector) => collector,
        Err(error) => {
            report.here(CHECK, error.to_string(), "mend `[telemetry]`");
            return;
        }
    };
    match collector.take(&[]).await {
        Ok(_) => report.sound(CHECK, format!("{endpoint} takes traces")),
        Err(Unsent::Outbound(OutboundError::Status(status @ (401 | 403)))) => report.unwise(
            CHECK,
            format!("it does not take the token (status {status}): traces are dropped"),
            "put a token that is in force into `token_file`, and see `token_header`",
        ),
        Err(error) => report.unwise(
            CHECK,
            format!("{endpoint}: {error}: traces are dropped"),
            "see that it runs, that this machine may reach it (allowed_networks, ca_file), and that it is a receiver of OTLP over HTTP",
        ),
    }
}

/// An id that no issuer gives a key: the set is read to look for it.
const NO_KEY: &str = "writ doctor";
const NO_CASE: &str = "0";
const PATIENCE: Duration = Duration::from_secs(20);
