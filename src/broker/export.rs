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
        let none = || {
            Error::new(
                Code::NotFound,
                "nothing is signed yet: a checkpoint follows the first entry within seconds",
            )
        };
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

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::domain::position::{Position, WriterId};
    use crate::ledger::checkpoint::Checkpoint;
    use crate::ledger::checkpoint::testing::Signer;
    use crate::ledger::tree::{Frontier, leaf_hash};
    use crate::ledger::verify::{Trusted, verify};
    use crate::store::{Down, SequencedLeaf, StoredCheckpoint, StoredEntry};

    struct Log(Vec<Sequenced>);

    impl Log {
        fn of(entries: u64) -> Self {
            Self((0..entries).map(entry).collect())
        }

        /// The head of the first `size` entries.
        fn head(&self, size: u64) -> SignedHead {
            let mut frontier = Frontier::default();
            for entry in self.0.iter().filter(|entry| entry.leaf.index < size) {
                frontier.append(entry.leaf.hash);
            }
            let key = Signer(7).key("example.org/writ");
            let checkpoint = Checkpoint {
                origin: key.origin.clone(),
                head: frontier.head(),
                at: Timestamp::EPOCH,
            };
            SignedHead {
                size,
                at: Timestamp::EPOCH,
                note: checkpoint.sign(&Signer(7)).unwrap(),
                key,
            }
        }
    }

    fn entry(index: u64) -> Sequenced {
        let position = Position {
            writer: WriterId(1),
            n: index + 1,
        };
        let leaf = format!("entry {index}").into_bytes();
        Sequenced {
            leaf: SequencedLeaf {
                index,
                position,
                hash: leaf_hash(position, &leaf),
            },
            entry: StoredEntry {
                position,
                at: Timestamp::EPOCH,
                format: 1,
                leaf,
            },
        }
    }

    impl Audit for Log {
        fn unsequenced(&self, _: u32) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn append_leaves<'a>(
            &'a self,
            _: &'a [SequencedLeaf],
            _: &'a StoredCheckpoint,
        ) -> BoxFuture<'a, Result<(), Down>> {
            Box::pin(async { Err(Down("an export writes nothing".to_owned())) })
        }

        fn leaves(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Sequenced>, Down>> {
            let from = self.0.iter().filter(move |entry| entry.leaf.index >= from);
            let page = from
                .take(usize::try_from(limit).unwrap())
                .cloned()
                .collect();
            Box::pin(async { Ok(page) })
        }

        fn checkpoint(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, Down>> {
            Box::pin(async { Ok(None) })
        }
    }

    async fn exported_pages(log: Log, head: &SignedHead) -> Result<Vec<Vec<u8>>, Error> {
        let mut export = Export::start(Arc::new(log), head)?;
        let mut pages = Vec::new();
        while let Some(page) = export.next().await? {
            pages.push(page);
        }
        Ok(pages)
    }

    #[tokio::test]
    async fn an_export_in_pages_is_one_that_verifies() {
        for size in [0, 1, 127, 128, 129, 300] {
            let log = Log::of(300);
            let head = log.head(size);
            let pages = exported_pages(log, &head).await.unwrap();
            let trusted = Trusted {
                keys: vec![head.key.clone()],
                ..Trusted::default()
            };
            // What the store has beyond the checkpoint is not vouched for and is left out.
            let verified = verify(pages.concat().as_slice(), &trusted).unwrap();
            assert_eq!(verified.checkpoint.head.size, size);
        }
    }

    #[tokio::test]
    async fn no_more_than_a_page_is_held() {
        let log = Log::of(1_000);
        let head = log.head(1_000);
        let pages = exported_pages(log, &head).await.unwrap();
        let most = pages.iter().map(Vec::len).max().unwrap();
        assert!(pages.len() > 7 && most < 32 * 1024, "{most}");
    }

    #[tokio::test]
    async fn a_log_that_lost_entries_is_not_exported_as_whole() {
        let log = Log::of(200);
        let head = log.head(200);
        let error = exported_pages(Log::of(150), &head).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }
}
