//! A server that must not start says why and how to mend it, and leaves what is there as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::process::{Ground, within, writ};

#[tokio::test]
async fn a76_a_second_server_on_the_same_database_is_refused_and_the_first_goes_on() {
    let ground = Ground::new().await;
    let first = ground.start().await;
    let said = ground.refused().await;
    assert!(
        said.contains("another server is running on this database"),
        "{said}"
    );
    assert_eq!(ground.platform("/readyz").await.unwrap().0, 200);
    first.stop().await;
}

#[tokio::test]
async fn another_key_encryption_key_than_the_databases_is_refused() {
    let (ground, other) = (Ground::new().await, Ground::new().await);
    ground.start().await.stop().await;
    other.start().await.stop().await;
    let own = ground.read("kek");
    ground.write("kek", &other.read("kek"));
    let said = ground.refused().await;
    assert!(
        said.contains("not the one that this database was made with"),
        "{said}"
    );
    ground.write("kek", &own);
    ground.start().await.stop().await;
}

#[tokio::test]
async fn a_lost_key_encryption_key_is_not_replaced_by_a_new_one() {
    let ground = Ground::new().await;
    ground.start().await.stop().await;
    let kek = ground.dir().join("kek");
    fs::rename(&kek, ground.dir().join("kek.lost")).unwrap();
    let said = ground.refused().await;
    assert!(said.contains("restore the key"), "{said}");
    assert!(!kek.exists(), "a new key was made beside an old database");
}

#[tokio::test]
async fn a_key_encryption_key_that_others_can_read_is_refused_with_the_mend() {
    let ground = Ground::new().await;
    ground.start().await.stop().await;
    let kek = ground.dir().join("kek");
    fs::set_permissions(&kek, Permissions::from_mode(0o644)).unwrap();
    let said = ground.refused().await;
    assert!(said.contains("0644") && said.contains("chmod"), "{said}");
    fs::set_permissions(&kek, Permissions::from_mode(0o600)).unwrap();
    ground.start().await.stop().await;
}

#[tokio::test]
async fn a_key_encryption_key_behind_a_symbolic_link_is_refused() {
    let ground = Ground::new().await;
    ground.start().await.stop().await;
    let (kek, moved) = (ground.dir().join("kek"), ground.dir().join("elsewhere"));
    fs::rename(&kek, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &kek).unwrap();
    let said = ground.refused().await;
    assert!(said.contains("symbolic link"), "{said}");
}

#[tokio::test]
async fn a76_a_database_that_a_newer_release_has_changed_is_refused() {
    let ground = Ground::new().await;
    ground.start().await.stop().await;
    statement(
        &ground,
        "INSERT INTO _sqlx_migrations
             (version, description, installed_on, success, checksum, execution_time)
         VALUES (99, 'of the future', '2031-01-01', 1, x'00', 0)",
    )
    .await;
    let said = ground.refused().await;
    assert!(said.contains("schema is not this server's"), "{said}");
    assert!(said.contains("99"), "{said}");
}

#[tokio::test]
async fn a76_a_row_that_was_altered_in_the_database_is_not_believed() {
    let ground = Ground::new().await;
    ground.start().await.stop().await;
    statement(
        &ground,
        "UPDATE key SET wrapped = randomblob(length(wrapped))",
    )
    .await;
    ground.refused().await;
}

#[tokio::test]
async fn plain_http_for_others_is_refused_by_the_check_with_its_place() {
    let ground = Ground::new().await;
    let sound = ground.read("writ.toml");
    let address = format!("address = \"{}:8420\"", ground.host);
    assert!(sound.contains(&address));
    ground.write(
        "open.toml",
        &sound.replace(&address, "address = \"0.0.0.0:8420\""),
    );
    let line = sound.lines().position(|line| line == address).unwrap() + 1;

    let said = ground.operator(&["config", "check", "open.toml"], "").await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let place = format!("open.toml:{line}:");
    assert!(
        said.out.contains(&place) && said.out.contains("plain_http_exposed"),
        "{said:?}"
    );
    let fine = ground.operator(&["config", "check", "writ.toml"], "").await;
    assert_eq!(fine.code, Some(0), "{fine:?}");
}

#[tokio::test]
async fn what_a_file_names_lies_beside_it_from_wherever_it_is_named() {
    let ground = Ground::new().await;
    let (above, own) = (ground.dir().parent().unwrap(), ground.dir().file_name());
    let file = Path::new(own.unwrap()).join("writ.toml");
    let mut command = writ();
    command.args(["config", "check"]).arg(file);
    let output = within(command.current_dir(above).output()).await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let socket = ground.dir().join("admin.sock");
    assert!(told.contains(socket.to_str().unwrap()), "{told}");
}

#[tokio::test]
async fn a56_an_admin_socket_in_a_directory_that_all_may_write_is_refused() {
    let ground = Ground::new().await;
    let open = ground.dir().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let text = ground.read("writ.toml");
    ground.write("writ.toml", &text.replace("admin.sock", "open/admin.sock"));
    ground.refused().await;
    assert!(!open.join("admin.sock").exists());
}

/// Does something to the database that no server does.
async fn statement(ground: &Ground, sql: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(ground.dir().join("writ.db"));
    let mut db = options.connect().await.unwrap();
    let done = db.execute(sql).await.unwrap();
    assert!(done.rows_affected() > 0);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a75_nothing_of_an_operator_or_of_the_platform_is_on_the_public_listener() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    ground.put_secret("ci/prod/db", "hunter2").await;
    let http = ground.client().http;
    for (method, path) in [
        ("GET", "/api/v1/tasks"),
        ("POST", "/api/v1/tasks/github%2F1%2F2%2F3/revoke"),
        ("POST", "/api/v1/find"),
        ("GET", "/api/v1/secrets"),
        ("PUT", "/api/v1/secrets/ci/prod/db"),
        ("DELETE", "/api/v1/secrets/ci/prod/db"),
        ("POST", "/api/v1/keys"),
        ("GET", "/api/v1/audit/export"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
    ] {
        let url = format!("{}{path}", ground.issuer);
        let request = http.request(method.parse().unwrap(), url);
        let status = request.body("stolen").send().await.unwrap().status();
        assert_eq!(status, 404, "{method} {path}");
    }
    let listed = ground
        .operator(&["secret", "list", "-o", "json"], "")
        .await
        .out;
    assert!(
        listed.contains("\"version\": 1") || listed.contains("\"version\":1"),
        "{listed}"
    );
    server.stop().await;
}
