//! What every store owes its callers: one suite, run by each backend. A claim is an async function
//! over a [`World`]; a backend is a way to make one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing where it looks has failed"
)]

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use writ::domain::key::Digest;
use writ::domain::time::Timestamp;
use writ::seams::ManualClock;
use writ::store::row_mac::RowMac;
use writ::store::sqlite::Opened;
use writ::store::{Settings, Store};

mod admission;
mod durability;
mod fixtures;
mod inquiry;
mod plans;
mod reading;
mod sqlite_only;
mod upkeep;

/// A store with a clock that stands still, and the policies that it compares with.
struct World {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    policy_set: Arc<ArcSwap<Digest>>,
    fatal: CancellationToken,
    dir: TempDir,
}

/// A row key that needs no keyring.
struct TestMac;

impl RowMac for TestMac {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut keyed = vec![b"row key".as_slice()];
        keyed.extend(parts);
        *Digest::of(&keyed).as_bytes()
    }

    fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(parts) == mac
    }
}

impl World {
    async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let policy_set = Arc::new(ArcSwap::from_pointee(fixtures::policies()));
        let (store, fatal) = start(&db(&dir), &clock, &policy_set).await;
        Self {
            store,
            clock,
            policy_set,
            fatal,
            dir,
        }
    }

    /// The same database under a new process start.
    async fn restarted(mut self) -> Self {
        self.store.close().await;
        (self.store, self.fatal) = start(&db(&self.dir), &self.clock, &self.policy_set).await;
        self
    }

    fn db(&self) -> std::path::PathBuf {
        db(&self.dir)
    }
}

fn db(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("writ.db")
}

async fn start(
    path: &Path,
    clock: &Arc<ManualClock>,
    policy_set: &Arc<ArcSwap<Digest>>,
) -> (Arc<dyn Store>, CancellationToken) {
    let opened = Opened::open(path).await.unwrap();
    let clock = Arc::clone(clock);
    let store = opened
        .start(
            Arc::new(TestMac),
            clock,
            Arc::clone(policy_set),
            Settings::default(),
        )
        .await
        .unwrap();
    let fatal = store.fatal();
    (Arc::new(store), fatal)
}

const NOW: Timestamp = Timestamp::from_micros(1_900_000_000_000_000);

/// Runs each claim over a world of one backend.
macro_rules! suite {
    ($backend:ident, $($group:ident::$claim:ident,)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$group::$claim(super::World::$backend().await).await;
                }
            )*
        }
    };
}

suite! { sqlite,
    admission::an_opening_change_is_admitted_and_everything_of_it_is_there,
    admission::a_refused_change_leaves_nothing_and_takes_no_number,
    admission::each_expectation_refuses_by_its_own_name,
    admission::of_two_openings_of_one_name_exactly_one_wins,
    admission::of_many_openings_of_one_instance_exactly_one_wins,
    admission::a_single_use_key_is_used_once_and_names_its_session,
    admission::uses_are_counted_over_changes_and_batches,
    admission::a_parent_that_was_barred_gives_nothing,
    admission::nothing_is_issued_under_a_task_that_ends_in_the_same_batch,
    admission::rows_of_two_realms_do_not_meet,
    durability::a_dropped_caller_does_not_undo_the_commit,
    durability::numbers_have_no_gaps_under_concurrency,
    durability::everything_is_there_after_a_restart,
    durability::a_tombstone_is_in_the_view_before_the_answer,
    durability::a_bar_is_in_the_view_after_a_restart_and_never_shortened,
    durability::a_closed_store_takes_no_change,
    durability::an_order_is_known_by_its_key_after_a_restart_until_its_time_is_over,
    durability::a_freeze_binds_after_a_restart_until_it_is_lifted,
    inquiry::an_entry_is_found_by_the_moment_it_was_made_whoever_wrote_it,
    inquiry::names_lineages_and_sessions_are_listed_by_their_keys,
    inquiry::refusals_page_in_the_order_of_time_and_nothing_else_is_among_them,
    reading::standing_finds_task_lineage_and_session_by_their_names,
    reading::listings_page_in_their_order,
    reading::bound_names_the_lineages_of_a_run_while_its_task_is_open,
    reading::secrets_are_versioned_and_a_deleted_one_keeps_its_number,
    reading::entries_are_told_by_position_and_task,
    reading::leaves_are_appended_once_and_read_in_order,
    upkeep::the_sweep_deletes_what_is_long_over_and_nothing_else,
    upkeep::the_sweep_never_takes_more_than_it_is_given,
    upkeep::a_ping_is_a_round_trip_and_a_lone_writer_has_no_news,
}
