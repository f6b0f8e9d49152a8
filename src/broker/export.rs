//! Export: the audit log up to its newest checkpoint, a page at a time. The checkpoint is checked
//! against the broker's own keys first: what somebody altered in the store is not passed on as ours.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use writ_keys::{Keyring, Purpose};

use crate::broker::{Broker, unavailable};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::checkpoint::{BadNote, CheckpointKey, UnverifiedNote};
use crate::ledger::export::{ExportWriter, Exported};
use crate::store::{Audit, Sequenced, Store};

/// The newest checkpoint, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    pub size: u64,
    pub at: Timestamp,
    pub note: String,
    pub key: CheckpointKey,
}

/// An export under way.
pub struct Export<S: ?Sized> {
    store: Arc<S>,
    /// `None` once the end has been written.
    writer: Option<ExportWriter<Spool>>,
    written: Spool,
    next: u64,
    size: u64,
}

impl Broker {
    /// The newest checkpoint.
    pub async fn checkpoint(&self) -> Result<SignedHead, Error> {
        let stored = self
            .store
            .checkpoint()
            .await
            .map_err(|down| unavailable(&down))?;
        let none = || Error::new(Code::NotFound, "nothing has been signed yet");
        let stored = stored.ok_or_else(none)?;
        let key = signer(&stored.note, &self.minter.keys.load()).map_err(|e| {
            Error::new(Code::Internal, "the checkpoint is not one of the broker's").with_internal(e)
        })?;
        Ok(SignedHead {
            size: stored.size,
            at: stored.at,
            note: stored.note,
            key,
        })
    }

    /// Starts an export of the log up to the newest checkpoint.
    pub async fn export(&self) -> Result<Export<dyn Store>, Error> {
        let head = self.checkpoint().await?;
        Export::start(Arc::clone(&self.store), &head)
    }
}

impl<S: Audit + ?Sized> Export<S> {
    fn start(store: Arc<S>, head: &SignedHead) -> Result<Self, Error> {
        let written = Spool::default();
        let writer = ExportWriter::start(written.clone(), &head.note, &head.key).map_err(failed)?;
        Ok(Self {
            store,
            writer: Some(writer),
            written,
            next: 0,
            size: head.size,
        })
    }

    /// The next lines; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(writer) = &mut self.writer else {
            return Ok(None);
        };
        if self.next < self.size {
            let limit = u32::try_from(self.size - self.next).map_or(PAGE, |left| left.min(PAGE));
            let page = self
                .store
                .leaves(self.next, limit)
                .await
                .map_err(|down| unavailable(&down))?;
            if page.is_empty() {
                let missing = format!("the log has no entry {}", self.next);
                return Err(
                    Error::new(Code::Internal, "the log is not whole").with_internal(missing)
                );
            }
            for entry in &page {
                writer.push(&exported(entry)).map_err(failed)?;
                self.next += 1;
            }
        } else if let Some(writer) = self.writer.take() {
            writer.finish().map_err(failed)?;
        }
        Ok(Some(self.written.take()))
    }
}

/// The key in force that signed `note`.
fn signer(note: &str, keys: &Keyring) -> Result<CheckpointKey, BadNote> {
    let note = UnverifiedNote::parse(note)?;
    let origin = note.trusted_as_kept()?.origin;
    let ours = keys
        .describe()
        .filter(|(_, purpose, _, _)| *purpose == Purpose::Checkpoint)
        .filter_map(|(id, _, _, _)| keys.checkpoint_public(id));
    for ed25519 in ours {
        let key = CheckpointKey {
            origin: origin.clone(),
            ed25519,
        };
        match note.verify(std::slice::from_ref(&key)) {
            Ok(_) => return Ok(key),
            Err(BadNote::UnknownKey) => {}
            Err(other) => return Err(other),
        }
    }
    Err(BadNote::UnknownKey)
}

fn exported(entry: &Sequenced) -> Exported<'_> {
    Exported {
        index: entry.leaf.index,
        position: entry.leaf.position,
        hash: entry.leaf.hash,
        leaf: &entry.entry.leaf,
    }
}

fn failed(error: io::Error) -> Error {
    Error::new(Code::Internal, "the log cannot be written out").with_internal(error)
}

/// What has been written and not yet taken.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Vec<u8>>>);

impl Spool {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Entries in memory at one time.
const PAGE: u32 = 128;
