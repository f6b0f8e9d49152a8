//! The proxies in front of a listener, by their addresses, and how they tell whose request they forward. An
//! address is not an identity: what is told here is for records and logs, and decides nothing.

use std::net::IpAddr;

use http::{HeaderMap, header};
use ipnet::IpNet;

use crate::surface::http::forwarded::{X_FORWARDED_FOR, hops};
use crate::surface::http::peer::Peer;

/// The proxies of one listener. By default there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    tell: Tell,
}

/// How a proxy tells the client's address. There is no "maybe": who is listed does, and nobody else is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tell {
    /// By the header of the PROXY protocol, before TLS: a connection without it is closed.
    #[default]
    ProxyProtocol,
    /// In `Forwarded` of each request (RFC 7239).
    Forwarded,
    /// In `X-Forwarded-For` of each request.
    XForwardedFor,
}

impl Proxies {
    pub const fn new(networks: Vec<IpNet>, tell: Tell) -> Self {
        Self { networks, tell }
    }

    /// Whether this is the address of a listed proxy.
    pub fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whether a connection from there begins with a PROXY header.
    pub(super) fn introduces(&self, address: IpAddr) -> bool {
        self.tell == Tell::ProxyProtocol && self.lists(address)
    }

    /// The client's address, as far back as listed proxies vouch for it; nobody on this machine has one.
    pub(super) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let near = peer.client()?;
        let name = match self.tell {
            Tell::ProxyProtocol => return Some(near),
            Tell::Forwarded => header::FORWARDED,
            Tell::XForwardedFor => X_FORWARDED_FOR,
        };
        let mut client = near;
        for hop in hops(headers, &name) {
            if !self.lists(client) {
                break;
            }
            // A proxy that hides whom it was asked by is as far as can be seen.
            let Some(hop) = hop else { break };
            client = hop;
        }
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(tell: Tell) -> Proxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().unwrap());
        Proxies::new(networks.to_vec(), tell)
    }

    /// Who is behind a request from there, with this header.
    fn behind(from: &str, told: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        let addr = format!("{from}:1").parse().unwrap();
        let peer = Peer::Tcp { addr, behind: None };
        let client = proxies(Tell::XForwardedFor).client(&peer, &headers);
        client.unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_nearest_hop_that_is_no_listed_proxy() {
        assert_eq!(behind("10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(
            behind("10.0.0.1", &["203.0.113.7, 10.9.9.9"]),
            "203.0.113.7"
        );
        assert_eq!(behind("[2001:db8:1::7]", &["203.0.113.7"]), "203.0.113.7");
        // By whichever socket the proxy came.
        assert_eq!(behind("[::ffff:10.0.0.1]", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(behind("10.0.0.1", &["::ffff:203.0.113.7"]), "203.0.113.7");
        // The client is a proxy, or there is none behind it.
        assert_eq!(behind("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(behind("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_eq!(behind("10.0.0.1", &["1.2.3.4, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(
            behind("10.0.0.1", &["10.0.0.2", "203.0.113.7"]),
            "203.0.113.7"
        );
        assert_eq!(behind("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &["1.2.3.4, 10.0.0.9, x"]), "10.0.0.1");
        // From anyone else nothing is read.
        assert_eq!(behind("198.51.100.1", &["203.0.113.7"]), "198.51.100.1");
        assert_eq!(
            behind("[::ffff:198.51.100.1]", &["203.0.113.7"]),
            "198.51.100.1"
        );
    }

    #[test]
    fn headers_are_not_read_where_the_proxies_use_another_way() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, "203.0.113.7".parse().unwrap());
        headers.append(header::FORWARDED, "for=203.0.113.8".parse().unwrap());
        let peer = Peer::Tcp {
            addr: "10.0.0.1:1".parse().unwrap(),
            behind: None,
        };
        let told = |proxies: Proxies| proxies.client(&peer, &headers).unwrap().to_string();
        assert_eq!(told(proxies(Tell::ProxyProtocol)), "10.0.0.1");
        assert_eq!(told(proxies(Tell::Forwarded)), "203.0.113.8");
        assert_eq!(told(proxies(Tell::XForwardedFor)), "203.0.113.7");
        assert_eq!(told(Proxies::default()), "10.0.0.1");
    }
}
