//! The sequencer: gives committed entries their place in the audit tree and signs its new head.
//!
//! Nobody on the way of a request waits for it. Leaves and the checkpoint over them are written in
//! one transaction, so a crash leaves both or neither and the next run goes on from there. It goes
//! on only from a checkpoint that a known key signed and that fits the frontier beside it: what was
//! altered in the store is not signed over.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::position::{Position, WriterId};
use crate::domain::time::Timestamp;
use crate::ledger::checkpoint::{
    BadNote, CannotSign, Checkpoint, CheckpointKey, CheckpointSigner, Origin, UnverifiedNote,
};
use crate::ledger::tree::{BadFrontier, Frontier, leaf_hash};
use crate::store::{Audit, Down, SequencedLeaf, StoredCheckpoint, StoredEntry};

/// Merges entries into the tree of the log named `origin`.
pub struct Sequencer<S: ?Sized> {
    store: Arc<S>,
    signer: Arc<dyn CheckpointSigner>,
    origin: Origin,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Leaves appended.
    pub appended: u64,
    /// Leaves in the tree.
    pub size: u64,
    /// Whether the run stopped at its bound and entries may be left.
    pub more: bool,
}

/// Why a run stopped. Pages appended before stay appended.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Down(#[from] Down),
    #[error(transparent)]
    CannotSign(#[from] CannotSign),
    #[error("the stored checkpoint was altered: {0}")]
    Checkpoint(#[from] BadNote),
    #[error("the stored frontier was altered: {0}")]
    Frontier(#[from] BadFrontier),
    #[error("the stored frontier is not the one whose root was signed")]
    NotWhatWasSigned,
    #[error("an entry is missing: writer {} goes on with {}, not {expected}", .found.writer.0, .found.n)]
    Gap { found: Position, expected: u64 },
}

impl<S: Audit + Send + Sync + ?Sized> Sequencer<S> {
    pub fn new(store: Arc<S>, signer: Arc<dyn CheckpointSigner>, origin: Origin) -> Self {
        Self {
            store,
            signer,
            origin,
        }
    }

    /// Appends what is not in the tree yet, page by page, each page under its own checkpoint.
    pub async fn run(&self, now: Timestamp) -> Result<Report, Stopped> {
        let mut frontier = self.standing().await?;
        let mut order = self.order(frontier.size()).await?;
        let before = frontier.size();
        let mut more = true;
        for _ in 0..PAGES {
            let page = self.store.unsequenced(PAGE).await?;
            if page.is_empty() {
                more = false;
                break;
            }
            let mut leaves = Vec::with_capacity(page.len());
            for part in page.chunks(BREATH) {
                leaves.extend(merge(part, &mut frontier, &mut order)?);
                tokio::task::yield_now().await;
            }
            let checkpoint = self.sign(&frontier, now)?;
            self.store.append_leaves(&leaves, &checkpoint).await?;
        }
        Ok(Report {
            appended: frontier.size() - before,
            size: frontier.size(),
            more,
        })
    }

    /// The frontier to go on from.
    async fn standing(&self) -> Result<Frontier, Stopped> {
        let Some(stored) = self.store.checkpoint().await? else {
            return Ok(Frontier::default());
        };
        let own = |ed25519| CheckpointKey {
            origin: self.origin.clone(),
            ed25519,
        };
        let keys: Vec<_> = self.signer.public_keys().into_iter().map(own).collect();
        let signed = UnverifiedNote::parse(&stored.note)?.verify(&keys)?;
        let frontier = Frontier::restore(stored.size, stored.frontier)?;
        if frontier.head() == signed.head {
            return Ok(frontier);
        }
        Err(Stopped::NotWhatWasSigned)
    }

    /// Where the writer of the last leaf stands; the others are held to their order from the first
    /// entry that this run sees of them.
    async fn order(&self, size: u64) -> Result<HashMap<WriterId, u64>, Down> {
        let Some(last) = size.checked_sub(1) else {
            return Ok(HashMap::new());
        };
        let leaves = self.store.leaves(last, 1).await?;
        let positions = leaves.iter().map(|leaf| leaf.leaf.position);
        Ok(positions.map(|at| (at.writer, at.n)).collect())
    }

    fn sign(&self, frontier: &Frontier, now: Timestamp) -> Result<StoredCheckpoint, CannotSign> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            head: frontier.head(),
            at: now,
        };
        Ok(StoredCheckpoint {
            size: frontier.size(),
            at: now,
            frontier: frontier.peaks().to_vec(),
            note: checkpoint.sign(&*self.signer)?,
        })
    }
}

/// Gives a page of entries the next places in the tree.
fn merge(
    page: &[StoredEntry],
    frontier: &mut Frontier,
    order: &mut HashMap<WriterId, u64>,
) -> Result<Vec<SequencedLeaf>, Stopped> {
    let mut leaves = Vec::with_capacity(page.len());
    for entry in page {
        let position = entry.position;
        let last = order.insert(position.writer, position.n);
        // A gap is signed over by nobody: it would be in the tree for good.
        match last.map(|last| last.saturating_add(1)) {
            Some(expected) if expected != position.n => {
                return Err(Stopped::Gap {
                    found: position,
                    expected,
                });
            }
            Some(_) | None => {}
        }
        let leaf = SequencedLeaf {
            index: frontier.size(),
            position,
            hash: leaf_hash(position, &entry.leaf),
        };
        frontier.append(leaf.hash);
        leaves.push(leaf);
    }
    Ok(leaves)
}

/// Leaves per transaction: large enough that signing and syncing cost little per leaf, small enough
/// that a commit of requests waiting behind it does not notice.
const PAGE: u32 = 256;
/// Pages per run.
const PAGES: u32 = 256;
/// Leaves that are hashed before requests get their turn: a third of a millisecond.
const BREATH: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard};

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, ready};

    use super::*;
    use crate::ledger::checkpoint::testing::Signer;
    use crate::ledger::tree;
    use crate::store::Sequenced;

    /// Entries in memory; the leaves are in the tree's order.
    #[derive(Default)]
    struct Fake(Mutex<State>);

    #[derive(Default)]
    struct State {
        entries: Vec<StoredEntry>,
        leaves: Vec<SequencedLeaf>,
        checkpoint: Option<StoredCheckpoint>,
        /// The next append is lost: before it is written, or after.
        crash: Option<Crash>,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Crash {
        Before,
        After,
    }

    impl Fake {
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }

        fn write(&self, writer: u32, numbers: impl IntoIterator<Item = u64>) {
            let entry = |n| StoredEntry {
                position: Position {
                    writer: WriterId(writer),
                    n,
                },
                at: Timestamp::EPOCH,
                format: 1,
                leaf: format!("{writer}-{n}").into_bytes(),
            };
            self.state().entries.extend(numbers.into_iter().map(entry));
        }

        fn head(&self) -> Option<tree::TreeHead> {
            let note = self.state().checkpoint.clone()?.note;
            let note = UnverifiedNote::parse(&note).unwrap();
            Some(note.verify(&[Signer(1).key(ORIGIN)]).unwrap().head)
        }

        /// The tree as it has to be: every entry once, in order, under a checkpoint over all.
        fn assert_whole(&self) {
            let state = self.state();
            let hash = |e: &StoredEntry| leaf_hash(e.position, &e.leaf);
            let expected: Vec<_> = (0..)
                .zip(&state.entries)
                .map(|(index, entry)| SequencedLeaf {
                    index,
                    position: entry.position,
                    hash: hash(entry),
                })
                .collect();
            assert_eq!(state.leaves, expected);
            let hashes: Vec<_> = state.entries.iter().map(hash).collect();
            drop(state);
            assert_eq!(
                self.head(),
                Some(tree::TreeHead {
                    size: hashes.len() as u64,
                    root: tree::root(&hashes)
                })
            );
        }
    }

    impl Audit for Fake {
        fn unsequenced(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
            let state = self.state();
            let rest = state.entries.iter().skip(state.leaves.len());
            let page = rest.take(limit as usize).cloned().collect();
            ready(Ok(page)).boxed()
        }

        fn append_leaves<'a>(
            &'a self,
            leaves: &'a [SequencedLeaf],
            checkpoint: &'a StoredCheckpoint,
        ) -> BoxFuture<'a, Result<(), Down>> {
            let mut state = self.state();
            let crash = state.crash.take();
            if crash != Some(Crash::Before) {
                state.leaves.extend_from_slice(leaves);
                state.checkpoint = Some(checkpoint.clone());
            }
            let lost = crash.map_or(Ok(()), |_| Err(Down("killed".to_owned())));
            ready(lost).boxed()
        }

        fn leaves(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Sequenced>, Down>> {
            let state = self.state();
            let both = state.leaves.iter().zip(&state.entries);
            let page = both
                .filter(|(leaf, _)| leaf.index >= from)
                .take(limit as usize)
                .map(|(leaf, entry)| Sequenced {
                    leaf: leaf.clone(),
                    entry: entry.clone(),
                })
                .collect();
            ready(Ok(page)).boxed()
        }

        fn checkpoint(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, Down>> {
            ready(Ok(self.state().checkpoint.clone())).boxed()
        }
    }

    const ORIGIN: &str = "writ.example.org/audit";

    fn setup() -> (Arc<Fake>, Sequencer<Fake>) {
        let store = Arc::new(Fake::default());
        let origin = ORIGIN.parse().unwrap();
        let sequencer = Sequencer::new(Arc::clone(&store), Arc::new(Signer(1)), origin);
        (store, sequencer)
    }

    #[tokio::test]
    async fn every_entry_gets_one_place_and_nothing_is_signed_without_need() {
        let (store, sequencer) = setup();
        let idle = sequencer.run(Timestamp::EPOCH).await.unwrap();
        assert_eq!((idle.appended, idle.size), (0, 0));
        assert_eq!(store.head(), None);

        store.write(1, 1..=3_000);
        let first = sequencer.run(Timestamp::EPOCH).await.unwrap();
        assert_eq!(
            (first.appended, first.size, first.more),
            (3_000, 3_000, false)
        );
        store.assert_whole();

        // Two processes take turns from here on.
        for (writer, numbers) in [(2, 1..=5), (1, 3_001..=3_002), (2, 6..=6)] {
            store.write(writer, numbers);
            sequencer.run(Timestamp::EPOCH).await.unwrap();
            store.assert_whole();
        }
        let note = store.state().checkpoint.clone();
        let later = Timestamp::from_micros(9);
        assert_eq!(sequencer.run(later).await.unwrap().appended, 0);
        assert_eq!(store.state().checkpoint, note);
    }

    #[tokio::test]
    async fn a_crash_before_or_after_the_commit_leaves_nothing_out_and_nothing_twice() {
        for crash in [Crash::Before, Crash::After] {
            let (store, sequencer) = setup();
            store.write(1, 1..=1_500);
            store.state().crash = Some(crash);
            let stopped = sequencer.run(Timestamp::EPOCH).await;
            assert!(matches!(stopped, Err(Stopped::Down(_))));
            sequencer.run(Timestamp::EPOCH).await.unwrap();
            store.assert_whole();
        }
    }

    #[tokio::test]
    async fn a_long_backlog_is_taken_in_bounded_runs() {
        let (store, sequencer) = setup();
        let bound = u64::from(PAGES * PAGE);
        store.write(1, 1..=bound + 1);
        let first = sequencer.run(Timestamp::EPOCH).await.unwrap();
        assert_eq!((first.appended, first.more), (bound, true));
        let second = sequencer.run(Timestamp::EPOCH).await.unwrap();
        assert_eq!((second.appended, second.more), (1, false));
        store.assert_whole();
    }

    #[tokio::test]
    async fn what_was_altered_in_the_store_is_not_signed_over() {
        let alterations: [fn(&mut StoredCheckpoint); 4] = [
            |stored| stored.frontier[0] = stored.frontier[1],
            |stored| stored.frontier.truncate(1),
            |stored| stored.note = stored.note.replacen("10\n", "11\n", 1),
            |stored| {
                let origin = ORIGIN.parse().unwrap();
                let root = stored.frontier[0];
                let head = tree::TreeHead { size: 8, root };
                let at = stored.at;
                let forged = Checkpoint { origin, head, at };
                stored.note = forged.sign(&Signer(2)).unwrap();
                stored.size = 8;
                stored.frontier.truncate(1);
            },
        ];
        for alter in alterations {
            let (store, sequencer) = setup();
            store.write(1, 1..=10);
            sequencer.run(Timestamp::EPOCH).await.unwrap();
            alter(store.state().checkpoint.as_mut().unwrap());
            let altered = store.state().checkpoint.clone();
            store.write(1, 11..=12);
            let stopped = sequencer.run(Timestamp::EPOCH).await;
            assert!(
                matches!(
                    stopped,
                    Err(Stopped::NotWhatWasSigned | Stopped::Frontier(_) | Stopped::Checkpoint(_))
                ),
                "{stopped:?}"
            );
            assert_eq!(store.state().checkpoint, altered);
            assert_eq!(store.state().leaves.len(), 10);
        }
    }

    #[tokio::test]
    async fn a_deleted_entry_is_not_signed_away() {
        for gap in [[1, 2, 4], [2, 3, 4]] {
            let (store, sequencer) = setup();
            store.write(7, 1..=10);
            sequencer.run(Timestamp::EPOCH).await.unwrap();
            store.write(7, gap.map(|n| n + 10));
            let stopped = sequencer.run(Timestamp::EPOCH).await;
            assert!(matches!(stopped, Err(Stopped::Gap { .. })), "{stopped:?}");
            assert_eq!(store.state().leaves.len(), 10);
        }
    }
}
