//! Services that ask about tokens: which audiences are theirs, and what each is known by.

use std::collections::BTreeSet;

use super::check::distinct;
use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawResourceServer, Text};
use crate::domain::grant::Audience;
use crate::domain::identity::{SpiffeId, TrustDomain};
use crate::domain::place::Place;
use crate::domain::profile::TaskProfile;
use crate::surface::settings::{ListenSettings, ResourceServer};

/// What the check needs to know of the rest of the file.
#[derive(Debug)]
pub(super) struct Around<'a> {
    profiles: &'a [TaskProfile],
    trust_domain: Option<&'a TrustDomain>,
    /// Whether a client can show a certificate at all.
    tls: bool,
}

impl<'a> Around<'a> {
    pub(super) fn new(
        profiles: &'a [TaskProfile],
        trust_domain: Option<&'a TrustDomain>,
        listen: Option<&ListenSettings>,
    ) -> Self {
        Self {
            profiles,
            trust_domain,
            tls: listen.is_some_and(|listen| listen.tls.is_some()),
        }
    }
}

pub(super) fn check(
    raw: &[RawResourceServer],
    around: &Around<'_>,
    findings: &mut Findings<'_>,
) -> Vec<ResourceServer> {
    distinct(raw.iter().map(|s| &s.name), "resource server", findings);
    // One workload that is two servers would be told what neither of them alone is.
    let workloads = raw.iter().filter_map(|s| s.spiffe_id.as_ref());
    distinct(workloads, "workload of a resource server", findings);
    let granted: BTreeSet<&Audience> = around
        .profiles
        .iter()
        .flat_map(|profile| profile.grants.values())
        .flat_map(|grant| &grant.audiences)
        .collect();
    let mut known = Vec::new();
    for server in raw {
        let audiences = audiences(server, &granted, findings);
        let name = findings.parsed(&server.name, Rule::Name);
        let secret = server.secret_sha256.as_ref();
        let secret = secret.map(|text| findings.parsed(text, Rule::Value));
        let workload = server.spiffe_id.as_ref();
        let workload = workload.map(|text| self::workload(text, around, findings));
        if secret.is_none() && workload.is_none() {
            let what = "neither `secret_sha256` nor `spiffe_id` is given";
            findings.refuse(server.name.span(), Rule::Missing, what);
        }
        let place = place(server, findings);
        if let Some(name) = name {
            known.push(ResourceServer {
                name,
                audiences,
                secret: secret.flatten(),
                workload: workload.flatten(),
                place,
            });
        }
    }
    known
}

/// Where the server stands: words, each with a value that is compared whole.
fn place(server: &RawResourceServer, findings: &mut Findings<'_>) -> Place {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    for (name, text) in &server.place {
        let word = name.get_ref();
        if !(1..=63).contains(&word.len()) || !word.bytes().all(plain) {
            let what = "what is said of a place is named by small letters, digits and `_`";
            findings.refuse(name.span(), Rule::Value, what);
        }
        let value = text.get_ref();
        if !(1..=128).contains(&value.len()) || value.chars().any(char::is_control) {
            let what = "what is said of a place has 1 to 128 bytes and no control characters";
            findings.refuse(text.span(), Rule::Value, what);
        }
    }
    let said = server.place.iter();
    Place::new(said.map(|(name, text)| (name.get_ref().clone(), text.get_ref().clone())))
}

/// The workload whose certificate counts: one that this broker certifies, where one can be shown.
fn workload(text: &Text, around: &Around<'_>, findings: &mut Findings<'_>) -> Option<SpiffeId> {
    let id: SpiffeId = findings.parsed(text, Rule::Value)?;
    if around.trust_domain.is_some_and(|domain| !domain.holds(&id)) {
        let what = "the workload is not of this trust domain, so that nobody here certifies it";
        findings.refuse(text.span(), Rule::Value, what);
    } else if !around.tls {
        let what = "the listener has no certificate, so that no client can show one";
        findings.refuse(text.span(), Rule::CertificateWithoutTls, what);
    }
    Some(id)
}

fn audiences(
    server: &RawResourceServer,
    granted: &BTreeSet<&Audience>,
    findings: &mut Findings<'_>,
) -> BTreeSet<Audience> {
    let mut audiences = BTreeSet::new();
    for text in server.audiences.get_ref() {
        let Some(audience) = findings.parsed::<Audience>(text, Rule::Value) else {
            continue;
        };
        if !granted.contains(&audience) {
            let what = format!("no profile grants `{audience}`");
            findings.warn(text.span(), Rule::AudienceUnused, what);
        }
        audiences.insert(audience);
    }
    if server.audiences.get_ref().is_empty() {
        let what = "the resource server has no audience";
        findings.refuse(server.audiences.span(), Rule::EmptyList, what);
    }
    audiences
}
