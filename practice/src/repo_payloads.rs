//! Accounts, repositories and environments as the vendor shows them.

use serde_json::{Map, Value, json};

use crate::payloads::{Links, node_id, object, timestamp};
use crate::repo::{Environment, Repo};
use crate::spec::{BranchPolicy, Reviewer, ReviewerKind, Visibility};

/// An account: a person or an organisation.
pub(crate) fn user(links: &Links, login: &str, id: u64, kind: &str) -> Value {
    let url = format!("{}/users/{login}", links.api);
    json!({
        "login": login,
        "id": id,
        "node_id": node_id(if kind == "User" { "U" } else { "O" }, id),
        "avatar_url": format!("{}/avatars/u/{id}", links.html),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{login}", links.html),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": kind,
        "site_admin": false,
    })
}

/// The organisation that owns `repo`.
pub(crate) fn organization(links: &Links, repo: &Repo) -> Value {
    let url = format!("{}/orgs/{}", links.api, repo.owner);
    json!({
        "login": repo.owner,
        "id": repo.owner_id,
        "node_id": node_id("O", repo.owner_id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("{}/avatars/u/{}", links.html, repo.owner_id),
        "description": null,
    })
}

/// The repository inside a run's document.
pub(crate) fn lite_repository(links: &Links, repo: &Repo) -> Value {
    let html = format!("{}/{}", links.html, repo.full_name());
    let url = format!("{}/repos/{}", links.api, repo.full_name());
    let mut document = object(json!({
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name(),
        "private": repo.visibility != Visibility::Public,
        "owner": user(links, &repo.owner, repo.owner_id, "Organization"),
        "html_url": html,
        "description": null,
        "fork": false,
        "url": url,
    }));
    for (name, path) in URLS {
        document.insert((*name).to_owned(), Value::String(format!("{url}{path}")));
    }
    Value::Object(document)
}

/// The repository of an event.
pub(crate) fn repository(links: &Links, repo: &Repo) -> Value {
    let html = format!("{}/{}", links.html, repo.full_name());
    let host = links
        .html
        .split_once("://")
        .map_or(links.html.as_str(), |(_, host)| host);
    let mut document = object(lite_repository(links, repo));
    document.extend(object(json!({
        "created_at": timestamp(repo.created_at),
        "updated_at": timestamp(repo.created_at),
        "pushed_at": timestamp(repo.created_at),
        "git_url": format!("git://{host}/{}.git", repo.full_name()),
        "ssh_url": format!("ssh://git@{host}/{}.git", repo.full_name()),
        "clone_url": format!("{html}.git"),
        "svn_url": html,
        "homepage": null,
        "language": null,
        "mirror_url": null,
        "license": null,
        "topics": [],
        "visibility": repo.visibility(),
        "default_branch": repo.default_branch,
        "custom_properties": repo.properties,
    })));
    document.extend(counts_and_switches());
    Value::Object(document)
}

/// The environment's document.
pub(crate) fn environment(links: &Links, repo: &Repo, environment: &Environment) -> Value {
    let name = percent_encode(&environment.name);
    let rules = &environment.rules;
    json!({
        "id": environment.id,
        "node_id": node_id("EN", environment.id),
        "name": environment.name,
        "url": format!("{}/repos/{}/environments/{name}", links.api, repo.full_name()),
        "html_url": format!(
            "{}/{}/deployments/activity_log?environments_filter={name}",
            links.html,
            repo.full_name(),
        ),
        "created_at": timestamp(environment.created_at),
        "updated_at": timestamp(environment.updated_at),
        "can_admins_bypass": rules.can_admins_bypass,
        "protection_rules": protection_rules(links, environment),
        "deployment_branch_policy": rules.branch_policy.map(|policy| json!({
            "protected_branches": policy == BranchPolicy::Protected,
            "custom_branch_policies": policy == BranchPolicy::Custom,
        })),
    })
}

/// Each rule's id stays with the environment, so that an edit shows as an edit.
fn protection_rules(links: &Links, environment: &Environment) -> Vec<Value> {
    let rules = &environment.rules;
    let rule = |nth: u64, kind: &str| {
        let id = environment.id * 4 + nth;
        object(json!({ "id": id, "node_id": node_id("GA", id), "type": kind }))
    };
    let mut listed = Vec::new();
    if let Some(minutes) = rules.wait_timer {
        let mut wait = rule(1, "wait_timer");
        wait.insert("wait_timer".to_owned(), minutes.into());
        listed.push(Value::Object(wait));
    }
    if !rules.required_reviewers.is_empty() {
        let reviewers: Vec<Value> = rules
            .required_reviewers
            .iter()
            .map(|one| reviewer(links, one))
            .collect();
        let mut review = rule(2, "required_reviewers");
        review.insert(
            "prevent_self_review".to_owned(),
            rules.prevent_self_review.into(),
        );
        review.insert("reviewers".to_owned(), reviewers.into());
        listed.push(Value::Object(review));
    }
    if rules.branch_policy.is_some() {
        listed.push(Value::Object(rule(3, "branch_policy")));
    }
    listed
}

fn reviewer(links: &Links, reviewer: &Reviewer) -> Value {
    let shown = match reviewer.kind {
        ReviewerKind::User => user(links, &reviewer.login, reviewer.id, "User"),
        ReviewerKind::Team => json!({
            "id": reviewer.id,
            "node_id": node_id("T", reviewer.id),
            "name": reviewer.login,
            "slug": reviewer.login,
            "description": null,
            "privacy": "closed",
            "permission": "pull",
            "url": format!("{}/teams/{}", links.api, reviewer.id),
            "html_url": format!("{}/teams/{}", links.html, reviewer.login),
            "members_url": format!("{}/teams/{}/members{{/member}}", links.api, reviewer.id),
            "repositories_url": format!("{}/teams/{}/repos", links.api, reviewer.id),
            "parent": null,
        }),
    };
    json!({ "type": reviewer.kind, "reviewer": shown })
}

fn counts_and_switches() -> Map<String, Value> {
    let mut members = Map::new();
    for name in COUNTS {
        members.insert((*name).to_owned(), 0.into());
    }
    for (name, on) in SWITCHES {
        members.insert((*name).to_owned(), (*on).into());
    }
    members
}

/// Everything but unreserved characters (RFC 3986 §2.3) is escaped.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

/// Member and path below the repository's URL.
const URLS: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    (
        "notifications_url",
        "/notifications{?since,all,participating}",
    ),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

const COUNTS: &[&str] = &[
    "size",
    "stargazers_count",
    "watchers_count",
    "forks_count",
    "open_issues_count",
    "forks",
    "open_issues",
    "watchers",
];

const SWITCHES: &[(&str, bool)] = &[
    ("has_issues", true),
    ("has_projects", true),
    ("has_downloads", true),
    ("has_wiki", false),
    ("has_pages", false),
    ("has_discussions", false),
    ("archived", false),
    ("disabled", false),
    ("allow_forking", false),
    ("is_template", false),
    ("web_commit_signoff_required", false),
];
