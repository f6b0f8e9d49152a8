//! A profile from a real ID token: on the ids that nobody else can take over, with the names beside
//! them as comments, and judged by the same lint as every other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Config, Dev, Problem, dev_text, parse};
use crate::attest::preset::{ClaimNature, Preset};

/// What the profile is to be for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: String,
    /// The source's name in the configuration; without one, that which `writ init` gives it.
    pub source: Option<String>,
    pub audiences: Vec<String>,
    /// Whether the vendor's API may be asked.
    pub api: bool,
}

/// A profile's text, with the source that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub source: String,
    pub profile: String,
    pub preset: Preset,
}

/// The token is of no vendor whose claims are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a token of a workload that is understood: it has neither `run_id` and `repository_id` (GitHub Actions), nor `pipeline_id` and `project_id` (GitLab), nor a pod and a service account (Kubernetes). Tokens of another issuer are taken by a mapping of their claims: start from deploy/examples/oidc.toml, for agents from desk.toml beside it; SVIDs of this broker by `preset = \"jwt-svid\"`"
)]
pub struct UnknownVendor;

/// Proposes a profile for jobs like the one that this token is of. Nothing about the token was
/// verified, and nothing but names and ids of it is in the text.
pub fn propose(claims: &Map<String, Value>, wish: &Wish) -> Result<Proposal, UnknownVendor> {
    let (preset, claims) = Preset::ALL
        .into_iter()
        .map(|preset| (preset, known(preset, claims)))
        .find(|(preset, claims)| {
            let mut runs = of_nature(*preset, ClaimNature::Run);
            id(*preset).is_some_and(|id| claims.contains_key(id))
                && runs.all(|run| claims.contains_key(run))
        })
        .ok_or(UnknownVendor)?;
    Ok(Proposal {
        source: source(preset, &claims, wish),
        profile: profile(preset, &claims, wish),
        preset,
    })
}

impl Proposal {
    /// What the lint says of it, in a configuration that has nothing else. Its lines are the text's
    /// own, counted from that configuration's first.
    pub fn judged(&self, dev: &Dev) -> Result<Vec<Problem>, Vec<Problem>> {
        let text = format!("{}\n{}\n{}", dev_text(dev), self.source, self.profile);
        parse("(proposed)", &text, &dev.data).map(|config: Config| config.warnings().to_vec())
    }
}

/// The claims of a vendor, wherever they lie in its tokens.
fn known(preset: Preset, claims: &Map<String, Value>) -> BTreeMap<&'static str, String> {
    let of = |name: &'static str| {
        let nested = preset.paths().iter().find(|(claim, _)| *claim == name);
        let value = match nested {
            None => claims.get(name),
            Some((_, path)) => {
                let (first, rest) = path.split_first()?;
                let begin = claims.get(*first);
                rest.iter().fold(begin, |at, member| at?.get(*member))
            }
        };
        Some((name, plain(value?)?))
    };
    preset
        .claims()
        .iter()
        .filter_map(|(name, _)| of(name))
        .collect()
}

/// A vendor's claims of one nature. An issuer that is known by its mapping only has none.
fn of_nature(preset: Preset, nature: ClaimNature) -> impl Iterator<Item = &'static str> {
    let claims = preset.claims().iter();
    claims
        .filter(move |(_, known)| *known == nature)
        .map(|(name, _)| *name)
}

/// The claim that the profile stands on: the narrowest thing that has an id for good.
fn id(preset: Preset) -> Option<&'static str> {
    of_nature(preset, ClaimNature::Id).next()
}

fn source(preset: Preset, claims: &BTreeMap<&str, String>, wish: &Wish) -> String {
    let mut text = String::from("[[source]]\n");
    put(&mut text, "name", &quoted(source_name(preset, wish)));
    put(&mut text, "preset", &quoted(preset.as_str()));
    let issuer = claims.get("iss").map_or("", String::as_str);
    put(&mut text, "issuer", &quoted(issuer));
    if wish.api {
        text.push_str("[source.api]\n");
        put(&mut text, "url", &quoted(&api_of(preset, issuer)));
    }
    text
}

fn source_name(preset: Preset, wish: &Wish) -> &str {
    let usual = match preset {
        Preset::GithubActions => "github",
        Preset::GitlabCi => "gitlab",
        Preset::Kubernetes => "kubernetes",
        Preset::Oidc | Preset::JwtSvid => "ci",
    };
    wish.source.as_deref().unwrap_or(usual)
}

fn profile(preset: Preset, claims: &BTreeMap<&str, String>, wish: &Wish) -> String {
    let mut text = String::from("[[profile]]\n");
    put(&mut text, "name", &quoted(&wish.name));
    put(&mut text, "source", &quoted(source_name(preset, wish)));
    for name in of_nature(preset, ClaimNature::Name) {
        if let Some(value) = claims.get(name) {
            // For whoever reads it: names can be given away and taken.
            let _written = writeln!(text, "# {name}: {}", one_line(value));
        }
    }
    put(&mut text, "match", &conditions(preset, claims));
    let runs: Vec<_> = id(preset)
        .into_iter()
        .chain(of_nature(preset, ClaimNature::Run))
        .map(|claim| format!("{{{claim}}}"))
        .collect();
    put(&mut text, "task", &quoted(&runs.join("/")));
    let instance: Vec<_> = of_nature(preset, ClaimNature::Instance)
        .map(|claim| format!("{{{claim}}}"))
        .collect();
    put(&mut text, "instance", &quoted(&instance.join("-")));
    put(&mut text, "deadline", &quoted("1h"));
    put(&mut text, "allow", &risks(preset, claims));
    bindings(&mut text, preset, claims, wish.api);
    text.push_str("\n[profile.grant.main]\n");
    let audiences: Vec<_> = wish.audiences.iter().map(|a| quoted(a)).collect();
    put(
        &mut text,
        "audiences",
        &format!("[{}]", audiences.join(", ")),
    );
    put(&mut text, "scopes", "[]");
    text
}

/// The repository, and what else tells this job from others there.
fn conditions(preset: Preset, claims: &BTreeMap<&str, String>) -> String {
    let workflow = claims
        .get("job_workflow_ref")
        .filter(|workflow| workflow.contains("@refs/heads/") || workflow.contains("@refs/tags/"));
    let mut pairs = Vec::new();
    for name in id(preset).into_iter().chain(["environment"]) {
        if let Some(value) = claims.get(name).filter(|value| !value.is_empty()) {
            pairs.push(format!("{name} = {}", quoted(value)));
        }
    }
    if let Some(workflow) = workflow {
        pairs.push(format!("job_workflow_ref = {}", quoted(workflow)));
    }
    format!("{{ {} }}", pairs.join(", "))
}

/// What this very job would be refused for if it were not named.
fn risks(preset: Preset, claims: &BTreeMap<&str, String>) -> String {
    let is = |claim: &str, values: &[&str]| {
        let value = claims.get(claim);
        value.is_some_and(|value| values.contains(&value.as_str()))
    };
    let mut risks = Vec::new();
    if preset
        .unmerged()
        .is_some_and(|(event, unmerged)| is(event, unmerged))
    {
        risks.push(quoted("pull-request"));
    }
    if is("runner_environment", &["self-hosted"]) {
        risks.push(quoted("self-hosted"));
    }
    format!("[{}]", risks.join(", "))
}

fn bindings(text: &mut String, preset: Preset, claims: &BTreeMap<&str, String>, api: bool) {
    let via: Vec<_> = [(preset.mints_again(), "issuer-proof"), (api, "pull")]
        .into_iter()
        .filter(|(known, _)| *known)
        .map(|(_, way)| quoted(way))
        .collect();
    if via.is_empty() {
        return;
    }
    text.push_str("\n[[profile.binding]]\n");
    put(text, "record", &quoted("job"));
    put(text, "require", "{ status = \"in_progress\" }");
    put(text, "max_age", &quoted("60s"));
    put(text, "via", &format!("[{}]", via.join(", ")));
    let in_environment = claims
        .get("environment")
        .is_some_and(|name| !name.is_empty());
    if api && in_environment {
        text.push_str("\n[[profile.binding]]\n");
        put(text, "record", &quoted("environment"));
        put(text, "pin", "[\"id\", \"protection_rules\"]");
        put(text, "max_age", &quoted("30s"));
        put(text, "via", "[\"pull\"]");
    }
}

/// Where the vendor's own instance has its API; a self-hosted one is below its issuer.
fn api_of(preset: Preset, issuer: &str) -> String {
    match (preset, issuer) {
        (Preset::GithubActions, "https://token.actions.githubusercontent.com") => {
            "https://api.github.com".to_owned()
        }
        (Preset::GitlabCi, _) => format!("{issuer}/api/v4"),
        (Preset::GithubActions | Preset::Kubernetes | Preset::JwtSvid | Preset::Oidc, _) => {
            issuer.to_owned()
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn put(text: &mut String, key: &str, value: &str) {
    for part in [key, " = ", value, "\n"] {
        text.push_str(part);
    }
}

/// A TOML string on one line, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::String(one_line(text)).to_string()
}

/// A claim is somebody else's text: it stays on the line where it is put.
fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::config::Rule;

    fn wish(api: bool) -> Wish {
        Wish {
            name: "deploy".to_owned(),
            source: Some("ci".to_owned()),
            audiences: vec!["https://deploy.example".to_owned()],
            api,
        }
    }

    fn dev() -> Dev {
        Dev {
            data: PathBuf::from("/tmp/x"),
            address: "127.0.0.1:8443".parse().unwrap(),
            metrics: None,
            admin_uid: 1000,
            ci: None,
        }
    }

    fn github(more: &[(&str, &str)]) -> Map<String, Value> {
        let mut claims = json!({
            "iss": "https://token.actions.githubusercontent.com",
            "sub": "repo:octo/app:environment:production",
            "aud": "https://writ.example",
            "repository": "octo/app",
            "repository_id": "812345",
            "repository_owner": "octo",
            "repository_owner_id": "9",
            "run_id": "99001",
            "run_attempt": "1",
            "check_run_id": "7",
            "event_name": "push",
            "runner_environment": "github-hosted",
            "job_workflow_ref": "octo/app/.github/workflows/d.yml@refs/heads/main",
            "exp": 1_700_000_000,
        });
        for (name, value) in more {
            claims[*name] = json!(value);
        }
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_proposed_profile_passes_the_lint_and_stands_on_ids() {
        for api in [true, false] {
            for environment in [&[][..], &[("environment", "production")][..]] {
                let proposal = propose(&github(environment), &wish(api)).unwrap();
                let warnings = proposal.judged(&dev()).unwrap();
                let rules: Vec<_> = warnings.iter().map(|w| w.rule).collect();
                assert!(
                    rules.iter().all(|rule| *rule == Rule::ApiWithoutToken),
                    "{warnings:?}"
                );
                assert!(proposal.profile.contains("repository_id = \"812345\""));
                assert!(proposal.profile.contains("# repository: octo/app"));
                assert!(!proposal.profile.contains("repo:octo"), "sub was read");
            }
        }
    }

    #[test]
    fn what_the_job_would_be_refused_for_is_named_for_whoever_decides() {
        let claims = github(&[
            ("event_name", "pull_request"),
            ("runner_environment", "self-hosted"),
            (
                "job_workflow_ref",
                "octo/app/.github/workflows/d.yml@refs/pull/7/merge",
            ),
        ]);
        let proposal = propose(&claims, &wish(true)).unwrap();
        assert!(
            proposal
                .profile
                .contains("allow = [\"pull-request\", \"self-hosted\"]")
        );
        assert!(!proposal.profile.contains("refs/pull"));
        proposal.judged(&dev()).unwrap();
    }

    #[test]
    fn gitlab_is_known_by_its_project() {
        let claims = json!({
            "iss": "https://gitlab.com", "project_id": "20", "namespace_id": "72",
            "project_path": "octo/app", "pipeline_id": "574", "job_id": 302,
            "pipeline_source": "push", "ref": "main", "ref_protected": "true",
        });
        let proposal = propose(claims.as_object().unwrap(), &wish(false)).unwrap();
        assert_eq!(proposal.preset, Preset::GitlabCi);
        assert!(
            proposal
                .profile
                .contains("task = \"{project_id}/{pipeline_id}\"")
        );
        proposal.judged(&dev()).unwrap();
    }

    #[test]
    fn a_pod_is_known_by_its_service_accounts_uid() {
        let uid = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798";
        let claims = json!({
            "iss": "https://kubernetes.example",
            "sub": "system:serviceaccount:prod:deployer",
            "kubernetes.io": {
                "namespace": "prod",
                "pod": { "name": "deployer-1", "uid": "0b29fd01-a7e2-420f-9f9a-dbc4507c3798" },
                "serviceaccount": { "name": "deployer", "uid": uid },
            },
        });
        let proposal = propose(claims.as_object().unwrap(), &wish(true)).unwrap();
        assert_eq!(proposal.preset, Preset::Kubernetes);
        assert!(
            proposal
                .profile
                .contains(&format!("serviceaccount_uid = \"{uid}\""))
        );
        proposal.judged(&dev()).unwrap();
    }

    #[test]
    fn a_token_that_tries_to_write_a_configuration_writes_a_string() {
        let claims = github(&[
            ("environment", "x\" }\n[[profile]]\nname = \"root"),
            ("repository", "a/b\n[[profile]]"),
        ]);
        let proposal = propose(&claims, &wish(true)).unwrap();
        assert_eq!(proposal.profile.matches("\n[[profile]]").count(), 0);
        let _lint_decides = proposal.judged(&dev());
    }

    #[test]
    fn another_issuers_token_is_not_guessed_at() {
        for claims in [
            json!({}),
            json!({"sub": "x", "run_id": "1"}),
            json!({"project_id": "1"}),
        ] {
            assert_eq!(
                propose(claims.as_object().unwrap(), &wish(true)),
                Err(UnknownVendor)
            );
        }
    }
}
