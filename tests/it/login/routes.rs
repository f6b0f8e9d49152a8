//! The table of operators' routes, walked: each takes its role, from everybody.

use serde_json::{Value, json};
use writ::domain::role::Role;
use writ::surface::http::admin::table;
use writ::surface::http::openapi;

use super::refusals::{AtWork, at_work};
use super::{Place, address};

/// A path that names nothing, so that whoever is let through changes nothing either.
fn filled(path: &str) -> String {
    path.replace("{task}", "github%2F1%2F2%2F3")
        .replace("{id}", "dn-1-1")
        .replace("{about}", "dn-1-1")
        .replace("{step}", "activate")
        .replace("{scope}", "all")
        .replace("{*path}", "no/such")
}

/// A path that names what is there, so that whoever is refused could have changed it.
fn standing(path: &str, work: &AtWork) -> String {
    let task = work.task.replace('/', "%2F");
    let named = path.replace("{task}", &task).replace("{about}", &task);
    filled(&named.replace("{*path}", KEPT))
}

fn person(role: Role) -> Value {
    match role {
        Role::Viewer => json!({ "sub": "vera", "groups": ["g-viewers"] }),
        Role::Operator => json!({ "sub": "olga", "groups": ["g-operators"] }),
        Role::Approver => json!({ "sub": "anna", "groups": ["g-approvers"] }),
        Role::Admin => json!({ "sub": "ada", "groups": [] }),
    }
}

#[tokio::test]
async fn a75_each_route_takes_its_role_and_nothing_changes_for_whoever_has_it_not() {
    let place = Place::new().await;
    place.ground.put_secret(KEPT, "kept").await;
    let work = at_work(&place).await;
    let nobody = place.token(&json!({ "sub": "nemo", "groups": ["g-others"] }));
    let before = place.state().await;
    let table = table();
    let roles: std::collections::BTreeSet<_> = table.rows().map(|(role, _)| role).collect();
    assert!(table.routes().len() >= 18 && roles.len() >= 3, "{roles:?}");
    for (needed, row) in table.rows() {
        let method = row.method.as_str();
        let (path, there) = (filled(row.path), standing(row.path, &work));
        let unknown = place.ask(method, &there, None).await;
        unknown.assert_refused(401, "operator_unauthenticated");
        assert!(unknown.headers.contains_key("www-authenticate"));
        let without = place.ask(method, &there, Some(&nobody)).await;
        without.assert_refused(403, "operator_required");
        for role in Role::ALL {
            let token = place.token(&person(role));
            if role.covers(needed) {
                let answer = place.ask(method, &path, Some(&token)).await;
                let status = answer.status.as_u16();
                assert!(
                    !matches!(status, 401 | 403),
                    "{role} {method} {path}: {answer:?}"
                );
            } else {
                let answer = place.ask(method, &there, Some(&token)).await;
                answer.assert_refused(403, "role_required");
            }
        }
    }
    assert_eq!(place.state().await, before);
    place.server.stop().await;
}

#[tokio::test]
async fn a75_what_is_no_route_is_told_to_operators_only_and_the_public_listener_has_none_of_them() {
    let place = Place::new().await;
    let admin = place.token(&person(Role::Admin));
    for path in [
        "/api/v1/nothing",
        "/",
        "/oauth2/token",
        "/metrics",
        "/api/v1/tasks/",
    ] {
        let unknown = place.ask("GET", path, None).await;
        unknown.assert_refused(401, "operator_unauthenticated");
        let known = place.ask("GET", path, Some(&admin)).await;
        known.assert_refused(404, "not_found");
    }
    // Another method of a known path is no way to its handler.
    let viewer = place.token(&person(Role::Viewer));
    let other = place
        .ask("PATCH", "/api/v1/secrets/no/such", Some(&viewer))
        .await;
    assert_eq!(other.status, 405, "{other:?}");
    for row in table().routes() {
        // Everybody's own document has the same place.
        if row.path == openapi::OPENAPI {
            continue;
        }
        let url = format!("{}{}", place.ground.issuer, filled(row.path));
        let request = place.http.request(row.method.clone(), url);
        let answer = request.bearer_auth(&admin).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{}", row.path);
    }
    assert_ne!(place.ground.issuer, address(&place.ground));
    place.server.stop().await;
}

const KEPT: &str = "ci/prod/key";
