//! Freezes: by an operator's word nothing is issued or renewed for a while, for everybody or for a part.
//! What is out stays good until it expires; a freeze ends by itself, and revocation is never frozen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::identity::Identity;
use crate::domain::name::{ProfileName, SourceName, TaskName};
use crate::domain::task::Epoch;
use crate::domain::time::Timestamp;

/// What is frozen. Its text is `all`, `profile/NAME`, `issuer/NAME` or `repository/NAME/ID`, where an
/// issuer is named as its source is configured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FreezeScope {
    All,
    Profile(ProfileName),
    Issuer(SourceName),
    /// By the id that the source gives it for good.
    Repository(SourceName, RepositoryId),
}

/// The id of a repository at its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId(String);

/// The text is not what can be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is frozen is `all`, `profile/NAME`, `issuer/SOURCE` or `repository/SOURCE/ID`")]
pub struct BadScope;

/// A freeze as it is kept: one row for each scope that was ever frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    pub scope: FreezeScope,
    pub epoch: Epoch,
    pub at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lifted_at: Option<Timestamp>,
}

impl Freeze {
    /// Whether nothing may be issued within its scope at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.lifted_at.is_none() && self.until > now
    }

    /// The row once it is lifted.
    #[must_use]
    pub fn lifted(self, at: Timestamp) -> Self {
        Self {
            lifted_at: Some(at),
            epoch: self.epoch.next(),
            ..self
        }
    }
}

impl FreezeScope {
    /// Every scope that a credential is issued in: its task's profile and issuer, and the repository
    /// that its workload is known by.
    pub fn of<'a>(
        profile: &ProfileName,
        task: &TaskName,
        identity: &'a Identity,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let source: Option<SourceName> = task.source();
        let mut claims = REPOSITORY.iter().filter_map(|c| identity.fixed().get(*c));
        let repository = claims.next().and_then(|id| RepositoryId::new(id));
        let of_source = source.map(|source| {
            let issuer = Self::Issuer(source.clone());
            let repository = repository.map(|id| Self::Repository(source, id));
            [Some(issuer), repository]
        });
        let all = [Some(Self::All), Some(Self::Profile(profile.clone()))];
        let of_source = of_source.into_iter().flatten();
        all.into_iter().chain(of_source).flatten()
    }
}

impl RepositoryId {
    fn new(text: &str) -> Option<Self> {
        let plain = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        plain.then(|| Self(text.to_owned()))
    }
}

impl FromStr for FreezeScope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            ["all"] => Ok(Self::All),
            ["profile", name] => name.parse().map(Self::Profile).map_err(|_| BadScope),
            ["issuer", name] => name.parse().map(Self::Issuer).map_err(|_| BadScope),
            ["repository", source, id] => {
                let source = source.parse().map_err(|_| BadScope)?;
                let id = RepositoryId::new(id).ok_or(BadScope)?;
                Ok(Self::Repository(source, id))
            }
            _ => Err(BadScope),
        }
    }
}

impl fmt::Display for FreezeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Profile(name) => write!(f, "profile/{name}"),
            Self::Issuer(name) => write!(f, "issuer/{name}"),
            Self::Repository(source, id) => write!(f, "repository/{source}/{}", id.0),
        }
    }
}

impl TryFrom<String> for FreezeScope {
    type Error = BadScope;

    fn try_from(text: String) -> Result<Self, BadScope> {
        text.parse()
    }
}

impl From<FreezeScope> for String {
    fn from(scope: FreezeScope) -> Self {
        scope.to_string()
    }
}

/// The claims by which the sources name a repository for good.
const REPOSITORY: [&str; 2] = ["repository_id", "project_id"];

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(claims: &[(&str, &str)]) -> Identity {
        let fixed = claims
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Identity::new("spiffe://a/b".parse().unwrap(), fixed.collect())
    }

    fn scopes(identity: &Identity) -> Vec<String> {
        let (profile, task) = (
            "deploy".parse().unwrap(),
            "github/812345/7/1".parse().unwrap(),
        );
        let scopes = FreezeScope::of(&profile, &task, identity);
        scopes.map(|scope| scope.to_string()).collect()
    }

    #[test]
    fn a_credential_is_in_each_scope_that_can_be_frozen() {
        let job = workload(&[("repository_id", "812345"), ("environment", "production")]);
        let expected = [
            "all",
            "profile/deploy",
            "issuer/github",
            "repository/github/812345",
        ];
        assert_eq!(scopes(&job), expected);
        assert_eq!(scopes(&workload(&[])), expected[..3]);
        let project = workload(&[("project_id", "20")]);
        assert_eq!(scopes(&project)[3], "repository/github/20");
    }

    #[test]
    fn a_scope_survives_its_text_and_nothing_else_is_one() {
        for text in [
            "all",
            "profile/p",
            "issuer/github",
            "repository/github/812345",
        ] {
            assert_eq!(text.parse::<FreezeScope>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "All",
            "all/",
            "profile",
            "profile/*",
            "issuer/a/b",
            "repository/github/",
            "repository/812345",
            "repository/github/a b",
            "task/github/1",
        ] {
            assert_eq!(bad.parse::<FreezeScope>(), Err(BadScope), "{bad}");
        }
    }

    #[test]
    fn a_freeze_ends_by_itself_or_by_word() {
        let at = Timestamp::from_micros;
        let freeze = Freeze {
            scope: FreezeScope::All,
            epoch: Epoch::FIRST,
            at: at(0),
            until: at(10),
            by: "uid:0".to_owned(),
            reason: None,
            lifted_at: None,
        };
        assert!(freeze.holds(at(9)) && !freeze.holds(at(10)));
        assert!(!freeze.lifted(at(5)).holds(at(6)));
    }
}
