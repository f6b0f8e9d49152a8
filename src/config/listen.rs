//! The listeners: plain HTTP stays on this machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use toml::Spanned;

use super::findings::{Bounds, Findings};
use super::problem::Rule;
use super::proxies;
use super::raw::{RawListen, Text};
use super::tls::RawTls;
use crate::surface::settings::{AdminSocket, ListenSettings};

pub(super) fn check(
    section: &Spanned<RawListen>,
    findings: &mut Findings<'_>,
) -> Option<ListenSettings> {
    let raw = section.get_ref();
    let address = address(&raw.address, findings);
    let metrics_given = raw.metrics.as_ref();
    let metrics = metrics_given.map(|text| self::address(text, findings));
    let raw_tls = RawTls {
        certificate: raw.certificate.as_ref(),
        key: raw.key.as_ref(),
        issued_for: raw.issued_for.as_ref(),
    };
    let tls = raw_tls.check(findings);
    if let Some(address) = address
        && !address.ip().is_loopback()
        && !raw_tls.is_given()
    {
        let what = "tokens would cross the network in plain HTTP";
        findings.refuse(raw.address.span(), Rule::PlainHttpExposed, what);
    }
    if let (Some(text), Some(address), Some(Some(metrics))) = (metrics_given, address, metrics)
        && address == metrics
        && address.port() != 0
    {
        let what = "`metrics` has the address of the API";
        findings.refuse(text.span(), Rule::Contradiction, what);
    }
    let told = raw.client_address.as_ref();
    let proxies = proxies::check(raw.proxies.as_ref(), told, findings);
    let admin = admin(raw, findings);
    let drain = findings.duration(raw.drain.as_ref(), &DRAIN);
    let most = raw.max_connections.as_ref();
    let connections = findings.number(most, "max_connections", 1..=65_536, 2048);
    Some(ListenSettings {
        address: address?,
        tls,
        proxies: proxies?,
        metrics: metrics.flatten(),
        admin,
        drain: drain?,
        max_connections: usize::try_from(connections?).ok()?,
    })
}

/// Whether every listener is on loopback.
pub(super) fn is_private(listen: &ListenSettings) -> bool {
    let listeners = [Some(listen.address), listen.metrics];
    let mut addresses = listeners.into_iter().flatten();
    addresses.all(|address| address.ip().is_loopback())
}

pub(super) fn address(text: &Text, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let address = text.get_ref().parse().ok();
    if address.is_none() {
        let what = "this is not an IP address with a port, such as \"127.0.0.1:8443\"";
        findings.refuse(text.span(), Rule::Value, what);
    }
    address
}

fn admin(raw: &RawListen, findings: &mut Findings<'_>) -> Option<AdminSocket> {
    let uids = raw.admin_uids.as_ref();
    match (&raw.admin_socket, uids) {
        (Some(path), uids) => Some(AdminSocket {
            path: findings.path(path),
            uids: uids.map_or_else(BTreeSet::new, |u| u.get_ref().iter().copied().collect()),
        }),
        (None, Some(uids)) => {
            let what = "`admin_uids` is given without `admin_socket`";
            findings.refuse(uids.span(), Rule::Contradiction, what);
            None
        }
        (None, None) => None,
    }
}

const DRAIN: Bounds = Bounds {
    key: "drain",
    least: Duration::from_secs(1),
    most: Duration::from_mins(5),
    default: Duration::from_secs(20),
    rule: Rule::OutOfRange,
};
