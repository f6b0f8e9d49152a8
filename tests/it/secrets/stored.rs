//! At rest: versions, deletion, and ciphertext that opens only in its place.

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use writ::domain::credential::CredentialKind;

use crate::support::desk::Desk;
use crate::support::held::{Held, order};
use crate::support::profiles::DEPLOY;

impl Held {
    async fn value(&self, path: &str) -> Result<String, u16> {
        let answer = self.client.secret(path, &self.first, Some(&self.key)).await;
        match answer.json["value"].as_str() {
            Some(value) if answer.status == 200 => Ok(value.to_owned()),
            _ => Err(answer.status.as_u16()),
        }
    }

    /// Alters the database behind the broker's back.
    async fn tamper(&self, statement: &'static str) -> u64 {
        let options =
            SqliteConnectOptions::new().filename(self.broker.files.path().join("writ.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let done = sqlx::query(statement).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        done.rows_affected()
    }
}

#[tokio::test]
async fn the_newest_version_is_read_and_the_lease_says_which() {
    let held = Held::asking(DEPLOY, &[]).await;
    assert_eq!(held.broker.put_secret("ci/prod/db", "one").await, 1);
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "one");
    assert_eq!(held.broker.put_secret("ci/prod/db", "two").await, 2);
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "two");
    let all = held.broker.credentials().await;
    let versions = all.iter().filter_map(|c| match &c.kind {
        CredentialKind::SecretLease(lease) => Some(lease.version),
        CredentialKind::AccessToken(_)
        | CredentialKind::JwtSvid(_)
        | CredentialKind::X509Svid(_) => None,
    });
    let mut versions: Vec<_> = versions.collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn a_value_that_is_stored_already_is_not_stored_again() {
    let held = Held::asking(DEPLOY, &[]).await;
    let desk = Desk::open(&held.broker);
    let put = async |value: &'static str| {
        let said = desk
            .run(&["secret", "put", "ci/prod/db", "-o", "json"], value)
            .await;
        let stored: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        (
            stored["version"].as_u64().unwrap(),
            stored["unchanged"].as_bool().unwrap(),
        )
    };
    assert_eq!(put("one").await, (1, false));
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "one");
    let exposed = async || {
        let path = format!("/api/v1/tasks/{}/exposure", held.first.text("task"));
        let told = desk.get(&path).await;
        told.json["values"][0]["replaced"].as_bool().unwrap()
    };
    // Whoever lost the answer, or only thinks that the value was changed, has rotated nothing.
    let before = held.broker.recorded().await;
    assert_eq!(put("one").await, (1, true));
    assert_eq!(held.broker.recorded().await, before);
    assert!(!exposed().await);
    let said = desk.run(&["secret", "put", "ci/prod/db"], "one").await;
    assert!(said.out.contains("nothing was stored"), "{said:?}");

    assert_eq!(put("two").await, (2, false));
    assert!(exposed().await);
    // A value of before is a new one: what was read last is not good any more.
    assert_eq!(put("one").await, (3, false));
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "one");
}

#[tokio::test]
async fn a_value_whose_sealed_bytes_are_spoilt_is_stored_again() {
    let held = Held::asking(DEPLOY, &[]).await;
    assert_eq!(held.broker.put_secret("ci/prod/db", "one").await, 1);
    let spoil = "UPDATE secret_version SET sealed = randomblob(64)";
    assert_eq!(held.tamper(spoil).await, 1);
    assert_eq!(held.value("ci/prod/db").await, Err(503));
    assert_eq!(held.broker.put_secret("ci/prod/db", "one").await, 2);
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "one");
}

#[tokio::test]
async fn a_deleted_secret_is_gone_and_its_version_numbers_are_not_used_again() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "one").await;
    let path = "ci/prod/db".parse().unwrap();
    let verbs = &held.broker.wired.broker;
    verbs.delete_secret(&path, &order()).await.unwrap();
    assert_eq!(held.value("ci/prod/db").await, Err(404));
    assert_eq!(
        verbs
            .delete_secret(&path, &order())
            .await
            .unwrap_err()
            .code()
            .as_str(),
        "not_found"
    );
    assert_eq!(held.broker.put_secret("ci/prod/db", "three").await, 2);
    assert_eq!(held.value("ci/prod/db").await.unwrap(), "three");
}

#[tokio::test]
async fn many_writers_of_one_secret_each_get_a_version_of_their_own() {
    let held = Held::asking(DEPLOY, &[]).await;
    let broker = &held.broker;
    let puts = ["a", "b", "c"].map(|value| broker.put_secret("ci/prod/db", value));
    let mut versions = futures_util::future::join_all(puts).await;
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn bytes_that_are_no_text_come_back_as_they_were() {
    let held = Held::asking(DEPLOY, &[]).await;
    let value = writ::domain::secret::Secret::from(zeroize::Zeroizing::new(vec![0xff, 0x00, 0xfe]));
    let path = "ci/prod/blob".parse().unwrap();
    held.broker
        .wired
        .broker
        .put_secret(&path, &value, &order())
        .await
        .unwrap();
    let answer = held
        .client
        .secret("ci/prod/blob", &held.first, Some(&held.key))
        .await;
    assert_eq!(
        (answer.text("encoding"), answer.text("value")),
        ("base64", "/wD+")
    );
}

#[tokio::test]
async fn a_sealed_row_swapped_for_anothers_does_not_open() {
    for statement in [
        // The ciphertext of another path, alone and with the row's own code.
        "UPDATE secret_version SET wrapped = o.wrapped, sealed = o.sealed FROM \
         (SELECT * FROM secret_version WHERE path = 'ci/staging/db') o WHERE secret_version.path = 'ci/prod/db'",
        "UPDATE secret_version SET wrapped = o.wrapped, sealed = o.sealed, digest = o.digest, key_id = o.key_id, mac = o.mac FROM \
         (SELECT * FROM secret_version WHERE path = 'ci/staging/db') o WHERE secret_version.path = 'ci/prod/db'",
        // The row of another path, under this path's name.
        "UPDATE OR REPLACE secret_version SET path = 'ci/prod/db' WHERE path = 'ci/staging/db'",
        // One byte.
        "UPDATE secret_version SET sealed = CAST(CASE substr(sealed, 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END \
         || substr(sealed, 2) AS BLOB) WHERE path = 'ci/prod/db'",
        // A deleted or older version brought back.
        "UPDATE secret SET latest = 7 WHERE path = 'ci/prod/db'",
    ] {
        let held = Held::asking(DEPLOY, &[]).await;
        held.broker
            .put_secret("ci/staging/db", "staging-canary")
            .await;
        held.broker.put_secret("ci/prod/db", "prod-canary").await;
        assert_eq!(held.tamper(statement).await, 1, "{statement}");
        let before = held.broker.recorded().await;
        let read = held.value("ci/prod/db").await;
        assert!(matches!(read, Err(500..=503)), "{statement}: {read:?}");
        assert_eq!(held.broker.recorded().await, before, "{statement}");
    }
}

#[tokio::test]
async fn a_session_whose_row_was_altered_is_not_believed() {
    let held = Held::billing(DEPLOY).await;
    let statement = "UPDATE session SET body = replace(body, '\"live\"', '\"live\" ')";
    assert_eq!(held.tamper(statement).await, 1);
    let before = held.broker.credentials().await.len();
    let renewal = held.renew().await;
    assert!(renewal.status.is_server_error(), "{renewal:?}");
    assert!(renewal.json.get("access_token").is_none());
    assert_eq!(held.broker.credentials().await.len(), before);
}
