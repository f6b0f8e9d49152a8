//! The raw file as a whole: each section by its own check, then what holds between sections.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;

use super::findings::{Bounds, Findings};
use super::problem::Rule;
use super::raw::{RawFile, RawKeys, Text};
use super::resource_server::{self, Around};
use super::{Config, Marks, desk, files, listen, operators, profile, source, svid, telemetry};
use crate::broker::settings::{BrokerSettings, KeyLocation, Limits, PolicyText, PolicyTexts};
use crate::domain::url::BaseUrl;
use crate::store::settings::StoreSettings;
use crate::surface::settings::{ListenSettings, OperatorListener, TlsSource};

/// What a check of one section needs to know of the others.
#[derive(Debug)]
pub(super) struct Scene {
    /// The broker's own issuer, where it could be read.
    pub(super) issuer: Option<BaseUrl>,
    /// Whether nobody but this machine can reach the broker.
    pub(super) private: bool,
}

pub(super) fn file(raw: &RawFile, findings: &mut Findings<'_>) -> Option<Config> {
    let trust_domain = findings
        .given(raw.trust_domain.as_ref(), "trust_domain")
        .and_then(|text| findings.parsed(text, Rule::Name));
    let (scene, listen, door) = front(raw, findings);
    let sqlite = findings
        .given(raw.store.as_ref(), "store")
        .map(|section| findings.path(&section.sqlite));
    let (keys, rotate_after) = keys(raw.keys.as_ref(), findings);
    let staleness = findings.duration(raw.limits.staleness.as_ref(), &STALENESS);
    let svids = svid::check(raw.svid.as_ref(), &scene, findings);
    let traces = raw.telemetry.as_ref();
    let traces = traces.map(|section| telemetry::check(section, findings));
    let policies = policies(raw, findings);
    let (issuers, sources) = source::check(&raw.source, &scene, findings);
    if let Some(svids) = &svids {
        source::own_svids(&raw.source, &svids.issuer, findings);
    }
    let desks = desk::check(&raw.desk, &raw.source, &scene, findings);
    let operators = raw.operators.as_ref().map(|section| {
        let workloads = operators::issuers_of_workloads(&raw.source, svids.as_ref());
        let settings = operators::check(section, &workloads, &scene, findings);
        door.zip(settings)
    });
    let profiles = profile::check(&raw.profile, &raw.source, &raw.desk, &desks, findings);
    let around = Around::new(&profiles, trust_domain.as_ref(), listen.as_ref());
    let resource_servers = resource_server::check(&raw.resource_server, &around, findings);
    if issuers.is_empty() || profiles.is_empty() || (!policies.shipped && policies.own.is_empty()) {
        let what = "as it stands, nobody is granted anything";
        findings.warn(0..0, Rule::NothingGranted, what);
    }
    let online = resource_servers.iter().flat_map(|s| s.audiences.clone());
    Some(Config {
        broker: BrokerSettings {
            trust_domain: trust_domain?,
            issuer: scene.issuer?,
            profiles,
            online: online.collect(),
            limits: Limits {
                staleness: staleness?,
            },
            svids: svids?,
        },
        policies,
        issuers,
        sources,
        desks,
        listen: listen?,
        operators: match operators {
            Some(checked) => Some(checked?),
            None => None,
        },
        resource_servers,
        store: StoreSettings { sqlite: sqlite? },
        keys: keys?,
        rotate_after: rotate_after?,
        traces: traces.map_or(Some(None), |checked| checked.map(Some))?,
        marks: Marks::default(),
        warnings: Vec::new(),
    })
}

/// Parses each item; an item that two lines repeat is there once.
pub(super) fn set<T>(items: &[Text], rule: Rule, findings: &mut Findings<'_>) -> BTreeSet<T>
where
    T: std::str::FromStr<Err: std::fmt::Display> + Ord,
{
    let parsed = items.iter().filter_map(|item| findings.parsed(item, rule));
    parsed.collect()
}

/// Refuses the second and every further use of a name.
pub(super) fn distinct<'t>(
    names: impl Iterator<Item = &'t Text>,
    kind: &str,
    findings: &mut Findings<'_>,
) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.get_ref()) {
            let what = format!("a second {kind} has the name `{name}`");
            findings.refuse(name.span(), Rule::Duplicate, what);
        }
    }
}

/// The listeners and the issuer, which have to fit each other.
fn front(
    raw: &RawFile,
    findings: &mut Findings<'_>,
) -> (Scene, Option<ListenSettings>, Option<OperatorListener>) {
    let issuer: Option<BaseUrl> = findings
        .given(raw.issuer.as_ref(), "issuer")
        .and_then(|text| findings.parsed(text, Rule::Url));
    let listen = findings
        .given(raw.listen.as_ref(), "listen")
        .and_then(|section| listen::check(section, findings));
    let door = raw.operators.as_ref().map(Spanned::get_ref);
    let door = door.and_then(|raw| operators::listener(raw, listen.as_ref(), findings));
    // One that is reached from elsewhere without TLS is refused for itself.
    let here = |door: &OperatorListener| door.tls.is_none() || door.address.ip().is_loopback();
    let private = listen.as_ref().is_some_and(listen::is_private) && door.as_ref().is_none_or(here);
    if let (Some(text), Some(issuer), Some(listen)) = (&raw.issuer, &issuer, &listen) {
        let stays_here = listen.tls.is_none() && private && issuer.is_loopback();
        if !issuer.is_https() && !stays_here {
            findings.refuse(text.span(), Rule::IssuerScheme, "the issuer is not https");
        }
    }
    if let (Some(issuer), Some(listen)) = (&issuer, &listen) {
        own_certificate(raw, issuer, listen, findings);
    }
    (Scene { issuer, private }, listen, door)
}

/// A certificate that the broker issues to itself should fit the URL that clients know it by.
fn own_certificate(
    raw: &RawFile,
    issuer: &BaseUrl,
    listen: &ListenSettings,
    findings: &mut Findings<'_>,
) {
    let said = raw.listen.as_ref();
    let said = said.and_then(|section| section.get_ref().issued_for.as_ref());
    if let (Some(said), Some(TlsSource::Issued(hosts))) = (said, &listen.tls)
        && !hosts.iter().any(|host| host.to_string() == issuer.host())
    {
        let what = format!("`{}`, the issuer's host, is not among them", issuer.host());
        findings.warn(said.span(), Rule::IssuerNotNamed, what);
    }
}

/// Where the key-encryption key is, and at which age the others are replaced.
fn keys(
    raw: Option<&Spanned<RawKeys>>,
    findings: &mut Findings<'_>,
) -> (Option<KeyLocation>, Option<Duration>) {
    let location = findings
        .given(raw, "keys")
        .and_then(|section| key_location(section.get_ref(), section.span(), findings));
    let rotation = raw.and_then(|section| section.get_ref().rotate_after.as_ref());
    (location, findings.duration(rotation, &ROTATION))
}

fn key_location(
    raw: &RawKeys,
    at: std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<KeyLocation> {
    match (&raw.file, &raw.descriptor) {
        (Some(file), None) => Some(KeyLocation::File(findings.path(file))),
        (None, Some(number)) => {
            let number = findings.number(Some(number), "descriptor", 3..=1023, 3)?;
            i32::try_from(number).ok().map(KeyLocation::Descriptor)
        }
        (None, None) => {
            let what = "neither `file` nor `descriptor` is given";
            findings.refuse(at, Rule::Missing, what);
            None
        }
        (Some(_), Some(number)) => {
            let what = "both `file` and `descriptor` are given";
            findings.refuse(number.span(), Rule::Contradiction, what);
            None
        }
    }
}

fn policies(raw: &RawFile, findings: &mut Findings<'_>) -> PolicyTexts {
    distinct(raw.policies.iter(), "policy file", findings);
    let mut own = Vec::new();
    for name in &raw.policies {
        if let Some(text) = files::text(findings, name) {
            own.push(PolicyText {
                name: name.get_ref().clone(),
                text,
            });
        }
    }
    PolicyTexts {
        shipped: raw.shipped_policies.unwrap_or(true),
        own,
    }
}

const ROTATION: Bounds = Bounds {
    key: "rotate_after",
    least: Duration::from_hours(1),
    most: Duration::from_hours(24 * 365),
    default: Duration::from_hours(24 * 30),
    rule: Rule::OutOfRange,
};

const STALENESS: Bounds = Bounds {
    key: "staleness",
    least: Duration::from_secs(1),
    most: Duration::from_secs(30),
    default: Duration::from_secs(5),
    rule: Rule::OutOfRange,
};
