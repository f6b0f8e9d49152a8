//! Keeps the lists of revoked certificates: what ended since the last turn is looked up, and the lists
//! are signed again when one of its certificates may still be shown, or when they grow old.
//!
//! A revoked certificate stays listed until it would have expired. What could not be read is owed and
//! read at the next turn; a replica that is behind the log signs nothing, and its lists run out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use writ_keys::Keyring;

use crate::broker::Broker;
use crate::broker::listed::Unpublished;
use crate::broker::outstanding::Under;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::ids::{LineageId, SessionId};
use crate::domain::standing::Held;
use crate::domain::time::Timestamp;
use crate::domain::x509::{Revoked, Serial};
use crate::ledger::entry::Aggregate;
use crate::store::Down;

/// Keeps the lists.
pub struct Revocations {
    broker: Arc<Broker>,
    known: BTreeMap<Serial, Revoked>,
    owed: Owed,
    /// The keys that the published lists were signed with, and when.
    signed: Option<(Arc<Keyring>, Timestamp)>,
}

/// What has to be looked up before the lists are whole.
enum Owed {
    /// Every certificate: at the start, after a bar, and when too much ended at once to be named.
    Everything,
    Only(Vec<Aggregate>),
}

/// What one turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Certificates that are revoked and have not expired.
    pub listed: usize,
    /// Whether the lists were signed again.
    pub signed: bool,
}

impl Revocations {
    pub const fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            known: BTreeMap::new(),
            owed: Owed::Everything,
            signed: None,
        }
    }

    /// One turn. Certificates of everything that had ended when it began are listed when it is done; how it
    /// ended is told to whoever asks after one that is not.
    pub async fn run(&mut self, now: Timestamp) -> Result<Report, Unpublished> {
        let done = self.turn(now).await;
        let hindered = done.as_ref().err().map(Unpublished::hindrance);
        self.broker.revocations.turned(now, hindered);
        done
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Report, Unpublished> {
        self.hear();
        let before = self.known.len();
        self.settle(now).await?;
        let more = self.known.len() > before;
        self.known.retain(|_, one| one.until > now);
        let signed = more || self.is_due(now);
        if signed {
            self.publish(now)?;
        }
        Ok(Report {
            listed: self.known.len(),
            signed,
        })
    }

    /// Takes in what ended. A bar has no rows below it, so that everything is looked at.
    fn hear(&mut self) {
        let deaths = self.broker.store.view().deaths();
        let Owed::Only(owed) = &mut self.owed else {
            return;
        };
        let barred = |one: &Aggregate| matches!(one, Aggregate::Bar(_));
        let barred = deaths.of.iter().any(barred);
        owed.extend(deaths.of);
        if deaths.lost || barred || owed.len() > MOST_OWED {
            self.owed = Owed::Everything;
        }
    }

    async fn settle(&mut self, now: Timestamp) -> Result<(), Down> {
        if matches!(self.owed, Owed::Everything) {
            self.read_all(now).await?;
            self.owed = Owed::Only(Vec::new());
        }
        while let Some(next) = self.next_owed() {
            match next {
                Aggregate::Task(task) => {
                    let (store, realm) = (&self.broker.store, self.broker.realm);
                    for lineage in store.lineages(realm, task).await? {
                        self.read_lineage(lineage.id, None, now).await?;
                    }
                }
                Aggregate::Lineage(lineage) => self.read_lineage(lineage, None, now).await?,
                Aggregate::Session(session) => {
                    let held = self.broker.store.held(self.broker.realm, session).await?;
                    if let Some(held) = held {
                        let lineage = held.lineage.id;
                        self.read_lineage(lineage, Some(session), now).await?;
                    }
                }
                Aggregate::Bar(_) | Aggregate::Freeze(_) => {}
            }
            self.paid();
        }
        Ok(())
    }

    fn next_owed(&self) -> Option<Aggregate> {
        match &self.owed {
            Owed::Only(owed) => owed.last().cloned(),
            Owed::Everything => None,
        }
    }

    fn paid(&mut self) {
        if let Owed::Only(owed) = &mut self.owed {
            owed.pop();
        }
    }

    /// The certificates of a lineage, or of one of its sessions, that is over.
    async fn read_lineage(
        &mut self,
        lineage: LineageId,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), Down> {
        let (store, realm) = (&self.broker.store, self.broker.realm);
        let rows = store.certificates_of(realm, lineage, now).await?;
        for row in rows {
            if session.is_none_or(|session| session == row.session) {
                self.list(&row, now);
            }
        }
        Ok(())
    }

    /// Every certificate that may still be shown, by what stands of it.
    async fn read_all(&mut self, now: Timestamp) -> Result<(), Down> {
        let broker = Arc::clone(&self.broker);
        let mut last: Option<CredentialRecord> = None;
        loop {
            let page = broker
                .store
                .certificates(broker.realm, (now, last.as_ref()), PAGE);
            let page = page.await?;
            for row in &page {
                let held = broker.store.held(broker.realm, row.session).await?;
                if has_ended(&broker, row, held.as_ref(), now) {
                    self.list(row, now);
                }
            }
            match page.into_iter().next_back() {
                Some(next) => last = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn list(&mut self, credential: &CredentialRecord, at: Timestamp) {
        if let CredentialKind::X509Svid(svid) = &credential.kind {
            self.known.entry(svid.serial).or_insert_with(|| Revoked {
                authority: svid.authority.clone(),
                at,
                until: credential.expires_at,
            });
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let keys = self.broker.minter.keys.load();
        self.signed
            .as_ref()
            .is_none_or(|(with, at)| !Arc::ptr_eq(with, &keys) || now.since(*at) >= SIGN_EVERY)
    }

    fn publish(&mut self, now: Timestamp) -> Result<(), Unpublished> {
        let keys = self.broker.minter.keys.load_full();
        self.broker.publish_revoked(&keys, &self.known, now)?;
        self.signed = Some((keys, now));
        Ok(())
    }
}

/// Whether what a certificate belongs to is over.
fn has_ended(
    broker: &Broker,
    credential: &CredentialRecord,
    held: Option<&Held>,
    now: Timestamp,
) -> bool {
    held.is_none_or(|held| {
        let under = Under {
            task: &held.task,
            lineage: Some(&held.lineage),
            session: Some(&held.session),
        };
        under.has_ended(credential, broker.store.view(), now)
    })
}

/// The lists are never older than this, well below their own life.
const SIGN_EVERY: Duration = Duration::from_secs(30);

/// What is looked up one by one: beyond it, looking at everything is less.
const MOST_OWED: usize = 20_000;

/// Certificates that are read at a time.
const PAGE: u32 = 1000;
