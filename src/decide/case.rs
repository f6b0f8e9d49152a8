//! A case: everything that one decision rests on, put together by the verb.

use std::collections::BTreeSet;

use crate::attest::EvidenceRef;
use crate::context::fact::{Fact, Facts};
use crate::decide::engine::Verb;
use crate::domain::credential::CredentialRecord;
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::identity::Identity;
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::name::{InstanceName, TaskName};
use crate::domain::profile::{Claims, TaskProfile};
use crate::domain::standing::{Rests, Standing};
use crate::domain::time::Timestamp;
use crate::domain::x509::{SignedBy, SubjectKey};
use crate::error::{Code, Error};
use crate::ledger::entry::FactMark;

/// What is to be handed out.
#[derive(Debug, Clone)]
pub enum Ask {
    Token {
        audiences: BTreeSet<Audience>,
        scopes: BTreeSet<Scope>,
    },
    Secret {
        path: SecretPath,
    },
    JwtSvid {
        audience: Audience,
    },
    X509Svid {
        key: SubjectKey,
        by: SignedBy,
    },
}

/// Everything that one decision rests on, whatever is asked.
#[derive(Clone)]
pub struct Case<'a> {
    pub verb: Verb,
    pub profile: &'a TaskProfile,
    pub task_name: &'a TaskName,
    pub instance: &'a InstanceName,
    /// Who is asking: from fresh evidence, or the lineage's own where only a handle or a token was
    /// shown.
    pub identity: &'a Identity,
    /// The claims of fresh evidence.
    pub claims: Option<&'a Claims>,
    pub evidence: Option<EvidenceRef>,
    /// The evidence was shown before, by the same key, and opened the session that stands.
    pub seen_before: bool,
    /// The single-use key that the evidence claims; none where it was claimed before.
    pub evidence_once: Option<(Timestamp, Digest)>,
    /// The key that the caller proved to hold, and the proof to be spent.
    pub key: Option<Thumbprint>,
    pub proof: Option<(Timestamp, Digest)>,
    pub standing: &'a Standing,
    /// The token that was presented, when a secret is read with it.
    pub parent: Option<&'a CredentialRecord>,
    /// What the evidence rests on, where it is a credential of ours.
    pub rests: Option<Rests>,
    pub facts: &'a Facts,
}

impl<'a> Case<'a> {
    /// What a session asks for on its rows alone, with nothing shown beside them.
    ///
    /// # Errors
    /// The rows are not a session's.
    pub fn of_session(
        verb: Verb,
        profile: &'a TaskProfile,
        standing: &'a Standing,
        facts: &'a Facts,
    ) -> Result<Self, Error> {
        let (Some(task), Some(lineage)) = (&standing.task, &standing.lineage) else {
            return Err(Error::new(Code::Internal, "a session without its task"));
        };
        Ok(Self {
            verb,
            profile,
            task_name: &task.name,
            instance: &lineage.instance,
            identity: &lineage.identity,
            claims: None,
            evidence: None,
            seen_before: false,
            evidence_once: None,
            key: None,
            proof: None,
            standing,
            parent: None,
            rests: None,
            facts,
        })
    }

    /// The session has already been given something for this very evidence.
    pub fn repeats(&self) -> bool {
        let last = self
            .standing
            .session
            .as_ref()
            .map(|session| session.evidence.digest);
        self.seen_before
            || self
                .evidence
                .is_some_and(|shown| Some(shown.digest) == last)
    }
}

/// A fact as the log keeps it.
pub fn fact_mark(fact: &Fact) -> FactMark {
    let fields = fact.record.as_ref().map(|record| {
        record
            .fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    });
    FactMark {
        record: fact.key.clone(),
        via: fact.via,
        observed_at: fact.observed_at,
        present: fact.record.is_some(),
        fields: fields.unwrap_or_default(),
    }
}
