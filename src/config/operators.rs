//! Operators who are elsewhere: where they come in, whose word about them counts, and which ids have which
//! role. A pattern, a name or a job's issuer would let in whoever can come to fit it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use toml::Spanned;

use super::check::Scene;
use super::findings::{Bounds, Findings};
use super::listen;
use super::problem::Rule;
use super::proxies;
use super::raw::{RawOperators, RawRole, RawSource, Text};
use super::source::{self, peer_rules};
use super::tls::RawTls;
use crate::attest::operator::RoleRule;
use crate::attest::settings::OperatorSettings;
use crate::domain::role::Role;
use crate::domain::url::BaseUrl;
use crate::mint::settings::SvidSettings;
use crate::surface::settings::{ListenSettings, OperatorListener};

/// The listener. Its certificate is the public one's where it has none of its own.
pub(super) fn listener(
    raw: &RawOperators,
    public: Option<&ListenSettings>,
    findings: &mut Findings<'_>,
) -> Option<OperatorListener> {
    let address = listen::address(&raw.address, findings);
    let raw_tls = RawTls {
        certificate: raw.certificate.as_ref(),
        key: raw.key.as_ref(),
        issued_for: raw.issued_for.as_ref(),
    };
    let given = raw_tls.is_given();
    let own = raw_tls.check(findings);
    let tls = own.or_else(|| public?.tls.clone().filter(|_| !given));
    let address = address?;
    if tls.is_none() && !given && !address.ip().is_loopback() {
        let what = "operators' tokens would cross the network in plain HTTP";
        findings.refuse(raw.address.span(), Rule::PlainHttpExposed, what);
    }
    let taken = |other: SocketAddr| other == address && address.port() != 0;
    if public.is_some_and(|p| taken(p.address) || p.metrics.is_some_and(taken)) {
        let what = "another listener has this address: operators have one of their own";
        findings.refuse(raw.address.span(), Rule::Contradiction, what);
    }
    let told = raw.client_address.as_ref();
    let proxies = proxies::check(raw.proxies.as_ref(), told, findings)?;
    Some(OperatorListener {
        address,
        tls,
        proxies,
    })
}

/// Those whose tokens are given to workloads, beside the broker itself.
pub(super) fn issuers_of_workloads<'a>(
    sources: &'a [Spanned<RawSource>],
    svids: Option<&'a SvidSettings>,
) -> Vec<&'a str> {
    let sources = sources.iter().map(|s| s.get_ref().issuer.get_ref());
    let own = svids.map(|svids| svids.issuer.as_str());
    sources.map(String::as_str).chain(own).collect()
}

pub(super) fn check(
    section: &Spanned<RawOperators>,
    workloads: &[&str],
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<OperatorSettings> {
    let raw = section.get_ref();
    let issuer = source::url(&raw.issuer, scene, findings);
    let wanted = raw.issuer.get_ref().as_str();
    let own = |own: &BaseUrl| wanted.starts_with(own.as_str());
    if workloads.contains(&wanted) || scene.issuer.as_ref().is_some_and(own) {
        let what = "workloads have tokens of this issuer";
        findings.refuse(raw.issuer.span(), Rule::OperatorsIssuerShared, what);
    }
    let client_id = client_id(&raw.client_id, scene, findings);
    let scopes = scopes(raw.scopes.as_ref(), findings);
    let algorithms = source::algorithms(raw.algorithms.as_ref(), None, findings);
    let max_token_age = findings.duration(raw.max_token_age.as_ref(), &TOKEN_AGE);
    let groups_claim = groups_claim(raw.groups_claim.as_ref(), findings);
    let roles = roles(section, findings);
    let peer = peer_rules(&raw.allowed_networks, raw.ca_file.as_ref(), findings);
    Some(OperatorSettings {
        issuer: issuer?,
        client_id: client_id?,
        scopes: scopes?,
        algorithms: algorithms?,
        max_token_age: max_token_age?,
        groups_claim: groups_claim?,
        roles: roles?,
        peer,
    })
}

fn client_id(text: &Text, scene: &Scene, findings: &mut Findings<'_>) -> Option<String> {
    let wanted = text.get_ref();
    if !is_plain(wanted) {
        findings.refuse(text.span(), Rule::Value, "this is not the id of a client");
        return None;
    }
    let own = scene.issuer.as_ref()?.as_str();
    if wanted.starts_with(own) || source::SHARED_AUDIENCES.contains(&wanted.as_str()) {
        let what = "jobs ask for tokens with this audience";
        findings.refuse(text.span(), Rule::AudienceShared, what);
        return None;
    }
    Some(wanted.clone())
}

/// RFC 6749 §3.3, with `openid`, without which there is no ID token.
fn scopes(list: Option<&Spanned<Vec<Text>>>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let mut all = vec![OPENID.to_owned()];
    for text in list.map(Spanned::get_ref).into_iter().flatten() {
        let scope = text.get_ref();
        if !is_plain(scope) || scope.contains(['"', '\\']) {
            findings.refuse(text.span(), Rule::Value, "this is not a scope");
            return None;
        }
        if scope != OPENID {
            all.push(scope.clone());
        }
    }
    Some(all)
}

fn groups_claim(text: Option<&Text>, findings: &mut Findings<'_>) -> Option<String> {
    let Some(text) = text else {
        return Some("groups".to_owned());
    };
    if NAMES.contains(&text.get_ref().as_str()) {
        let what = "this claim holds a name that its bearer may change";
        findings.refuse(text.span(), Rule::OperatorByName, what);
        return None;
    }
    if !is_plain(text.get_ref()) {
        findings.refuse(text.span(), Rule::Value, "this is not the name of a claim");
        return None;
    }
    Some(text.get_ref().clone())
}

fn roles(section: &Spanned<RawOperators>, findings: &mut Findings<'_>) -> Option<Vec<RoleRule>> {
    let raw = section.get_ref();
    if raw.role.is_empty() {
        let what = "nobody has a role: give an `[operators.role.NAME]`";
        findings.refuse(section.span(), Rule::EmptyList, what);
        return None;
    }
    let before = findings.count();
    let rules = raw.role.iter();
    let rules: Vec<_> = rules
        .filter_map(|(name, role)| rule(name, role.get_ref(), findings))
        .collect();
    (findings.count() == before).then_some(rules)
}

fn rule(name: &Text, raw: &RawRole, findings: &mut Findings<'_>) -> Option<RoleRule> {
    let roles = Role::ALL.map(|role| (role.as_str(), role));
    let role = findings.choice(name, "role", &roles)?;
    if raw.subjects.is_empty() && raw.groups.is_empty() {
        let what = "the role has neither `subjects` nor `groups`";
        findings.refuse(name.span(), Rule::EmptyList, what);
    }
    Some(RoleRule {
        role,
        subjects: ids(&raw.subjects, findings),
        groups: ids(&raw.groups, findings),
    })
}

fn ids(list: &[Text], findings: &mut Findings<'_>) -> BTreeSet<String> {
    for text in list {
        let id = text.get_ref();
        let pattern = id.contains(['*', '?']) || id.starts_with('^') || id.ends_with('$');
        if pattern {
            let what = "this reads as a pattern";
            findings.refuse(text.span(), Rule::MatchPattern, what);
        } else if id.contains('@') {
            let what = "this is an e-mail address or another name";
            findings.refuse(text.span(), Rule::OperatorByName, what);
        } else if !is_plain(id) {
            let what = "this is empty, too long, or has other characters than ids have";
            findings.refuse(text.span(), Rule::Value, what);
        }
    }
    list.iter().map(|text| text.get_ref().clone()).collect()
}

fn is_plain(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

const OPENID: &str = "openid";

/// Claims of OpenID Connect Core §5.1, and of providers, that people or their administrators change.
const NAMES: [&str; 11] = [
    "email",
    "preferred_username",
    "nickname",
    "name",
    "given_name",
    "family_name",
    "upn",
    "unique_name",
    "username",
    "phone_number",
    "cognito:username",
];

const TOKEN_AGE: Bounds = Bounds {
    key: "max_token_age",
    least: Duration::from_mins(1),
    most: Duration::from_hours(12),
    default: Duration::from_hours(1),
    rule: Rule::OutOfRange,
};
