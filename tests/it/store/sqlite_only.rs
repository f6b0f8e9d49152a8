//! What is true of the embedded store only: its file, its lock, its keys before there is a keyring.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::future::join_all;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use writ::domain::ids::Realm;
use writ::domain::position::WriterId;
use writ::domain::time::Timestamp;
use writ::ledger::change::Write;
use writ::mint::rings::first_keys;
use writ::seams::SystemEntropy;
use writ::store::sqlite::{OpenError, Opened};
use writ::store::{CommitError, Down};
use writ_keys::{KeyEncryptionKey, KeyState, Maker, Pki, Purpose};

use super::durability::admitted;
use super::fixtures::{Job, REALM, grant};
use super::{NOW, World};

/// The database as whoever can write its file sees it.
async fn intruder(world: &World) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(world.db());
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_written_past_the_server_is_found_when_it_is_read() {
    let world = World::sqlite().await;
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let mut db = intruder(&world).await;
    for (wider, table) in [
        ("UPDATE task SET deadline_at = deadline_at + 1", "task"),
        (
            "UPDATE lineage SET body = replace(body, 'read', 'root')",
            "lineage",
        ),
        ("UPDATE session SET state = 2", "session"),
    ] {
        sqlx::query(wider).execute(&mut db).await.unwrap();
        let read = world.store.held(REALM, job.session.id).await;
        let Err(Down(text)) = read else {
            panic!("{table}: {read:?}");
        };
        assert!(text.contains(&format!("table {table} ")), "{text}");
        let commit = world.store.commit(job.issue()).await;
        assert!(matches!(commit, Err(CommitError::Down(_))), "{commit:?}");
        let back = match table {
            "task" => "UPDATE task SET deadline_at = deadline_at - 1",
            "lineage" => "UPDATE lineage SET body = replace(body, 'root', 'read')",
            _ => "UPDATE session SET state = 1",
        };
        sqlx::query(back).execute(&mut db).await.unwrap();
    }
    admitted(&world, job.issue()).await;
    let moved = "UPDATE credential SET expires_at = expires_at + 60000000";
    sqlx::query(moved).execute(&mut db).await.unwrap();
    let listed = world.store.credentials(REALM, job.task.id, NOW).await;
    let Err(Down(text)) = listed else {
        panic!("{listed:?}");
    };
    assert!(text.contains("table credential "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_moved_to_another_place_is_found_when_it_is_read() {
    let world = World::sqlite().await;
    let (one, two) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    let mut open = one.open();
    open.writes.push(Write::Spend {
        task: one.task.id,
        grant: grant(),
        uses: 3,
    });
    admitted(&world, open).await;
    admitted(&world, two.open()).await;
    let mut db = intruder(&world).await;
    let rename = "UPDATE task SET external = 'github/3/1' WHERE external = 'github/1/1'";
    sqlx::query(rename).execute(&mut db).await.unwrap();
    let name = super::fixtures::name("3/1");
    world.store.task_named(REALM, &name).await.unwrap_err();
    let realm = "UPDATE task SET realm = 2 WHERE external = 'github/2/1'";
    sqlx::query(realm).execute(&mut db).await.unwrap();
    let other = Realm::from_number(2);
    world.store.task(other, two.task.id).await.unwrap_err();
    sqlx::query("UPDATE spent SET used = 0")
        .execute(&mut db)
        .await
        .unwrap();
    let back = "UPDATE task SET external = 'github/1/1' WHERE external = 'github/3/1'";
    sqlx::query(back).execute(&mut db).await.unwrap();
    let mut spend = one.issue();
    spend.writes.push(Write::Spend {
        task: one.task.id,
        grant: grant(),
        uses: 1,
    });
    let commit = world.store.commit(spend).await;
    assert!(matches!(commit, Err(CommitError::Down(_))), "{commit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_row_stops_only_the_changes_that_need_it() {
    let world = World::sqlite().await;
    let (broken, whole) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    admitted(&world, broken.open()).await;
    admitted(&world, whole.open()).await;
    let mut db = intruder(&world).await;
    let rot = "UPDATE task SET body = '{}' WHERE external = 'github/1/1'";
    sqlx::query(rot).execute(&mut db).await.unwrap();
    let mut changes = Vec::new();
    for n in 0..32 {
        changes.push(if n == 13 { &broken } else { &whole }.issue());
    }
    let outcomes = super::admission::all(&world, changes).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), n != 13, "{n}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_row_is_the_answer_to_one_look_up_of_those_that_are_made_together() {
    let world = World::sqlite().await;
    let (broken, whole) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    admitted(&world, broken.open()).await;
    admitted(&world, whole.open()).await;
    let mut db = intruder(&world).await;
    let rot = "UPDATE task SET body = '{}' WHERE external = 'github/1/1'";
    sqlx::query(rot).execute(&mut db).await.unwrap();
    let sessions = (0..32).map(|n| if n == 13 { &broken } else { &whole }.session.id);
    let held = sessions.map(|session| world.store.held(REALM, session));
    for (n, held) in join_all(held).await.into_iter().enumerate() {
        match held {
            Ok(held) => assert!(n != 13 && held.unwrap().task == whole.task, "{n}"),
            Err(_) => assert_eq!(n, 13),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_file_is_refused() {
    let world = World::sqlite().await;
    let second = Opened::open(&world.db()).await;
    assert!(matches!(second, Err(OpenError::InUse(path)) if path == world.db()));
    admitted(&world, Job::new("1/1", "a").open()).await;
    world.store.close().await;
    Opened::open(&world.db()).await.map(drop).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_dropped_finishes_and_lets_go_of_its_file() {
    let mut world = World::sqlite().await;
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let path = world.db();
    world.store = World::sqlite().await.store;
    let opened = loop {
        match Opened::open(&path).await {
            Err(OpenError::InUse(_)) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(opened.keys().await.unwrap().len(), 0);
}

#[tokio::test]
async fn the_file_is_its_users_alone() {
    let world = World::sqlite().await;
    admitted(&world, Job::new("1/1", "a").open()).await;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = format!("{}{suffix}", world.db().display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_server_is_refused() {
    let world = World::sqlite().await;
    world.store.close().await;
    let mut db = intruder(&world).await;
    let newer = "INSERT INTO _sqlx_migrations
      (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let opened = Opened::open(&world.db()).await;
    assert!(matches!(opened, Err(OpenError::Schema(_))));
}

#[tokio::test]
async fn a_new_database_gets_its_keys_once() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::open(&dir.path().join("writ.db")).await.unwrap();
    assert_eq!(opened.check_value().await.unwrap(), None);
    let kek = KeyEncryptionKey::generate(&SystemEntropy);
    let pki = Pki {
        trust_domain: "example.org".to_owned(),
        lists: "https://writ.example/pki/crl".to_owned(),
    };
    let maker = Maker {
        kek: &kek,
        pki: &pki,
        entropy: &SystemEntropy,
    };
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let mut rows = first_keys(&[], maker, now).unwrap();
    let other = maker
        .make(Purpose::Handle, KeyState::Active, 5, &[])
        .unwrap();
    opened.install_keys(&rows, b"check").await.unwrap();
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(opened.keys().await.unwrap(), rows);
    let found = opened.check_value().await.unwrap();
    assert_eq!(found.as_deref(), Some(b"check".as_slice()));
    let again = opened.install_keys(&[other], b"other").await;
    assert!(again.is_err());
    assert_eq!(opened.keys().await.unwrap(), rows);
    assert_eq!(opened.check_value().await.unwrap(), found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_start_is_a_writer_of_its_own() {
    let world = World::sqlite().await;
    let job = Job::new("1/1", "a");
    assert_eq!(admitted(&world, job.open()).await.writer, WriterId(1));
    let world = world.restarted().await;
    assert_eq!(admitted(&world, job.issue()).await.writer, WriterId(2));
}
