//! Who a workload is: a SPIFFE ID and the immutable claims behind it. Two identities are the same
//! only if every one of those claims is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// A SPIFFE trust domain (SPIFFE-ID §2.1): lower-case letters, digits, dots, dashes, underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct TrustDomain(Arc<str>);

/// A SPIFFE ID (SPIFFE-ID §2): at most 2048 bytes, no empty, `.` or `..` segment, nothing encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SpiffeId(Arc<str>);

/// The text is not a trust domain or SPIFFE ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    #[error("a trust domain has 1 to 255 characters of a-z 0-9 . - _")]
    TrustDomain,
    #[error("a SPIFFE ID is spiffe://<trust domain>/<segments of A-Z a-z 0-9 . - _>")]
    SpiffeId,
}

/// A workload's identity: its SPIFFE ID and the claims that may never differ under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    id: SpiffeId,
    fixed: Arc<BTreeMap<String, String>>,
}

/// A property that attestation proved, as `source:name:value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selector(String);

impl Identity {
    /// `fixed` holds the claims that identify; an absent claim is absent from the map too.
    pub fn new(id: SpiffeId, fixed: BTreeMap<String, String>) -> Self {
        let fixed = Arc::new(fixed);
        Self { id, fixed }
    }

    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    pub fn fixed(&self) -> &BTreeMap<String, String> {
        &self.fixed
    }

    /// The first claim in which another identity differs, with both values.
    pub fn differs_from<'a>(&'a self, other: &'a Self) -> Option<Difference<'a>> {
        let names = self.fixed.keys().chain(other.fixed.keys());
        for name in names {
            let (here, there) = (self.fixed.get(name), other.fixed.get(name));
            if here != there {
                return Some(Difference {
                    field: name,
                    here: here.map(String::as_str),
                    there: there.map(String::as_str),
                });
            }
        }
        (self.id != other.id).then(|| Difference {
            field: "spiffe_id",
            here: Some(self.id.as_str()),
            there: Some(other.id.as_str()),
        })
    }
}

/// Where two identities differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    pub field: &'a str,
    pub here: Option<&'a str>,
    pub there: Option<&'a str>,
}

impl Selector {
    pub fn new(source: &str, name: &str, value: &str) -> Self {
        Self(format!("{source}:{name}:{value}"))
    }

    /// One for each claim that a source proved.
    pub fn all(source: &str, claims: &BTreeMap<String, String>) -> Vec<Self> {
        claims
            .iter()
            .map(|(name, value)| Self::new(source, name, value))
            .collect()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TrustDomain {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a SPIFFE ID is of this trust domain.
    pub fn holds(&self, id: &SpiffeId) -> bool {
        let rest = id.0.strip_prefix("spiffe://");
        rest.and_then(|rest| rest.split_once('/'))
            .is_some_and(|(domain, _)| *domain == *self.0)
    }

    /// The SPIFFE ID with these path segments.
    pub fn id(&self, segments: &[&str]) -> Result<SpiffeId, BadIdentity> {
        format!("spiffe://{}/{}", self.0, segments.join("/")).parse()
    }
}

impl SpiffeId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn trust_domain(&self) -> &str {
        let rest = self.0.strip_prefix("spiffe://").unwrap_or(&self.0);
        rest.split_once('/').map_or(rest, |(domain, _)| domain)
    }
}

impl FromStr for TrustDomain {
    type Err = BadIdentity;

    fn from_str(text: &str) -> Result<Self, BadIdentity> {
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if (1..=255).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(BadIdentity::TrustDomain)
    }
}

impl FromStr for SpiffeId {
    type Err = BadIdentity;

    fn from_str(text: &str) -> Result<Self, BadIdentity> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(plain);
        let (domain, path) = text
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(BadIdentity::SpiffeId)?;
        domain.parse::<TrustDomain>()?;
        if text.len() <= 2048 && path.split('/').all(segment) {
            return Ok(Self(text.into()));
        }
        Err(BadIdentity::SpiffeId)
    }
}

macro_rules! text_of {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadIdentity;

            fn try_from(text: String) -> Result<Self, BadIdentity> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_of!(TrustDomain);
text_of!(SpiffeId);

/// A claim's value as one segment of a SPIFFE path: what the path may not hold is written as `_`
/// and two hexadecimal digits, `_` itself too, so that no two values share a segment.
pub fn escape_segment(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let only_dots = !value.is_empty() && value.bytes().all(|b| b == b'.');
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && !only_dots);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('_');
            out.push_str(&hex::encode([byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_more_than_one_reading_are_refused() {
        let long = format!("spiffe://a/{}", "x".repeat(2048));
        for bad in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org//a",
            "spiffe://example.org/a/",
            "spiffe://example.org/./a",
            "spiffe://example.org/../a",
            "spiffe://example.org/%2e",
            "spiffe://Example.org/a",
            "spiffe://example.org:80/a",
            "spiffe://u@example.org/a",
            "spiffe://example.org/a?b",
            "SPIFFE://example.org/a",
            "spiffe://example.org/ä",
            long.as_str(),
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad:?} was taken");
        }
        "spiffe://example.org/github/9/812345"
            .parse::<SpiffeId>()
            .unwrap();
    }

    #[test]
    fn two_values_never_share_a_segment() {
        let values = [
            "prod",
            "prod/eu",
            "prod_2feu",
            "prod eu",
            "..",
            ".",
            "_2e",
            "Prod",
            "prod.eu",
        ];
        let escaped: std::collections::BTreeSet<_> =
            values.iter().map(|v| escape_segment(v)).collect();
        assert_eq!(escaped.len(), values.len());
    }

    #[test]
    fn another_environment_is_another_identity_and_the_field_is_named() {
        let id: SpiffeId = "spiffe://example.org/a".parse().unwrap();
        let with = |env: &str| {
            Identity::new(
                id.clone(),
                [("environment".to_owned(), env.to_owned())].into(),
            )
        };
        let (prod, none) = (with("prod"), Identity::new(id.clone(), BTreeMap::new()));
        assert_eq!(prod.differs_from(&with("prod")), None);
        assert_eq!(
            prod.differs_from(&with("dev")).map(|d| d.field),
            Some("environment")
        );
        assert_eq!(
            none.differs_from(&prod).map(|d| d.there),
            Some(Some("prod"))
        );
    }
}
