//! What a task may be given, and the algebra of narrowing: a request is within the lineage's grant,
//! which is within the task's, or it is refused. Nothing is silently cut down and nothing widens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::action::{Act, Acts, Difference, Effect, Fit, Look};
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

/// One named grant: a token for these audiences with at most these scopes, these secrets, and what the
/// audiences may be asked to do.
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
    /// What is asked for at each use, by the services of `audiences`.
    #[serde(skip_serializing_if = "Acts::is_empty", default)]
    pub acts: Acts,
    /// How often the task may use this grant, ever: how many of its writes may be reserved where it has
    /// such actions, else how many credentials may be given under it. Renewals and reads do not count.
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
    #[error("the actions or their resources are not granted")]
    Acts,
    #[error("the grant's limit of uses is wider")]
    Uses,
}

/// Why no grant has an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beyond {
    Action,
    Resource,
    /// A grant would have it, but for one value of the context.
    Differs(Difference),
    /// A grant would have it, in another place.
    Misplaced(Difference),
}

impl Grant {
    /// Whether each of its writes is one of its uses.
    pub fn counts_writes(&self) -> bool {
        self.uses.is_some() && !self.acts.writes.is_empty()
    }

    /// Whether each credential that is given under it is one of its uses.
    pub fn counts_credentials(&self) -> bool {
        self.uses.is_some() && self.acts.writes.is_empty()
    }

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
        if !self.acts.within(&outer.acts) {
            return Err(Wider::Acts);
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

    /// Whether nothing here is new to `outer`, and something of `outer` is not here.
    pub fn is_narrower_than(&self, outer: &Self) -> bool {
        self.within(outer).is_ok() && outer.within(self).is_err()
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

    /// The grant of an action that a service of one of these audiences asks about, and what it does.
    pub fn act(
        &self,
        audiences: &BTreeSet<Audience>,
        act: &Act,
        look: Look<'_>,
    ) -> Result<(&GrantName, Effect), Beyond> {
        let mut refusal = Beyond::Action;
        for (name, grant) in self.0.iter() {
            let Some(effect) = grant.acts.effect(&act.action) else {
                continue;
            };
            if grant.audiences.is_disjoint(audiences) {
                continue;
            }
            match grant.acts.fit(&act.resource, look) {
                Fit::Fits => return Ok((name, effect)),
                Fit::Differs(difference) => refusal = Beyond::Differs(difference),
                Fit::Misplaced(difference) => refusal = Beyond::Misplaced(difference),
                Fit::Elsewhere if refusal == Beyond::Action => refusal = Beyond::Resource,
                Fit::Elsewhere => {}
            }
        }
        Err(refusal)
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
#[path = "grant_tests.rs"]
mod tests;
