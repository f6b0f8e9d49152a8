//! The address of a service, in the one spelling that is compared byte for byte with what the
//! service says of itself. A pattern is not an address: nothing here matches more than one host.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// An absolute `https` or `http` URL without user, query, fragment or trailing slash, in normal form:
/// the issuer identifier of RFC 8414 §2, or the root of an API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUrl {
    text: Box<str>,
    https: bool,
    loopback: bool,
    host: Box<str>,
}

/// Why a text is not the address of one service. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("this is not an absolute URL")]
    Syntax,
    #[error("the scheme is neither https nor http")]
    Scheme,
    #[error("a user, password, query or fragment does not belong here")]
    Extra,
    #[error("the host is not one plain name or address; patterns are not taken")]
    Host,
    #[error("the path holds something else than A-Z a-z 0-9 . _ - ~, or an empty segment")]
    Path,
    #[error(
        "this is not the normal form: lower-case host, no default port, no dots, no trailing slash"
    )]
    Spelling,
}

impl BaseUrl {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host as TLS names it: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is this machine: a loopback address or `localhost` (RFC 6761 §6.3).
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl FromStr for BaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let url = Url::parse(text).map_err(|_| BadUrl::Syntax)?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(BadUrl::Scheme),
        };
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() {
            return Err(BadUrl::Extra);
        }
        let (host, loopback) = match url.host().ok_or(BadUrl::Host)? {
            Host::Domain(name) if name.split('.').all(is_label) => {
                (name.into(), name == "localhost")
            }
            Host::Domain(_) => return Err(BadUrl::Host),
            Host::Ipv4(address) => (address.to_string().into(), address.is_loopback()),
            Host::Ipv6(address) => (address.to_string().into(), address.is_loopback()),
        };
        let path = url.path().strip_prefix('/').ok_or(BadUrl::Syntax)?;
        let normal = url.as_str().strip_suffix('/').unwrap_or(url.as_str());
        if normal != text || text.len() > MAX_URL {
            return Err(BadUrl::Spelling);
        }
        if !path.is_empty() && !path.split('/').all(is_segment) {
            return Err(BadUrl::Path);
        }
        Ok(Self {
            text: text.into(),
            https,
            loopback,
            host,
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~'))
}

const MAX_URL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a25_patterns_and_second_spellings_are_refused() {
        for (bad, why) in [
            ("https://.*.example.com", BadUrl::Host),
            ("https://*.example.com", BadUrl::Host),
            ("https://ci.example/.*", BadUrl::Path),
            ("https://ci.example//a", BadUrl::Path),
            ("https://ci.example/", BadUrl::Spelling),
            ("https://ci.example/a/", BadUrl::Spelling),
            ("https://CI.example", BadUrl::Spelling),
            ("https://ci.example:443", BadUrl::Spelling),
            ("https://ci.example/a/../b", BadUrl::Spelling),
            ("https://cі.example", BadUrl::Spelling),
            ("https://ci.example?x=1", BadUrl::Extra),
            ("https://ci.example#x", BadUrl::Extra),
            ("https://user@ci.example", BadUrl::Extra),
            ("ftp://ci.example", BadUrl::Scheme),
            ("ci.example", BadUrl::Syntax),
        ] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn the_host_stands_alone() {
        for (text, host) in [
            ("https://writ.example", "writ.example"),
            ("https://writ.example:8443/tenant", "writ.example"),
            ("https://10.0.0.5/a", "10.0.0.5"),
            ("https://[::1]:8443", "::1"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().host(), host);
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |text: &str| text.parse::<BaseUrl>().unwrap().is_loopback();
        assert!(loopback("http://127.0.0.1:8080/other"));
        assert!(loopback("http://[::1]:8080"));
        assert!(loopback("http://localhost:8080"));
        assert!(!loopback("https://localhost.example"));
        assert!(!loopback("https://10.0.0.1"));
    }
}
