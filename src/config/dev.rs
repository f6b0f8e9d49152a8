//! The configuration of `writ dev`: a real file with nothing loosened that the lint would refuse, so
//! that it can be kept and grown into one for production.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What one developer's broker needs to be told.
#[derive(Debug, Clone)]
pub struct Dev {
    /// Where the database, the key and the admin socket are kept.
    pub data: PathBuf,
    pub address: SocketAddr,
    pub metrics: Option<SocketAddr>,
    /// Who may use the admin socket beside root and the broker's own user.
    pub admin_uid: u32,
    /// A CI system to trust, real or practised.
    pub ci: Option<DevCi>,
}

/// A GitHub-like CI system and the one repository of it that is trusted.
#[derive(Debug, Clone)]
pub struct DevCi {
    pub issuer: String,
    pub api: String,
    pub token_file: Option<PathBuf>,
    pub webhook_secret_file: Option<PathBuf>,
    pub repository_id: String,
    pub environment: String,
}

/// The text of the configuration for `dev`.
pub fn dev_text(dev: &Dev) -> String {
    let mut text = format!(
        "# For one developer on one machine. `writ dev` writes it anew at each start: keep what you change under another name.\n\
         trust_domain = \"dev.example\"\n\
         issuer = {}\n\n[listen]\naddress = {}\n",
        quoted(&format!("https://localhost:{}", dev.address.port())),
        quoted(&dev.address.to_string()),
    );
    push(&mut text, "certificate", &below(&dev.data, "tls.pem"));
    push(&mut text, "key", &below(&dev.data, "tls.key"));
    if let Some(metrics) = dev.metrics {
        push(&mut text, "metrics", &quoted(&metrics.to_string()));
    }
    push(&mut text, "admin_socket", &below(&dev.data, "admin.sock"));
    push(&mut text, "admin_uids", &format!("[{}]", dev.admin_uid));
    text.push_str("\n[store]\n");
    push(&mut text, "sqlite", &below(&dev.data, "writ.db"));
    text.push_str("\n[keys]\n");
    push(&mut text, "file", &below(&dev.data, "kek"));
    if let Some(ci) = &dev.ci {
        trusted(&mut text, ci);
    }
    text
}

fn trusted(text: &mut String, ci: &DevCi) {
    text.push_str("\n[[source]]\n");
    push(text, "name", "\"ci\"");
    push(text, "preset", "\"github-actions\"");
    push(text, "issuer", &quoted(&ci.issuer));
    if let Some(file) = &ci.webhook_secret_file {
        push(text, "webhook_secret_files", &format!("[{}]", path(file)));
    }
    text.push_str("[source.api]\n");
    push(text, "url", &quoted(&ci.api));
    if let Some(file) = &ci.token_file {
        push(text, "token_file", &path(file));
    }
    text.push_str("\n[[profile]]\n");
    push(text, "name", "\"deploy\"");
    push(text, "source", "\"ci\"");
    let condition = format!(
        "{{ repository_id = {}, environment = {} }}",
        quoted(&ci.repository_id),
        quoted(&ci.environment)
    );
    push(text, "match", &condition);
    text.push_str(DEV_PROFILE);
}

fn push(text: &mut String, key: &str, value: &str) {
    for part in [key, " = ", value, "\n"] {
        text.push_str(part);
    }
}

fn below(dir: &Path, name: &str) -> String {
    path(&dir.join(name))
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const DEV_PROFILE: &str = r#"task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "10s"
via = ["issuer-proof", "pull"]

[[profile.binding]]
record = "environment"
pin = ["id", "protection_rules"]
max_age = "10s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["https://deploy.example"]
scopes = ["deploy:read", "deploy:write"]
secrets = ["ci/prod/*"]
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Rule};

    fn dev(ci: Option<DevCi>) -> Dev {
        Dev {
            data: PathBuf::from("/tmp/a \"quoted\" place"),
            address: "127.0.0.1:8443".parse().unwrap(),
            metrics: Some("127.0.0.1:9090".parse().unwrap()),
            admin_uid: 1000,
            ci,
        }
    }

    #[test]
    fn a_broker_without_a_ci_system_starts_and_grants_nothing() {
        let config = Config::for_dev(&dev(None)).unwrap();
        assert!(config.broker.profiles.is_empty());
        assert!(config.store.sqlite.starts_with("/tmp/a \"quoted\" place"));
    }

    #[test]
    fn a_developers_ci_system_passes_the_same_lint() {
        let ci = DevCi {
            issuer: "http://127.0.0.1:8480/other".to_owned(),
            api: "http://127.0.0.1:8480".to_owned(),
            token_file: None,
            webhook_secret_file: None,
            repository_id: "812345".to_owned(),
            environment: "production".to_owned(),
        };
        let config = Config::for_dev(&dev(Some(ci.clone()))).unwrap();
        assert_eq!(config.broker.profiles.len(), 1);
        let name_for_id = DevCi {
            repository_id: "octo/app".to_owned(),
            ..ci
        };
        let problems = Config::for_dev(&dev(Some(name_for_id))).unwrap_err();
        let rules: Vec<_> = problems.iter().map(|p| p.rule).collect();
        assert_eq!(rules, [Rule::IdNotNumber]);
    }
}
