//! Traces: where they go, and of how many requests. Nothing else switches them on, no variable of the
//! environment either.

use http::{HeaderName, header};
use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawTelemetry, Text};
use super::{files, source};
use crate::attest::settings::PeerRules;
use crate::domain::url::BaseUrl;
use crate::telemetry::settings::{CollectorToken, Sampling, TraceSettings};

pub(super) fn check(raw: &RawTelemetry, findings: &mut Findings<'_>) -> Option<TraceSettings> {
    let endpoint = endpoint(&raw.endpoint, findings);
    let sampling = sampling(raw.sampling.as_ref(), findings);
    let header = raw.token_header.as_ref();
    let file = raw.token_file.as_ref();
    let token = file.map(|file| token(file, header, findings));
    if let (None, Some(text)) = (&token, header) {
        let what = "`token_header` is given without `token_file`";
        findings.refuse(text.span(), Rule::Contradiction, what);
    }
    let peer = source::peer_rules(&raw.allowed_networks, raw.ca_file.as_ref(), findings);
    let PeerRules { networks, roots } = peer;
    Some(TraceSettings {
        endpoint: endpoint?,
        sampling: sampling?,
        token: match token {
            Some(checked) => Some(checked?),
            None => None,
        },
        networks,
        roots,
    })
}

/// An agent on this machine is spoken to in plain HTTP by custom; its traces go no further than that.
fn endpoint(text: &Text, findings: &mut Findings<'_>) -> Option<BaseUrl> {
    let url: BaseUrl = findings.parsed(text, Rule::Url)?;
    if !url.is_https() && !url.is_loopback() {
        let what = "whoever is on the way could read the traces, and the token";
        findings.refuse(text.span(), Rule::PlainHttpCollector, what);
    }
    Some(url)
}

fn sampling(share: Option<&Spanned<f64>>, findings: &mut Findings<'_>) -> Option<Sampling> {
    let (share, at) = match share {
        Some(share) => (*share.get_ref(), share.span()),
        None => (DEFAULT_SHARE, 0..0),
    };
    let sampling = Sampling::new(share);
    if sampling.is_err() {
        let what = "`sampling` is not between 0 and 1";
        findings.refuse(at, Rule::OutOfRange, what);
    }
    sampling.ok()
}

fn token(file: &Text, named: Option<&Text>, findings: &mut Findings<'_>) -> Option<CollectorToken> {
    let header = named.map(|text| header(text, findings));
    let secret = files::secret(findings, file)?;
    let header = match header {
        Some(checked) => Some(checked?),
        None => None,
    };
    Some(CollectorToken { secret, header })
}

fn header(text: &Text, findings: &mut Findings<'_>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.get_ref().as_bytes()).ok();
    let name = name.filter(|name| !TAKEN.contains(name));
    if name.is_none() {
        let what = "no token can be sent in a header of this name";
        findings.refuse(text.span(), Rule::Value, what);
    }
    name
}

/// One in ten.
const DEFAULT_SHARE: f64 = 0.1;

/// Headers that say where a message goes, where it ends and what is in it.
const TAKEN: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::UPGRADE,
];
