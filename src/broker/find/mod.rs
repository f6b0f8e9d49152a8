//! Find: from whatever an operator holds to the task that it belongs to. A secret that is shown is
//! recognised, by its signature or its digest, and is in no answer, entry or line of the log.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::attest::jws::Unverified;
use crate::broker::outstanding::CredentialState;
use crate::broker::{Broker, unavailable};
use crate::domain::credential::CredentialRecord;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::entry::Subject;
use crate::mint::handle;
use crate::store::Down;

mod by_id;
mod by_name;
mod by_serial;
mod by_walk;
pub mod clue;
mod evidence;

pub(in crate::broker) use by_id::read;
use clue::Clue;
pub(in crate::broker) use evidence::spent;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// The search stopped at its bound, and there may be more.
    pub more: bool,
}

/// One thing that the text may have meant.
#[derive(Debug)]
pub struct Hit {
    /// What the text was taken for.
    pub by: By,
    /// Names and ids, as far as the log has them: rows are swept, entries are not.
    pub subject: Subject,
    pub task: Option<Task>,
    pub lineage: Option<Lineage>,
    pub session: Option<Session>,
    pub credential: Option<(CredentialRecord, CredentialState)>,
}

/// How the text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    AccessToken,
    JwtSvid,
    RenewalHandle,
    /// An ID token that opened or renewed a session.
    Evidence,
    Credential,
    Permit,
    Certificate,
    Session,
    Lineage,
    Task,
    Run,
    Job,
    Claim,
    Workload,
    Repository,
    Commit,
    SecretPath,
    Denial,
}

/// The part of a JWT-SVID that leads to its row.
#[derive(Deserialize)]
struct SvidTask {
    lineage: LineageId,
}

impl Broker {
    /// Finds what a text belongs to.
    ///
    /// # Errors
    /// `not_found` where nothing of this realm fits, `request_malformed` for what cannot be looked for.
    pub async fn find(&self, shown: &Secret) -> Result<Found, Error> {
        let text = shown.expose_str().map(str::trim);
        let text = text.filter(|text| (1..=LONGEST).contains(&text.len()));
        let text = text.ok_or_else(|| {
            let what = format!("what is looked for is text, and at most {LONGEST} bytes of it");
            Error::new(Code::RequestMalformed, what).with_field("body")
        })?;
        let found = async {
            match self.by_secrets(text).await? {
                Some(found) => Ok(found),
                None => self.look(&Clue::read(text)).await,
            }
        };
        let found = found.await.map_err(|down| unavailable(&down))?;
        if found.hits.is_empty() {
            return Err(Error::new(Code::NotFound, nothing(found.more)));
        }
        Ok(found)
    }

    /// What the secrets in a text are, if there are any: a line of a log holds more than a token. What looks
    /// like a token and is none of ours is `Some` of nothing: it is looked for no further.
    async fn by_secrets(&self, text: &str) -> Looked<Option<Found>> {
        let mut found: Option<Found> = None;
        for secret in secrets(text) {
            let one = Found::of(self.by_secret(secret).await?);
            found.get_or_insert_default().add(one);
        }
        Ok(found)
    }

    async fn by_secret(&self, text: &str) -> Looked<Option<Hit>> {
        if handle::looks_like(text) {
            let session = handle::session(&self.minter.keys.load(), text);
            return match session {
                Some(id) => self.session_hit(By::RenewalHandle, id).await,
                None => Ok(None),
            };
        }
        if let Some((by, lineage, id)) = self.own(text) {
            return self.credential_hit(by, lineage, id).await;
        }
        match self.by_evidence(text).await? {
            Some(session) => self.session_hit(By::Evidence, session).await,
            None => Ok(None),
        }
    }

    /// The credential that a token of ours is, by its verified claims. Its time does not matter.
    fn own(&self, text: &str) -> Option<(By, LineageId, CredentialId)> {
        if let Ok(token) = self.own_token(text) {
            return Some((By::AccessToken, token.claims.lineage, token.claims.jti));
        }
        let unverified = Unverified::parse(text).ok()?;
        let keys = self.minter.keys.load();
        let kid = unverified.key_id().ok()??;
        let svids = &self.minter.svids;
        let imported = || svids.imported(kid).map(writ_keys::ImportedRsa::verifying);
        let key = keys.svid_key(kid).or_else(imported)?;
        let claims = unverified.verify(key).ok()?.claims;
        let task = format!("{}/task", svids.issuer.as_str());
        let task: SvidTask = serde_json::from_value(claims.member(&task)?.clone()).ok()?;
        let jti = claims.text("jti").ok()?.parse().ok()?;
        Some((By::JwtSvid, task.lineage, jti))
    }

    async fn look(&self, clue: &Clue) -> Looked<Found> {
        match clue {
            Clue::Task(id) => self.task_hit(*id).await.map(Found::of),
            Clue::Lineage(id) => self.lineage_hit(*id).await.map(Found::of),
            Clue::Session(id) => self.session_hit(By::Session, *id).await.map(Found::of),
            Clue::Credential(id) => self.bare_credential_hit(*id).await.map(Found::of),
            Clue::Permit(id) => self.permit_hit(*id).await.map(Found::of),
            Clue::Serial(serial) => self.by_serial(*serial).await,
            Clue::Denial(id) => self.denial_hit(*id).await.map(Found::of),
            Clue::Page(page) => self.by_page(page).await,
            Clue::Claim(name, value) => self.by_claim(name, value).await,
            Clue::Workload(id) => self.by_workload(id).await,
            Clue::Name(name) => self.by_name(name).await,
            Clue::Word(word) => self.by_word(word).await,
        }
    }

    /// The tasks that a text names, for whoever wants to know what happened to them.
    pub(in crate::broker) async fn tasks_of(&self, clue: &Clue) -> Looked<BTreeSet<TaskId>> {
        let found = self.look(clue).await?;
        Ok(found.hits.iter().filter_map(|h| h.subject.task).collect())
    }
}

impl Found {
    fn of(hit: Option<Hit>) -> Self {
        Self {
            hits: hit.into_iter().collect(),
            more: false,
        }
    }

    /// Takes another finding, each thing once and not more than are looked through by eye.
    fn add(&mut self, other: Self) {
        self.more |= other.more;
        for hit in other.hits {
            let same = |known: &Hit| known.subject == hit.subject;
            if self.hits.iter().any(same) {
                continue;
            }
            if self.hits.len() == MOST_HITS {
                self.more = true;
                return;
            }
            self.hits.push(hit);
        }
    }
}

impl Hit {
    fn of_task(by: By, task: Task) -> Self {
        Self {
            by,
            subject: Subject {
                task: Some(task.id),
                task_name: Some(task.name.clone()),
                ..Subject::default()
            },
            task: Some(task),
            lineage: None,
            session: None,
            credential: None,
        }
    }

    fn of_lineage(by: By, task: Task, lineage: Lineage) -> Self {
        let mut hit = Self::of_task(by, task);
        hit.subject.lineage = Some(lineage.id);
        hit.subject.workload = Some(lineage.identity.id().clone());
        hit.lineage = Some(lineage);
        hit
    }
}

/// Whether a text is a secret, ours or another's: it is looked for in a body, and stands in no address.
pub fn is_secret(text: &str) -> bool {
    handle::looks_like(text) || looks_like_token(text)
}

/// The secrets in a text, between whatever stands around them. Each costs a signature.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c);
    text.split(apart)
        .filter(|word| is_secret(word))
        .take(MOST_SECRETS)
}

/// A JWS begins with a JSON object in base64url.
fn looks_like_token(text: &str) -> bool {
    text.starts_with("eyJ")
}

const fn nothing(more: bool) -> &'static str {
    if more {
        return "nothing among the newest fits; older things are found by their ids or by the run's page";
    }
    "nothing that is known here fits; a token is recognised while its key is kept"
}

/// The longest text that is looked for; longer than any token.
const LONGEST: usize = 16 * 1024;

/// More than one line of a log has.
const MOST_SECRETS: usize = 16;

/// More than anybody reads through.
const MOST_HITS: usize = 50;

/// How a look-up of rows and entries ends.
type Looked<T> = Result<T, Down>;
