//! What an auditor does with the log, and what a thief of it gets.

use writ::ledger::replay::Replay;
use writ::ledger::verify::{Trusted, verify, verify_each};

use crate::audit::busy::{CANARIES, day};
use crate::audit::export::{export, key, sequence};
use crate::support::broker::Broker;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

fn trusting(broker: &Broker) -> Trusted {
    Trusted {
        keys: vec![key(broker)],
        checkpoint: None,
    }
}

#[tokio::test]
async fn after_a_busy_day_the_log_is_whole_and_every_issue_in_it_was_allowed() {
    let (held, _) = day().await;
    let entries = held.broker.log().await.len();
    let credentials = held.broker.credentials().await.len();
    assert_eq!(sequence(&held.broker).await.size, entries as u64);
    let export = export(&held.broker).await;
    let mut replay = Replay::default();
    let mut illegal = Vec::new();
    let verified = verify_each(export.as_slice(), &trusting(&held.broker), |entry| {
        if let Err(why) = replay.step(entry.index, entry.leaf) {
            illegal.push(why);
        }
    });
    assert_eq!(verified.unwrap().checkpoint.head.size, entries as u64);
    assert!(illegal.is_empty(), "{illegal:?}");
    assert_eq!(replay.finish().credentials, credentials as u64);
}

#[tokio::test]
async fn a_day_in_two_parts_is_one_log_that_extends_the_checkpoint_kept_elsewhere() {
    let held = Held::billing(DEPLOY).await;
    sequence(&held.broker).await;
    let first = export(&held.broker).await;
    let kept = verify(first.as_slice(), &trusting(&held.broker))
        .unwrap()
        .checkpoint;
    held.renew().await.assert_issued();
    sequence(&held.broker).await;
    let second = export(&held.broker).await;
    let trusted = Trusted {
        checkpoint: Some(kept),
        ..trusting(&held.broker)
    };
    verify(second.as_slice(), &trusted).unwrap();
}

#[tokio::test]
async fn a73_entries_cut_off_left_out_or_rolled_back_are_found() {
    let held = Held::billing(DEPLOY).await;
    held.renew().await.assert_issued();
    sequence(&held.broker).await;
    let old = export(&held.broker).await;
    held.renew().await.assert_issued();
    sequence(&held.broker).await;
    let new = export(&held.broker).await;
    let trusted = Trusted {
        checkpoint: Some(
            verify(new.as_slice(), &trusting(&held.broker))
                .unwrap()
                .checkpoint,
        ),
        ..trusting(&held.broker)
    };
    // The older export is good in itself, and a rollback to whoever kept the newer checkpoint.
    verify(old.as_slice(), &trusting(&held.broker)).unwrap();
    assert!(verify(old.as_slice(), &trusted).is_err());
    let text = String::from_utf8(new).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for missing in 0..lines.len() {
        let mut kept = lines.clone();
        kept.remove(missing);
        let cut = kept.join("\n") + "\n";
        assert!(
            verify(cut.as_bytes(), &trusting(&held.broker)).is_err(),
            "{missing}"
        );
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    let swapped = swapped.join("\n") + "\n";
    assert!(verify(swapped.as_bytes(), &trusting(&held.broker)).is_err());
}

#[tokio::test]
async fn no_secret_token_handle_or_proof_is_in_the_export_or_the_database() {
    let (held, seen) = day().await;
    sequence(&held.broker).await;
    let mut places = vec![("export".to_owned(), decoded(&export(&held.broker).await))];
    for file in std::fs::read_dir(held.broker.files.path()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("writ.db") {
            places.push((name, std::fs::read(file.path()).unwrap()));
        }
    }
    assert!(places.iter().any(|(name, _)| name.ends_with("-wal")));
    let canaries = CANARIES
        .iter()
        .copied()
        .chain(seen.iter().map(String::as_str));
    for canary in canaries {
        let signature = canary.rsplit('.').next().unwrap();
        for (place, bytes) in &places {
            assert!(!contains(bytes, canary), "{canary} in {place}");
            assert!(
                !contains(bytes, signature),
                "the signature of {canary} in {place}"
            );
        }
    }
}

/// The export with its leaves as an auditor reads them.
fn decoded(export: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let mut out = export.to_vec();
    for line in export.split(|byte| *byte == b'\n') {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        if let Some(leaf) = line["leaf"].as_str() {
            out.extend(
                base64::engine::general_purpose::STANDARD
                    .decode(leaf)
                    .unwrap(),
            );
        }
    }
    out
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
