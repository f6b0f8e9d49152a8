//! Every statement of the embedded store finds its rows by a key. One that walks a table is correct in
//! every other test, and takes seconds where there are a million rows.

use std::fs;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::World;

/// Tables that grow with what is issued.
const LARGE: [&str; 12] = [
    "entry",
    "leaf",
    "task",
    "lineage",
    "session",
    "binding",
    "credential",
    "certificate",
    "once",
    "spent",
    "reservation",
    "answered",
];

/// The statements of a source file: its string constants with a verb of SQL.
fn statements(source: &str) -> Vec<(String, String)> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let constants = code.split("\nconst ").skip(1).filter_map(|constant| {
        let (name, rest) = constant.split_once(": &str = \"")?;
        let (sql, _) = rest.split_once("\";")?;
        Some((name.to_owned(), sql.to_owned()))
    });
    let is_sql = |sql: &str| {
        ["SELECT", "DELETE", "UPDATE"]
            .iter()
            .any(|verb| sql.contains(verb))
    };
    constants.filter(|(_, sql)| is_sql(sql)).collect()
}

/// What is wrong with one line of a plan. A key whose first column is the realm finds nothing by that
/// column alone, because nearly all rows share it.
fn walks(line: &str) -> bool {
    let by_realm_alone = line.contains("SEARCH") && line.contains("(realm=?)");
    let words: Vec<_> = line.split_whitespace().collect();
    let scanned = words.iter().position(|word| *word == "SCAN");
    let scanned = scanned.and_then(|at| words.get(at + 1));
    by_realm_alone || scanned.is_some_and(|table| LARGE.contains(table))
}

#[tokio::test]
async fn no_statement_walks_a_table_that_grows() {
    let world = World::sqlite().await;
    let options = SqliteConnectOptions::new().filename(world.db());
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite");
    let (mut seen, mut walking) = (0, Vec::new());
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        for (name, sql) in statements(&fs::read_to_string(&path).unwrap()) {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let plan = sqlx::query(explain).fetch_all(&mut db).await.unwrap();
            let lines = plan.iter().map(|row| row.get::<String, _>("detail"));
            let bad = lines.filter(|line| walks(line));
            walking.extend(bad.map(|line| format!("{} {name}: {line}", path.display())));
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} statements were found");
    assert!(walking.is_empty(), "{}", walking.join("\n"));
}
