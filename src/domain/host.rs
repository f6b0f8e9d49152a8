//! What a server is reached by: one DNS name or one address, in the spelling that certificates and clients
//! compare. A pattern is neither.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A host's name, or its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Lower case, without a dot at the end.
    Name(Box<str>),
    Address(IpAddr),
}

/// The text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host is an IP address, or a DNS name of a-z 0-9 - in labels of 1 to 63, without a pattern"
)]
pub struct BadHost;

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        // What ends in a number is taken for an address by some (RFC 6943 §3.1.1), and never is a name.
        let last = text.rsplit('.').next().unwrap_or(text);
        let number = last.bytes().all(|b| b.is_ascii_digit());
        if text.len() <= LONGEST && !number && text.split('.').all(is_label) {
            return Ok(Self::Name(text.into()));
        }
        Err(BadHost)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Host {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// RFC 1123 §2.1.
fn is_label(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 1035 §2.3.4, as text.
const LONGEST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_or_address_is_a_host_and_a_pattern_or_a_second_spelling_is_not() {
        for text in [
            "writ.example.org",
            "writ",
            "xn--bcher-kva.example",
            "10.0.0.5",
            "::1",
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        // An address is one address, however it was written.
        let mapped = "::ffff:10.0.0.5".parse::<Host>().unwrap();
        assert_eq!(mapped.to_string(), "10.0.0.5");
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["a".repeat(60); 5].join(".");
        for text in [
            "",
            ".",
            "writ.example.",
            "writ..example",
            "*.example.org",
            "Writ.example.org",
            "writ.example.org:8443",
            "https://writ.example.org",
            "-writ.example",
            "writ-.example",
            "wr_it.example",
            "bücher.example",
            "10.0.0.256",
            "10.0.0",
            "[::1]",
            "10.0.0.0/8",
            &long,
            &longer,
        ] {
            assert_eq!(text.parse::<Host>(), Err(BadHost), "{text}");
        }
    }
}
