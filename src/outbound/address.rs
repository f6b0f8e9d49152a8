//! Which addresses a call out may connect to.
//!
//! By default only globally reachable unicast addresses (the IANA special-purpose registries of RFC 6890 are
//! the list). An internal peer is reached by naming its network in the rules of that peer; an origin that names
//! loopback reaches loopback and nothing else. Judged on the address that is about to be connected to, never on
//! the name, so that a changing DNS answer gains nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Origin;

/// Why an address is not simply allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    Unspecified,
    Loopback,
    Private,
    /// RFC 6598: shared behind a provider's translation.
    Shared,
    /// Includes the metadata service of cloud machines, `169.254.169.254`.
    LinkLocal,
    Multicast,
    Reserved,
    /// An IPv6 address that stands for an IPv4 one by translation or tunnel.
    Translated,
    /// Asked for loopback by name and given something else.
    NotLoopback,
}

/// What one peer may connect to.
#[derive(Clone, Debug)]
pub(super) enum Policy {
    Loopback,
    PublicAnd(Vec<IpNet>),
}

impl Policy {
    pub(super) fn new(origin: &Origin, networks: Vec<IpNet>) -> Self {
        if origin.is_loopback() {
            Self::Loopback
        } else {
            Self::PublicAnd(networks)
        }
    }

    pub(super) fn check(&self, address: IpAddr) -> Result<(), AddressKind> {
        let address = address.to_canonical();
        match (self, special(address)) {
            (Self::Loopback, Some(AddressKind::Loopback)) | (Self::PublicAnd(_), None) => Ok(()),
            (Self::Loopback, _) => Err(AddressKind::NotLoopback),
            (
                Self::PublicAnd(_),
                Some(never @ (AddressKind::Unspecified | AddressKind::Multicast)),
            ) => Err(never),
            (Self::PublicAnd(networks), Some(kind)) => {
                if networks.iter().any(|network| network.contains(&address)) {
                    Ok(())
                } else {
                    Err(kind)
                }
            }
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "a loopback address",
            Self::Private => "private",
            Self::Shared => "in shared address space",
            Self::LinkLocal => "link-local",
            Self::Multicast => "a multicast address",
            Self::Reserved => "reserved",
            Self::Translated => "a translated or tunnelled address",
            Self::NotLoopback => "not a loopback address",
        })
    }
}

fn special(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(address) => find(V4, |network| network.contains(&address)),
        IpAddr::V6(address) => find(V6, |network| network.contains(&address)).or_else(|| {
            // Everything outside global unicast (RFC 4291 §2.4) that has no name above is unassigned.
            (!GLOBAL_UNICAST.contains(&address)).then_some(AddressKind::Reserved)
        }),
    }
}

fn find<N>(table: &[(N, AddressKind)], holds: impl Fn(&N) -> bool) -> Option<AddressKind> {
    table
        .iter()
        .find(|(network, _)| holds(network))
        .map(|(_, kind)| *kind)
}

const fn v4(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
}

const fn v6(first: u16, second: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), length)
}

const V4: &[(Ipv4Net, AddressKind)] = &[
    (v4(0, 0, 0, 8), AddressKind::Unspecified),
    (v4(10, 0, 0, 8), AddressKind::Private),
    (v4(100, 64, 0, 10), AddressKind::Shared),
    (v4(127, 0, 0, 8), AddressKind::Loopback),
    (v4(169, 254, 0, 16), AddressKind::LinkLocal),
    (v4(172, 16, 0, 12), AddressKind::Private),
    (v4(192, 0, 0, 24), AddressKind::Reserved),
    (v4(192, 0, 2, 24), AddressKind::Reserved),
    (v4(192, 88, 99, 24), AddressKind::Translated),
    (v4(192, 168, 0, 16), AddressKind::Private),
    (v4(198, 18, 0, 15), AddressKind::Reserved),
    (v4(198, 51, 100, 24), AddressKind::Reserved),
    (v4(203, 0, 113, 24), AddressKind::Reserved),
    (v4(224, 0, 0, 4), AddressKind::Multicast),
    (v4(240, 0, 0, 4), AddressKind::Reserved),
];

const V6: &[(Ipv6Net, AddressKind)] = &[
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128),
        AddressKind::Unspecified,
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        AddressKind::Loopback,
    ),
    (v6(0x0064, 0xff9b, 32), AddressKind::Translated),
    (v6(0x2001, 0, 23), AddressKind::Reserved),
    (v6(0x2001, 0x0db8, 32), AddressKind::Reserved),
    (v6(0x2002, 0, 16), AddressKind::Translated),
    (v6(0x3fff, 0, 20), AddressKind::Reserved),
    (v6(0xfc00, 0, 7), AddressKind::Private),
    (v6(0xfe80, 0, 10), AddressKind::LinkLocal),
    (v6(0xfec0, 0, 10), AddressKind::Private),
    (v6(0xff00, 0, 8), AddressKind::Multicast),
];

const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &[&str], address: &str) -> Result<(), AddressKind> {
        let networks = networks.iter().map(|n| n.parse().unwrap()).collect();
        Policy::PublicAnd(networks).check(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_reached_unasked() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1",
            "::ffff:9.9.9.9",
        ] {
            assert_eq!(check(&[], address), Ok(()), "{address}");
        }
        for (address, kind) in [
            ("0.0.0.0", AddressKind::Unspecified),
            ("127.8.8.8", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("192.168.0.1", AddressKind::Private),
            ("169.254.169.254", AddressKind::LinkLocal),
            ("100.64.0.1", AddressKind::Shared),
            ("224.0.0.1", AddressKind::Multicast),
            ("255.255.255.255", AddressKind::Reserved),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::ffff:169.254.169.254", AddressKind::LinkLocal),
            ("::127.0.0.1", AddressKind::Reserved),
            ("64:ff9b::7f00:1", AddressKind::Translated),
            ("2002:7f00:1::", AddressKind::Translated),
            ("fd00:ec2::254", AddressKind::Private),
            ("fe80::1", AddressKind::LinkLocal),
            ("ff02::1", AddressKind::Multicast),
        ] {
            assert_eq!(check(&[], address), Err(kind), "{address}");
        }
    }

    #[test]
    fn a_named_network_opens_itself_and_nothing_else() {
        let networks = ["10.20.0.0/16", "127.0.0.0/8"];
        assert_eq!(check(&networks, "10.20.3.4"), Ok(()));
        assert_eq!(check(&networks, "::ffff:10.20.3.4"), Ok(()));
        assert_eq!(check(&networks, "10.21.3.4"), Err(AddressKind::Private));
        assert_eq!(
            check(&["0.0.0.0/0"], "0.0.0.0"),
            Err(AddressKind::Unspecified)
        );
        assert_eq!(
            check(&["0.0.0.0/0"], "224.0.0.1"),
            Err(AddressKind::Multicast)
        );
    }

    #[test]
    fn an_origin_naming_loopback_reaches_nothing_else() {
        let origin = Origin::parse("http://localhost:1").unwrap();
        let policy = Policy::new(&origin, vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(policy.check("127.0.0.1".parse().unwrap()), Ok(()));
        for address in ["1.1.1.1", "10.0.0.1", "169.254.169.254"] {
            let answer = policy.check(address.parse().unwrap());
            assert_eq!(answer, Err(AddressKind::NotLoopback), "{address}");
        }
    }
}
