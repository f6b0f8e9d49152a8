//! The configuration that `writ init` begins with: everything that a broker in production needs, and
//! nobody who is granted anything yet.

use crate::domain::identity::TrustDomain;
use crate::domain::url::BaseUrl;

/// What a broker in production needs to be told.
#[derive(Debug, Clone)]
pub struct Production {
    pub issuer: BaseUrl,
    pub trust_domain: TrustDomain,
    pub sources: Vec<Ci>,
    /// Whether the broker certifies itself for its issuer's host.
    pub own_certificate: bool,
}

/// A CI system to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ci {
    Github,
    Gitlab(BaseUrl),
}

impl Ci {
    /// The name of the source, and of the file of its webhook secret.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab(_) => "gitlab",
        }
    }

    pub fn secret_file(&self) -> String {
        format!("{}-webhook-secret", self.name())
    }
}

/// The text of the configuration. Files lie beside it, or are given to the service under the same names.
pub fn production_text(production: &Production) -> String {
    let Production {
        issuer,
        trust_domain,
        ..
    } = production;
    let certificate = if production.own_certificate {
        format!("issued_for = [\"{}\"]", issuer.host())
    } else {
        "certificate = \"tls.pem\"\nkey = \"tls.key\"".to_owned()
    };
    let (issuer, trust_domain) = (issuer.as_str(), trust_domain.as_str());
    let mut text = format!(
        r#"# What a key means, its range and its default: docs/reference/configuration.md.
# Paths that are not absolute lie below the directory of this file, or stand among the service's credentials.

trust_domain = "{trust_domain}"
issuer = "{issuer}"

[listen]
address = "0.0.0.0:8443"
{certificate}
# /livez, /readyz and /metrics, in plain HTTP.
metrics = "127.0.0.1:9090"
# Operators on this machine: root, and the users that `admin_uids` names.
admin_socket = "/run/writ/admin.sock"

[store]
sqlite = "/var/lib/writ/writ.db"

[keys]
# The service passes the key-encryption key in by this descriptor.
descriptor = 3
"#
    );
    for source in &production.sources {
        text.push_str(&source_text(source));
    }
    text.push_str(
        "\n# Who is granted what: put what `writ profile new --no-api --from-token -` makes of a real job's ID token here.\n",
    );
    text
}

fn source_text(source: &Ci) -> String {
    let (name, secret) = (source.name(), source.secret_file());
    let (preset, issuer, api, token) = match source {
        Ci::Github => (
            "github-actions",
            "https://token.actions.githubusercontent.com",
            "https://api.github.com".to_owned(),
            "that reads Actions, deployments and environments",
        ),
        Ci::Gitlab(url) => (
            "gitlab-ci",
            url.as_str(),
            format!("{}/api/v4", url.as_str()),
            "of a maintainer, with the scope read_api",
        ),
    };
    format!(
        r#"
[[source]]
name = "{name}"
preset = "{preset}"
issuer = "{issuer}"
webhook_secret_files = ["{secret}"]
# A token {token}, mode 0600. Without it nothing
# is pulled: profiles rest on what ID tokens prove. The service needs it among its credentials too.
#[source.api]
#url = "{api}"
#token_file = "{name}-token"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Rule, parse};

    #[test]
    fn what_a_broker_begins_with_is_sound_with_and_without_an_api() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "github-webhook-secret",
            "gitlab-webhook-secret",
            "github-token",
            "gitlab-token",
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, "0123456789abcdef0123").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let gitlab = Ci::Gitlab("https://gitlab.example".parse().unwrap());
        let text = production_text(&Production {
            issuer: "https://writ.example".parse().unwrap(),
            trust_domain: "example.org".parse().unwrap(),
            sources: vec![Ci::Github, gitlab],
            own_certificate: false,
        });
        let asked: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        for text in [&text, &asked] {
            let config = parse("writ.toml", text, dir.path()).unwrap();
            let rules: Vec<_> = config.warnings().iter().map(|p| p.rule).collect();
            assert_eq!(rules, [Rule::NothingGranted]);
            assert_eq!(config.sources.len(), 2);
        }
        assert_eq!(asked.matches("[source.api]").count(), 2);
    }
}
