//! JWT-SVIDs (JWT-SVID §3): the workload's identity for one audience, with an issuer and keys of their
//! own, so that no access token is ever taken for one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::credential::{CredentialRecord, JwtSvid};
use crate::domain::grant::Audience;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;
use crate::domain::task::Task;

/// The claims of a JWT-SVID.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    iss: &'a str,
    sub: &'a SpiffeId,
    /// Exactly one: whoever is shown the token must not be able to show it to another.
    aud: [&'a Audience; 1],
    exp: i64,
    iat: i64,
    jti: CredentialId,
    /// What it was made for, under a name that nobody else gives meaning to (RFC 7519 §4.3).
    #[serde(flatten)]
    task: BTreeMap<String, TaskClaim<'a>>,
    /// What AWS makes tags of the session of, so that its policies and its trail know the task.
    #[serde(rename = "https://aws.amazon.com/tags")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<SessionTags>,
}

#[derive(Debug, Serialize)]
struct TaskClaim<'a> {
    id: TaskId,
    name: &'a TaskName,
    lineage: LineageId,
}

/// The session tags of `AssumeRoleWithWebIdentity`. Each has one value; a transitive one stays when the
/// session takes another role.
#[derive(Debug, Serialize)]
struct SessionTags {
    principal_tags: BTreeMap<&'static str, [String; 1]>,
    transitive_tag_keys: [&'static str; 3],
}

impl<'a> Claims<'a> {
    pub fn new(
        issuer: &'a str,
        svid: &'a JwtSvid,
        credential: &CredentialRecord,
        task: &'a Task,
        lineage: &'a Lineage,
    ) -> Self {
        let claim = TaskClaim {
            id: task.id,
            name: &task.name,
            lineage: lineage.id,
        };
        Self {
            iss: issuer,
            task: [(format!("{issuer}/task"), claim)].into(),
            tags: svid.is_for_aws().then(|| SessionTags::of(task, lineage)),
            sub: lineage.identity.id(),
            aud: [&svid.audience],
            exp: credential.expires_at.seconds(),
            iat: credential.issued_at.seconds(),
            jti: credential.id,
        }
    }
}

impl SessionTags {
    fn of(task: &Task, lineage: &Lineage) -> Self {
        let name = task.name.to_string();
        // A name that AWS would refuse, and the whole session with it, is told by its id alone.
        let name = if is_tag(&name) {
            name
        } else {
            task.id.to_string()
        };
        let values = [name, task.id.to_string(), lineage.id.to_string()];
        Self {
            principal_tags: TAGS.into_iter().zip(values.map(|value| [value])).collect(),
            transitive_tag_keys: TAGS,
        }
    }
}

/// What a tag's value may be, as far as it is ASCII.
fn is_tag(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
    text.len() <= LONGEST_TAG && text.chars().all(plain)
}

/// The keys of the tags; policies name them as `aws:PrincipalTag/writ-task`.
const TAGS: [&str; 3] = ["writ-task", "writ-task-id", "writ-lineage"];
const LONGEST_TAG: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_aws_would_refuse_is_no_tag() {
        for (name, fits) in [
            ("github/812345/99001/1", true),
            ("desk/case/4711@eu", true),
            ("desk/case/a,b", false),
            ("desk/case/ä", false),
            (&"x".repeat(257), false),
        ] {
            assert_eq!(is_tag(name), fits, "{name}");
        }
    }
}
