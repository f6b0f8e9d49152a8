//! The sources: whose evidence counts, and where the state of their runs is read. An issuer is one
//! URL and an audience is this broker's alone; a pattern for either would let strangers in.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use toml::Spanned;

use super::check::{Scene, distinct};
use super::findings::{Bounds, Findings};
use super::mapping;
use super::problem::Rule;
use super::raw::{RawApi, RawSource, Text};
use super::{api, files};
use crate::attest::preset::Preset;
use crate::attest::settings::{IssuerSettings, PeerRules};
use crate::context::settings::{ApiSettings, HookSecret, SourceSettings};
use crate::domain::grant::Audience;
use crate::domain::url::BaseUrl;

pub(super) fn check(
    raw: &[Spanned<RawSource>],
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> (Vec<IssuerSettings>, Vec<SourceSettings>) {
    distinct(raw.iter().map(|s| &s.get_ref().name), "source", findings);
    let mut issuers = Vec::new();
    let mut sources = Vec::new();
    let mut taken = BTreeSet::new();
    for section in raw {
        let Some((issuer, source)) = one(section.get_ref(), scene, findings) else {
            continue;
        };
        if !taken.insert(issuer.issuer.clone()) {
            let at = section.get_ref().issuer.span();
            let what = "another source has this issuer";
            findings.refuse(at, Rule::SourceAmbiguous, what);
        }
        issuers.push(issuer);
        sources.push(source);
    }
    (issuers, sources)
}

/// Refuses SVIDs of anybody else: whose rows they rest on could not be read.
pub(super) fn own_svids(raw: &[Spanned<RawSource>], issuer: &BaseUrl, findings: &mut Findings<'_>) {
    let sources = raw.iter().map(Spanned::get_ref);
    for source in sources.filter(|source| preset_of(source) == Some(Preset::JwtSvid)) {
        if source.issuer.get_ref() != issuer.as_str() {
            let what =
                format!("only this broker's own SVIDs are taken, and their issuer is {issuer}");
            findings.refuse(source.issuer.span(), Rule::Value, what);
        }
    }
}

/// The preset that a source names, for checks elsewhere; what is wrong with it is reported here.
pub(super) fn preset_of(raw: &RawSource) -> Option<Preset> {
    let named = raw.preset.get_ref();
    Preset::ALL.into_iter().find(|p| p.as_str() == named)
}

fn one(
    raw: &RawSource,
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<(IssuerSettings, SourceSettings)> {
    let name = findings.parsed(&raw.name, Rule::Name);
    let presets = Preset::ALL.map(|preset| (preset.as_str(), preset));
    let preset = findings.choice(&raw.preset, "preset", &presets);
    if let Some(preset) = preset {
        mapping::check(raw, preset, findings);
    }
    let issuer = url(&raw.issuer, scene, findings);
    let audience = audience(raw, scene, findings);
    let algorithms = algorithms(raw.algorithms.as_ref(), preset, findings);
    let max_token_age = findings.duration(raw.max_token_age.as_ref(), &token_age(preset));
    let peer = peer_rules(&raw.allowed_networks, raw.ca_file.as_ref(), findings);
    let webhook_secrets = webhook_secrets(raw, preset, findings);
    let api = raw.api.as_ref();
    let api = api.map(|section| self::api(section, preset, &peer, scene, findings));
    let name: crate::domain::name::SourceName = name?;
    let preset = preset?;
    let source = SourceSettings {
        name: name.clone(),
        preset,
        api: match api {
            Some(checked) => Some(checked?),
            None => None,
        },
        webhook_secrets,
    };
    let issuer = IssuerSettings {
        name,
        vocabulary: mapping::vocabulary(raw, preset),
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        max_token_age: max_token_age?,
        peer,
    };
    Some((issuer, source))
}

/// The secrets in the form in which the vendor's webhooks show them.
fn webhook_secrets(
    raw: &RawSource,
    preset: Option<Preset>,
    findings: &mut Findings<'_>,
) -> Vec<HookSecret> {
    let mut secrets = Vec::new();
    for file in &raw.webhook_secret_files {
        if preset.is_some_and(|preset| !preset.sends_webhooks()) {
            let what = "nobody would ever show this secret";
            findings.refuse(file.span(), Rule::HooksUnsupported, what);
            continue;
        }
        let (Some(secret), Some(preset)) = (files::secret(findings, file), preset) else {
            continue;
        };
        match HookSecret::of(preset, secret) {
            Ok(secret) => secrets.push(secret),
            Err(bad) => findings.refuse(file.span(), Rule::Value, bad.to_string()),
        }
    }
    secrets
}

fn api(
    section: &Spanned<RawApi>,
    preset: Option<Preset>,
    peer: &PeerRules,
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<ApiSettings> {
    let raw = section.get_ref();
    if preset.is_some_and(|preset| !preset.can_be_pulled()) {
        let what = "the broker cannot read this vendor's API";
        findings.refuse(section.span(), Rule::PullUnsupported, what);
    }
    let named = api::Named {
        section: section.span(),
        url: &raw.url,
        token_file: raw.token_file.as_ref(),
        token_secret: raw.token_secret.as_ref(),
    };
    api::check(&named, peer.clone(), scene, findings)
}

pub(super) fn url(text: &Text, scene: &Scene, findings: &mut Findings<'_>) -> Option<BaseUrl> {
    let url: BaseUrl = findings.parsed(text, Rule::Url)?;
    let stays_here = url.is_loopback() && scene.private;
    if !url.is_https() && !stays_here {
        let what = "what is read there in plain HTTP could be anybody's word";
        findings.refuse(text.span(), Rule::PlainHttpSource, what);
    }
    Some(url)
}

fn audience(raw: &RawSource, scene: &Scene, findings: &mut Findings<'_>) -> Option<Audience> {
    let Some(text) = &raw.audience else {
        return scene.issuer.as_ref()?.as_str().parse().ok();
    };
    let wanted = text.get_ref();
    if wanted.is_empty() {
        let what = "a source without an audience would take tokens meant for others";
        findings.refuse(text.span(), Rule::AudienceEmpty, what);
        return None;
    }
    let foreign = SHARED_AUDIENCES.contains(&wanted.as_str())
        || wanted.starts_with("https://github.com/")
        || wanted == raw.issuer.get_ref();
    if foreign || wanted.contains("/jkt/") {
        let what = "tokens with this audience are made for other services, or end in /jkt/";
        findings.refuse(text.span(), Rule::AudienceShared, what);
        return None;
    }
    findings.parsed(text, Rule::Value)
}

/// The algorithm of an issuer that is configured with none.
const fn usual(preset: Option<Preset>) -> Algorithm {
    match preset {
        Some(Preset::JwtSvid) => Algorithm::ES256,
        _ => Algorithm::RS256,
    }
}

/// The algorithms that are named; the usual one where none is.
pub(super) fn algorithms(
    list: Option<&Spanned<Vec<Text>>>,
    preset: Option<Preset>,
    findings: &mut Findings<'_>,
) -> Option<Vec<Algorithm>> {
    let Some(list) = list else {
        return Some(vec![usual(preset)]);
    };
    if list.get_ref().is_empty() {
        findings.refuse(list.span(), Rule::EmptyList, "no algorithm is named");
        return None;
    }
    let mut all = Vec::new();
    for text in list.get_ref() {
        let wanted = text.get_ref();
        if wanted.starts_with("HS") || wanted == "none" {
            let what = "whoever can verify with this algorithm can also sign";
            findings.refuse(text.span(), Rule::AlgorithmSymmetric, what);
            continue;
        }
        match wanted.parse() {
            Ok(algorithm) => all.push(algorithm),
            Err(_) => findings.refuse(text.span(), Rule::Value, "this algorithm is not known"),
        }
    }
    (all.len() == list.get_ref().len()).then_some(all)
}

/// How a service may be reached.
pub(super) fn peer_rules(
    allowed: &[Text],
    ca_file: Option<&Text>,
    findings: &mut Findings<'_>,
) -> PeerRules {
    let mut networks = Vec::new();
    for text in allowed {
        let Some(network) = findings.parsed::<IpNet>(text, Rule::Value) else {
            continue;
        };
        let (least, metadata) = match network {
            IpNet::V4(_) => (8, network.contains(&METADATA)),
            IpNet::V6(v6) => (16, v6.network().is_unicast_link_local()),
        };
        if network.prefix_len() < least || metadata {
            let what = "the network holds more than a service of yours";
            findings.refuse(text.span(), Rule::NetworkTooWide, what);
        }
        networks.push(network);
    }
    PeerRules {
        networks,
        roots: ca_file.and_then(|file| files::authorities(findings, file)),
    }
}

/// Where a job has one token for as long as it runs, it may want to show it late.
fn token_age(preset: Option<Preset>) -> Bounds {
    let once = preset.is_some_and(|preset| !preset.mints_again());
    Bounds {
        default: if once {
            TOKEN_AGE.most
        } else {
            TOKEN_AGE.default
        },
        ..TOKEN_AGE
    }
}

const TOKEN_AGE: Bounds = Bounds {
    key: "max_token_age",
    least: Duration::from_secs(10),
    most: Duration::from_hours(1),
    default: Duration::from_mins(10),
    rule: Rule::OutOfRange,
};

/// Audiences under which CI systems hand tokens to well-known other services.
pub(super) const SHARED_AUDIENCES: [&str; 4] = [
    "sigstore",
    "sts.amazonaws.com",
    "api://AzureADTokenExchange",
    "pypi",
];

/// Where clouds answer any process of a machine with its credentials.
const METADATA: std::net::IpAddr =
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));
