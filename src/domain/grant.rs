//! What a task may be given, and the algebra of narrowing: a request is within the lineage's grant,
//! which is within the task's, or it is refused. Nothing is silently cut down and nothing widens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::name::GrantName;

/// One scope token of RFC 6749 §3.3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Scope(Arc<str>);

/// A service that a token is meant for: an absolute URI without fragment (RFC 8707 §2), or a plain
/// name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Audience(Arc<str>);

/// Where a secret is kept: segments of `A-Z a-z 0-9 . _ -`, at most 16.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretPath(Arc<str>);

/// Which secrets a grant covers: one path, or with a final `/*` everything below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretPattern {
    path: SecretPath,
    below: bool,
}

/// The text is not a scope, audience, path or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGrant {
    #[error("a scope has 1 to 128 visible ASCII characters other than \" and \\")]
    Scope,
    #[error("an audience has 1 to 512 visible ASCII characters and no fragment")]
    Audience,
    #[error("a secret path has 1 to 16 segments of A-Z a-z 0-9 . _ -, none of them only dots")]
    Path,
}

/// One named grant: a token for these audiences with at most these scopes, and these secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grant {
    pub audiences: BTreeSet<Audience>,
    pub scopes: BTreeSet<Scope>,
    pub secrets: BTreeSet<SecretPattern>,
    /// Whom the workload may prove its identity to with a JWT-SVID.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub jwt_svids: BTreeSet<Audience>,
    /// Whether the workload may be certified, and prove its identity to anybody with an X.509-SVID.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub x509_svid: bool,
    /// How many credentials the task may ever be given under this grant; renewals do not count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uses: Option<u32>,
}

/// All grants of a task or lineage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(Arc<BTreeMap<GrantName, Grant>>);

/// A token's share of one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrant {
    pub name: GrantName,
    pub audiences: BTreeSet<Audience>,
    pub scopes: BTreeSet<Scope>,
}

/// What was asked is not within what was granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wider {
    #[error("the audience is not granted")]
    Audience,
    #[error("the scope is not granted for this audience")]
    Scope,
    #[error("no grant covers the secret")]
    Secret,
    #[error("no grant has an X.509-SVID")]
    X509Svid,
    #[error("the grant's limit of uses is wider")]
    Uses,
}

impl Grant {
    /// Whether everything in this grant is also in `outer`.
    pub fn within(&self, outer: &Self) -> Result<(), Wider> {
        if !self.audiences.is_subset(&outer.audiences) {
            return Err(Wider::Audience);
        }
        if !self.scopes.is_subset(&outer.scopes) {
            return Err(Wider::Scope);
        }
        if !self.jwt_svids.is_subset(&outer.jwt_svids) {
            return Err(Wider::Audience);
        }
        if self.x509_svid && !outer.x509_svid {
            return Err(Wider::X509Svid);
        }
        let covered = |inner: &SecretPattern| outer.secrets.iter().any(|o| o.covers(inner));
        if !self.secrets.iter().all(covered) {
            return Err(Wider::Secret);
        }
        match (self.uses, outer.uses) {
            (_, None) => Ok(()),
            (Some(inner), Some(outer)) if inner <= outer => Ok(()),
            (Some(_) | None, Some(_)) => Err(Wider::Uses),
        }
    }
}

impl Grants {
    pub fn new(grants: BTreeMap<GrantName, Grant>) -> Self {
        Self(Arc::new(grants))
    }

    pub fn named(&self, name: &GrantName) -> Option<&Grant> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&GrantName, &Grant)> {
        self.0.iter()
    }

    /// Whether each grant here is within the grant of the same name in `outer`.
    pub fn within(&self, outer: &Self) -> Result<(), Wider> {
        for (name, grant) in self.0.iter() {
            grant.within(outer.0.get(name).ok_or(Wider::Audience)?)?;
        }
        Ok(())
    }

    /// The token that was asked for, if one grant has all of it. A token never mixes two grants.
    ///
    /// An empty `scopes` asks for everything that the grant has.
    pub fn token(
        &self,
        audiences: &BTreeSet<Audience>,
        scopes: &BTreeSet<Scope>,
    ) -> Result<TokenGrant, Wider> {
        let mut refusal = Wider::Audience;
        for (name, grant) in self.0.iter() {
            if audiences.is_empty() || !audiences.is_subset(&grant.audiences) {
                continue;
            }
            if scopes.is_subset(&grant.scopes) {
                let scopes = if scopes.is_empty() {
                    &grant.scopes
                } else {
                    scopes
                };
                return Ok(TokenGrant {
                    name: name.clone(),
                    audiences: audiences.clone(),
                    scopes: scopes.clone(),
                });
            }
            refusal = Wider::Scope;
        }
        Err(refusal)
    }

    /// The grant of a JWT-SVID for this audience.
    pub fn jwt_svid(&self, audience: &Audience) -> Result<&GrantName, Wider> {
        self.0
            .iter()
            .find(|(_, grant)| grant.jwt_svids.contains(audience))
            .map(|(name, _)| name)
            .ok_or(Wider::Audience)
    }

    /// The grant of an X.509-SVID.
    pub fn x509_svid(&self) -> Result<&GrantName, Wider> {
        self.0
            .iter()
            .find(|(_, grant)| grant.x509_svid)
            .map(|(name, _)| name)
            .ok_or(Wider::X509Svid)
    }

    /// The grant that covers a secret.
    pub fn secret(&self, path: &SecretPath) -> Result<&GrantName, Wider> {
        self.0
            .iter()
            .find(|(_, grant)| grant.secrets.iter().any(|pattern| pattern.matches(path)))
            .map(|(name, _)| name)
            .ok_or(Wider::Secret)
    }
}

impl TokenGrant {
    /// Whether this token's share is within `grants`.
    pub fn within(&self, grants: &Grants) -> Result<(), Wider> {
        let grant = grants.named(&self.name).ok_or(Wider::Audience)?;
        if !self.audiences.is_subset(&grant.audiences) {
            return Err(Wider::Audience);
        }
        if !self.scopes.is_subset(&grant.scopes) {
            return Err(Wider::Scope);
        }
        Ok(())
    }

    /// The `scope` of RFC 6749 §3.3: tokens joined by spaces.
    pub fn scope_text(&self) -> String {
        self.scopes
            .iter()
            .map(Scope::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Scope {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Audience {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SecretPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SecretPattern {
    /// Whether the path is one of these. What the broker keeps for itself never is, whatever a
    /// placeholder came to.
    pub fn matches(&self, path: &SecretPath) -> bool {
        if path.is_own() {
            return false;
        }
        if self.below {
            path.is_below(&self.path)
        } else {
            *path == self.path
        }
    }

    /// Whether it can only name what the broker keeps for itself.
    pub fn is_own(&self) -> bool {
        self.path.is_own()
    }

    fn covers(&self, inner: &Self) -> bool {
        match (self.below, inner.below) {
            (true, true) => inner.path == self.path || inner.path.is_below(&self.path),
            (true, false) => inner.path.is_below(&self.path),
            (false, false) => inner.path == self.path,
            (false, true) => false,
        }
    }
}

impl SecretPath {
    /// Whether the broker keeps it for itself: below `writ/`. No workload reads there.
    pub fn is_own(&self) -> bool {
        self.0.split('/').next() == Some(OWN)
    }

    fn is_below(&self, parent: &Self) -> bool {
        self.0
            .strip_prefix(parent.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

const OWN: &str = "writ";

impl FromStr for Scope {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let visible = text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if visible && (1..=128).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(BadGrant::Scope)
        }
    }
}

impl FromStr for Audience {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if visible && (1..=512).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(BadGrant::Audience)
        }
    }
}

impl FromStr for SecretPath {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let segment = |s: &str| {
            (1..=128).contains(&s.len()) && s.bytes().all(plain) && !s.bytes().all(|b| b == b'.')
        };
        if text.split('/').count() <= 16 && text.split('/').all(segment) {
            return Ok(Self(text.into()));
        }
        Err(BadGrant::Path)
    }
}

impl FromStr for SecretPattern {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        match text.strip_suffix("/*") {
            Some(parent) => Ok(Self {
                path: parent.parse()?,
                below: true,
            }),
            None => Ok(Self {
                path: text.parse()?,
                below: false,
            }),
        }
    }
}

impl fmt::Display for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path.0, if self.below { "/*" } else { "" })
    }
}

impl From<SecretPattern> for String {
    fn from(pattern: SecretPattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for SecretPattern {
    type Error = BadGrant;

    fn try_from(text: String) -> Result<Self, BadGrant> {
        text.parse()
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
            type Error = BadGrant;

            fn try_from(text: String) -> Result<Self, BadGrant> {
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

text_of!(Scope);
text_of!(Audience);
text_of!(SecretPath);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set<T: FromStr + Ord>(items: &[&str]) -> BTreeSet<T>
    where
        T::Err: fmt::Debug,
    {
        items.iter().map(|i| i.parse().unwrap()).collect()
    }

    fn grants() -> Grants {
        let deploy = Grant {
            audiences: set(&["https://api", "https://other"]),
            scopes: set(&["read", "write"]),
            secrets: set(&["ci/prod/*"]),
            jwt_svids: set(&["https://db"]),
            x509_svid: true,
            uses: None,
        };
        let publish = Grant {
            audiences: set(&["https://registry"]),
            scopes: set(&["push"]),
            ..Grant::default()
        };
        Grants::new(
            [
                ("deploy".parse().unwrap(), deploy),
                ("publish".parse().unwrap(), publish),
            ]
            .into(),
        )
    }

    #[test]
    fn a_token_is_within_one_grant_or_refused() {
        let grants = grants();
        assert_eq!(
            grants
                .token(&set(&["https://api"]), &set(&["read"]))
                .unwrap()
                .scope_text(),
            "read"
        );
        assert_eq!(
            grants.token(&set(&["https://api"]), &set(&["push"])),
            Err(Wider::Scope)
        );
        assert_eq!(
            grants.token(&set(&["https://evil"]), &set(&[])),
            Err(Wider::Audience)
        );
        assert_eq!(
            grants.token(&set(&["https://api", "https://registry"]), &set(&[])),
            Err(Wider::Audience)
        );
        assert_eq!(grants.token(&set(&[]), &set(&[])), Err(Wider::Audience));
    }

    #[test]
    fn a_pattern_covers_what_is_below_it_and_nothing_beside_it() {
        let pattern: SecretPattern = "ci/prod/*".parse().unwrap();
        let matches = |p: &str| pattern.matches(&p.parse().unwrap());
        assert!(matches("ci/prod/db") && matches("ci/prod/db/password"));
        assert!(!matches("ci/prod") && !matches("ci/production/db") && !matches("ci/dev/db"));
    }

    #[test]
    fn paths_that_walk_or_hide_are_refused() {
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "a/./b",
            "a/*",
            "a b",
            "a%2fb",
            "ä",
            "a/\u{2024}",
        ] {
            assert!(bad.parse::<SecretPath>().is_err(), "{bad:?} was taken");
        }
        for bad in ["*", "/*", "a/*/b", "a*", "a/**"] {
            assert!(bad.parse::<SecretPattern>().is_err(), "{bad:?} was taken");
        }
    }

    fn some_grant() -> impl Strategy<Value = Grant> {
        let pick = |all: &'static [&'static str]| proptest::sample::subsequence(all, 0..=all.len());
        (
            pick(&["https://a", "https://b", "c"]),
            pick(&["x", "y", "z"]),
            pick(&["p/*", "p/q", "p/q/*", "r"]),
            pick(&["https://a", "d"]),
            proptest::bool::ANY,
            proptest::option::of(0..4_u32),
        )
            .prop_map(|(a, s, p, j, x509_svid, uses)| Grant {
                audiences: set(&a),
                scopes: set(&s),
                secrets: set(&p),
                jwt_svids: set(&j),
                x509_svid,
                uses,
            })
    }

    proptest! {
        #[test]
        fn narrowing_is_a_partial_order(a in some_grant(), b in some_grant(), c in some_grant()) {
            prop_assert!(a.within(&a).is_ok());
            if a.within(&b).is_ok() && b.within(&c).is_ok() {
                prop_assert!(a.within(&c).is_ok());
            }
        }

        #[test]
        fn a_narrower_grant_covers_no_other_secret(a in some_grant(), b in some_grant(), path in "[pqr](/[pqr]){0,3}") {
            let path: SecretPath = path.parse().unwrap();
            let has = |g: &Grant| g.secrets.iter().any(|s| s.matches(&path));
            if a.within(&b).is_ok() && has(&a) {
                prop_assert!(has(&b));
            }
        }
    }
}
