//! What can be asked, and in which order it is told.

use writ::domain::context::RecordKey;
use writ::domain::key::{Digest, Thumbprint};
use writ::domain::session::Session;
use writ::domain::task::End;
use writ::error::Code;
use writ::ledger::change::{SealedVersion, Write};
use writ::ledger::entry::{FORMAT, Leaf};
use writ::ledger::rows::Refusal;
use writ::store::{Down, SequencedLeaf, StoredCheckpoint};

use super::admission::refusal;
use super::durability::admitted;
use super::fixtures::{Job, REALM, record};
use super::{NOW, World};

pub(super) async fn standing_finds_task_lineage_and_session_by_their_names(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let keyless = Session {
        id: writ::domain::ids::SessionId::new(NOW, &writ::seams::SystemEntropy),
        key: None,
        ..job.session.clone()
    };
    let other_key = Some(Thumbprint::from_bytes([8; 32]));
    let second = Write::Session(keyless.clone());
    admitted(&world, job.issuing(vec![job.lineage_live()], vec![second])).await;
    let name = &job.task.name;
    let here = &job.lineage.instance;
    let elsewhere = "b".parse().unwrap();
    for (instance, key, lineage, session) in [
        (
            here,
            job.session.key,
            Some(&job.lineage),
            Some(&job.session),
        ),
        (here, None, Some(&job.lineage), Some(&keyless)),
        (here, other_key, Some(&job.lineage), None),
        (&elsewhere, job.session.key, None, None),
    ] {
        let stands = world.store.standing(REALM, name, instance, key).await;
        let stands = stands.unwrap();
        assert_eq!(stands.task.as_ref(), Some(&job.task));
        assert_eq!(stands.lineage.as_ref(), lineage);
        assert_eq!(stands.session.as_ref(), session);
    }
}

pub(super) async fn listings_page_in_their_order(world: World) {
    let mut ids = Vec::new();
    for n in 0..5 {
        let job = Job::new(&format!("{n}/1"), "a");
        admitted(&world, job.open()).await;
        ids.push(job.task.id);
    }
    ids.sort_unstable();
    ids.reverse();
    let mut told = Vec::new();
    let mut before = None;
    loop {
        let page = world.store.tasks(REALM, before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        told.extend(page.iter().map(|task| task.id));
    }
    assert_eq!(told, ids);
}

pub(super) async fn bound_names_the_lineages_of_a_run_while_its_task_is_open(world: World) {
    let (job, closed) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    let beside = job.beside("b");
    admitted(&world, job.open()).await;
    admitted(&world, beside.join()).await;
    admitted(&world, closed.open()).await;
    let tied = |record: RecordKey| {
        let store = &world.store;
        async move {
            let tied = store.bound(REALM, &record).await.unwrap();
            let mut ids: Vec<_> = tied.iter().map(|tied| tied.lineage.id).collect();
            ids.sort_unstable();
            ids
        }
    };
    let mut both = [job.lineage.id, beside.lineage.id];
    both.sort_unstable();
    assert_eq!(tied(record("1/1")).await, both);
    let ended = End::new(Code::ContextMismatch, NOW);
    let ended = Write::Lineage(job.lineage.clone().end(ended).unwrap());
    admitted(&world, job.issuing(vec![], vec![ended])).await;
    // The run may end after every job of it has, and is what the task stands on.
    assert_eq!(tied(record("1/1")).await, both);
    admitted(&world, closed.revoke()).await;
    assert!(tied(record("2/1")).await.is_empty());
}

pub(super) async fn secrets_are_versioned_and_a_deleted_one_keeps_its_number(world: World) {
    let job = Job::new("1/1", "a");
    let put =
        |path: &str, version: u32| job.issuing(vec![], vec![Write::Secret(sealed(path, version))]);
    admitted(&world, put("prod/db", 1)).await;
    admitted(&world, put("prod/db", 2)).await;
    admitted(&world, put("prod/api", 1)).await;
    assert_eq!(refusal(&world, put("prod/db", 2)).await, Refusal::Moved);
    let path = "prod/db".parse().unwrap();
    let newest = world.store.secret(REALM, &path).await.unwrap();
    assert_eq!(newest, Some(sealed("prod/db", 2)));
    let first = world.store.secrets(REALM, None, 1).await.unwrap();
    assert_eq!(first[0].path.as_str(), "prod/api");
    let rest = world.store.secrets(REALM, Some(&first[0].path), 10).await;
    let rest = rest.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!((rest[0].path.as_str(), rest[0].version), ("prod/db", 2));
    let delete = Write::SecretDeleted { path: path.clone() };
    admitted(&world, job.issuing(vec![], vec![delete])).await;
    assert_eq!(world.store.secret(REALM, &path).await.unwrap(), None);
    assert_eq!(world.store.secrets(REALM, None, 10).await.unwrap().len(), 1);
    for spent in [1, 2] {
        assert_eq!(refusal(&world, put("prod/db", spent)).await, Refusal::Moved);
    }
    admitted(&world, put("prod/db", 3)).await;
    let again = world.store.secret(REALM, &path).await.unwrap();
    assert_eq!(again.map(|secret| secret.version), Some(3));
}

pub(super) async fn entries_are_told_by_position_and_task(world: World) {
    let (job, other) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    let open = job.open();
    let first = admitted(&world, open.clone()).await;
    admitted(&world, other.open()).await;
    let second = admitted(&world, job.issue()).await;
    let entry = world.store.entry(first).await.unwrap().unwrap();
    assert_eq!(entry.leaf, open.leaf().unwrap());
    assert_eq!(entry.format, FORMAT);
    let leaf: Leaf = serde_json::from_slice(&entry.leaf).unwrap();
    assert_eq!((leaf.change, leaf.expects), (open.id, open.expects));
    assert_eq!(leaf.writes, open.writes);
    let told = world.store.entries(REALM, job.task.id, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|entry| entry.position).collect();
    assert_eq!(told, [second, first]);
    let newest = world.store.entries(REALM, job.task.id, 1).await.unwrap();
    assert_eq!(newest[0].position, second);
}

pub(super) async fn leaves_are_appended_once_and_read_in_order(world: World) {
    let job = Job::new("1/1", "a");
    let first = admitted(&world, job.open()).await;
    let second = admitted(&world, job.issue()).await;
    let waiting = world.store.unsequenced(10).await.unwrap();
    let positions: Vec<_> = waiting.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [first, second]);
    let leaf = |index, position| SequencedLeaf {
        index,
        position,
        hash: Digest::of(&[b"leaf"]),
    };
    let checkpoint = StoredCheckpoint {
        size: 1,
        at: NOW,
        frontier: vec![Digest::of(&[b"one"]), Digest::of(&[b"two"])],
        note: "log\n1\n".to_owned(),
    };
    let one = [leaf(0, first)];
    world.store.append_leaves(&one, &checkpoint).await.unwrap();
    assert_eq!(
        world.store.checkpoint().await.unwrap(),
        Some(checkpoint.clone())
    );
    // An index or entry that is in the tree stays what it is, and so does the checkpoint.
    let taller = StoredCheckpoint {
        size: 2,
        ..checkpoint.clone()
    };
    for twice in [leaf(0, second), leaf(1, first)] {
        let append = world.store.append_leaves(&[twice], &taller).await;
        assert!(matches!(append, Err(Down(_))), "{append:?}");
    }
    assert_eq!(world.store.checkpoint().await.unwrap(), Some(checkpoint));
    let world = world.restarted().await;
    let third = admitted(&world, job.issue()).await;
    let waiting = world.store.unsequenced(10).await.unwrap();
    let positions: Vec<_> = waiting.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [second, third]);
    let rest = [leaf(1, second), leaf(2, third)];
    world.store.append_leaves(&rest, &taller).await.unwrap();
    let told = world.store.leaves(1, 10).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|sequenced| sequenced.leaf).collect();
    assert_eq!(told, rest);
    assert!(world.store.unsequenced(10).await.unwrap().is_empty());
}

fn sealed(path: &str, version: u32) -> SealedVersion {
    SealedVersion {
        path: path.parse().unwrap(),
        version,
        at: NOW,
        key_id: "k1".to_owned(),
        digest: Digest::of(&[b"sealed"]),
        wrapped: vec![0, 255, 1],
        sealed: version.to_be_bytes().to_vec(),
    }
}
