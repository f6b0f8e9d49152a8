//! An export of a broker's log, as an auditor gets it.

use writ::jobs::sequencer::Report;
use writ::ledger::checkpoint::CheckpointSigner as _;
use writ::ledger::checkpoint::{CheckpointKey, Origin};
use writ::ledger::export::{ExportWriter, Exported};
use writ::mint::rings::SharedRing;
use writ::seams::Clock as _;

use crate::support::broker::Broker;

/// Gives every entry its place in the tree.
pub(super) async fn sequence(broker: &Broker) -> Report {
    let report = broker
        .wired
        .sequencer
        .run(broker.clock.now())
        .await
        .unwrap();
    assert!(!report.more);
    report
}

/// The key that checkpoints are signed with, as an auditor keeps it.
pub(super) fn key(broker: &Broker) -> CheckpointKey {
    let ring = SharedRing(std::sync::Arc::clone(&broker.wired.broker.minter.keys));
    let origin: Origin = "test.example/writ".parse().unwrap();
    let [ed25519] = ring.public_keys()[..] else {
        panic!("one checkpoint key");
    };
    CheckpointKey { origin, ed25519 }
}

/// The whole log up to the newest checkpoint.
pub(super) async fn export(broker: &Broker) -> Vec<u8> {
    let store = &broker.wired.broker.store;
    let checkpoint = store.checkpoint().await.unwrap().unwrap();
    let mut out = Vec::new();
    let mut writer = ExportWriter::start(&mut out, &checkpoint.note, &key(broker)).unwrap();
    for found in store.leaves(0, 10_000).await.unwrap() {
        let entry = Exported {
            index: found.leaf.index,
            position: found.leaf.position,
            hash: found.leaf.hash,
            leaf: &found.entry.leaf,
        };
        writer.push(&entry).unwrap();
    }
    assert_eq!(writer.finish().unwrap().size, checkpoint.size);
    out
}
