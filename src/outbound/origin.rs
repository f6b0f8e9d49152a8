//! Where a peer lives: scheme, host and port (RFC 6454 §4), parsed once and compared as a value.
//!
//! Nothing here accepts a pattern: `*` is not a host.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use super::{OutboundError, Rule};

/// One origin. Equal origins are spoken to under the same breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

/// Why a text does not name an origin. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("this is not an absolute URL")]
    Syntax,
    #[error("the scheme must be https (or http on loopback)")]
    Scheme,
    #[error("the host must be one plain name or address")]
    Host,
    #[error("a user or password does not belong in the URL")]
    Userinfo,
    #[error("a fragment does not belong in the URL")]
    Fragment,
    #[error("an origin has no path and no query")]
    NotBare,
}

impl Origin {
    /// Parses `scheme://host[:port]`, with nothing after it but at most `/`.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        match Self::split(text)? {
            (origin, path) if path == "/" => Ok(origin),
            (_, _) => Err(OriginError::NotBare),
        }
    }

    /// Takes a whole URL apart: its origin, and its path with query in normal form.
    pub fn split(text: &str) -> Result<(Self, String), OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError::Syntax)?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(OriginError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(OriginError::Fragment);
        }
        let host = url.host().ok_or(OriginError::Host)?.to_owned();
        if matches!(&host, Host::Domain(name) if !is_plain_name(name)) {
            return Err(OriginError::Host);
        }
        let port = url.port_or_known_default().ok_or(OriginError::Scheme)?;
        Ok((Self { scheme, host, port }, path_and_query(&url)))
    }

    /// The path of `url`, provided that it lives at this very origin.
    ///
    /// # Errors
    /// `Refused(OtherOrigin)` for any other origin and for what is not a URL: a discovery document may not send
    /// us elsewhere.
    pub fn path_of(&self, url: &str) -> Result<String, OutboundError> {
        match Self::split(url) {
            Ok((origin, path)) if origin == *self => Ok(path),
            Ok(_) | Err(_) => Err(OutboundError::Refused(Rule::OtherOrigin)),
        }
    }

    /// The host, an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether the origin names this machine: a loopback address, or `localhost` (RFC 6761 §6.3).
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }

    /// The address, when the origin names one instead of a host.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The URL of `path` at this origin.
    ///
    /// # Errors
    /// `Refused(Path)` when `path` is not what a URL parser would send: `..`, a fragment, characters that need
    /// encoding. An id from outside can thus not climb out of the path it was put in.
    pub(super) fn url(&self, path: &str) -> Result<Url, OutboundError> {
        let refused = OutboundError::Refused(Rule::Path);
        if !path.starts_with('/') {
            return Err(refused);
        }
        let url = Url::parse(&format!("{self}{path}")).map_err(|_| refused.clone())?;
        if url.fragment().is_some() || path_and_query(&url) != path {
            return Err(refused);
        }
        Ok(url)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

fn path_and_query(url: &Url) -> String {
    url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    )
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The longest name in the domain name system (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_only_scheme_host_and_port() {
        let origin = Origin::parse("https://IdP.Example.com/").unwrap();
        assert_eq!(
            origin,
            Origin::parse("https://idp.example.com:443").unwrap()
        );
        assert_eq!(origin.to_string(), "https://idp.example.com:443");
        for (text, error) in [
            ("idp.example.com", OriginError::Syntax),
            ("ftp://idp.example.com", OriginError::Scheme),
            ("https://user:pw@idp.example.com", OriginError::Userinfo),
            ("https://*.example.com", OriginError::Host),
            ("https://idp.example.com/#x", OriginError::Fragment),
            ("https://idp.example.com/path", OriginError::NotBare),
            ("https://idp.example.com/?q", OriginError::NotBare),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn loopback_is_seen_through_other_spellings_of_the_address() {
        for text in [
            "http://2130706433",
            "http://0x7f.1",
            "http://[::1]",
            "http://localhost:8080",
        ] {
            assert!(Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.example",
            "http://128.0.0.1",
            "http://[::2]",
        ] {
            assert!(!Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn a_document_cannot_point_to_another_origin() {
        let origin = Origin::parse("https://idp.example").unwrap();
        assert_eq!(
            origin.path_of("https://idp.example/jwks?v=1"),
            Ok("/jwks?v=1".to_owned())
        );
        for url in [
            "http://idp.example/jwks",
            "https://idp.example:8443/jwks",
            "https://evil.example/jwks",
            "https://idp.example@evil.example/jwks",
            "//evil.example/jwks",
            "/jwks",
        ] {
            let refused = Err(OutboundError::Refused(Rule::OtherOrigin));
            assert_eq!(origin.path_of(url), refused, "{url}");
        }
    }

    #[test]
    fn a_path_that_would_be_sent_differently_is_refused() {
        let origin = Origin::parse("https://idp.example").unwrap();
        assert_eq!(
            origin.url("/a/b?c=d%20e").unwrap().as_str(),
            "https://idp.example/a/b?c=d%20e"
        );
        for path in [
            "",
            "a",
            "@evil.example/",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a#b",
            "/a b",
            "/a\\b",
            "/a\nb",
        ] {
            assert_eq!(
                origin.url(path),
                Err(OutboundError::Refused(Rule::Path)),
                "{path:?}"
            );
        }
    }
}
