//! The proxies in front of a listener: which networks they are in, and how they tell the client's address.

use ipnet::IpNet;
use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::Text;
use crate::surface::http::proxies::{Proxies, Tell};

/// Both keys, or none.
pub(super) fn check(
    networks: Option<&Spanned<Vec<Text>>>,
    client_address: Option<&Text>,
    findings: &mut Findings<'_>,
) -> Option<Proxies> {
    match (networks, client_address) {
        (None, None) => Some(Proxies::default()),
        (Some(list), Some(text)) => {
            let tell = findings.choice(text, "client_address", &WAYS);
            Some(Proxies::new(self::networks(list, findings), tell?))
        }
        (Some(given), None) => {
            let what = "`client_address` is missing beside it";
            findings.refuse(given.span(), Rule::Missing, what);
            None
        }
        (None, Some(given)) => {
            let what = "`proxies` is missing beside it: anybody could say it";
            findings.refuse(given.span(), Rule::Missing, what);
            None
        }
    }
}

fn networks(list: &Spanned<Vec<Text>>, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in list.get_ref() {
        let Some(network) = findings.parsed::<IpNet>(text, Rule::Value) else {
            continue;
        };
        let least = match network {
            IpNet::V4(_) => 8,
            IpNet::V6(_) => 16,
        };
        if network.prefix_len() < least {
            let what = "the network holds more than proxies of yours";
            findings.refuse(text.span(), Rule::NetworkTooWide, what);
        }
        // Compared with addresses in their own family, it would match nobody.
        if matches!(network, IpNet::V6(v6) if v6.network().to_ipv4_mapped().is_some()) {
            let what = "this is a network of IPv4: write it as one";
            findings.refuse(text.span(), Rule::Value, what);
        }
        networks.push(network);
    }
    if list.get_ref().is_empty() {
        findings.refuse(list.span(), Rule::EmptyList, "there is no proxy");
    }
    networks
}

const WAYS: [(&str, Tell); 3] = [
    ("proxy-protocol", Tell::ProxyProtocol),
    ("forwarded", Tell::Forwarded),
    ("x-forwarded-for", Tell::XForwardedFor),
];
