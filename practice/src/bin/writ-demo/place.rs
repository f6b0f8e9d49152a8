//! Where the server of a demonstration lives: a directory of its own, two free ports, and the
//! configuration as an operator would write it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use writ_practice::{Agents, CreatedRepo, Desk, Options, Site};

use crate::outside;
use crate::trouble::Trouble;

/// Directory, addresses and secrets of one server. The directory goes with it.
pub(crate) struct Place {
    dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) hook_secret: String,
    pub(crate) billing_secret: String,
}

impl Place {
    pub(crate) fn new() -> Result<Self, Trouble> {
        let dir = tempfile::Builder::new()
            .prefix("writ-demo-")
            .tempdir()
            .map_err(Trouble::io("make a directory"))?;
        let [address, metrics] = free_addresses().map_err(Trouble::io("find free ports"))?;
        Ok(Self {
            dir,
            address,
            metrics,
            hook_secret: outside::random_hex::<16>()?,
            billing_secret: outside::random_hex::<32>()?,
        })
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.file("admin.sock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.file("server.log")
    }

    /// Writes the configuration with the secrets it names, for the runs of one repository and the agents
    /// of one desk.
    pub(crate) fn furnish(
        &self,
        site: &Site,
        repo: CreatedRepo,
        agents: &Agents,
        desk: &Desk,
    ) -> Result<PathBuf, Trouble> {
        write_secret(&self.file("hook-secret"), &self.hook_secret)?;
        write_secret(&self.file("api-token"), &Options::default().api_token)?;
        let mut text = self.configuration(site.issuer(), site.api_url(), repo);
        text.push_str(&cases(agents.issuer(), &desk.api_url()));
        let path = self.file("writ.toml");
        std::fs::write(&path, text).map_err(Trouble::io("write the configuration"))?;
        Ok(path)
    }

    fn configuration(&self, ci: &str, api: &str, repo: CreatedRepo) -> String {
        let issuer = self.issuer();
        let digest = ring::digest::digest(&ring::digest::SHA256, self.billing_secret.as_bytes());
        let secret_sha256 = hex::encode(digest);
        let Self {
            address, metrics, ..
        } = self;
        let CreatedRepo {
            repository_id,
            owner_id,
        } = repo;
        format!(
            r#"trust_domain = "acme.example"
issuer = "{issuer}"

[listen]
address = "{address}"
metrics = "{metrics}"
admin_socket = "admin.sock"

[store]
sqlite = "writ.db"

[keys]
file = "kek"

[[source]]
name = "github"
preset = "github-actions"
issuer = "{ci}"
webhook_secret_files = ["hook-secret"]
[source.api]
url = "{api}"
token_file = "api-token"

[[resource_server]]
name = "billing"
audiences = ["{BILLING}"]
secret_sha256 = "{secret_sha256}"

[[profile]]
name = "deploy"
source = "github"
match = {{ repository_id = "{repository_id}", repository_owner_id = "{owner_id}", environment = ["{ENVIRONMENT}", "{OTHER_ENVIRONMENT}"] }}
task = "{{repository_id}}/{{run_id}}/{{run_attempt}}"
instance = "{{check_run_id}}"
sender = "required"

[[profile.binding]]
record = "pipeline"
require = {{ status = "in_progress" }}
max_age = "30s"
via = ["issuer-proof", "pull"]

[[profile.binding]]
record = "environment"
pin = ["id", "protection_rules"]
max_age = "{ENVIRONMENT_MAX_AGE_SECS}s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["{BILLING}", "{DEPLOY}"]
scopes = ["deploy:write"]
secrets = ["ci/prod/*"]
"#
        )
    }
}

/// Agents at work on the cases of a desk.
fn cases(agents: &str, desk: &str) -> String {
    format!(
        r#"
[[source]]
name = "agents"
preset = "oidc"
issuer = "{agents}"
[source.claims.agent_id]
is = "id"

[[desk]]
name = "desk"
[desk.api]
url = "{desk}"
token_file = "api-token"
[desk.webhook]
secret_files = ["hook-secret"]
case = "/case/id"
[desk.case]
path = "/cases/{{id}}"
id = "/id"
version = "/version"
[desk.case.status]
at = "/state"
open = ["open", "waiting"]
closed = ["solved"]
[desk.case.field.assignee]
at = "/assignee/id"
writable_by = []
[desk.case.field.account]
at = "/account/id"

[[profile]]
name = "support"
source = "agents"
match = {{ agent_id = ["agent-7", "agent-8"] }}
case_of = "desk"
opens_when = {{ assignee = "agent_id" }}
instance = "{{agent_id}}"

[[profile.binding]]
record = "case"
require = {{ status = "open" }}
pin = ["account"]
max_age = "{CASE_MAX_AGE_SECS}s"
via = ["pull"]

[profile.grant.case]
audiences = ["{BILLING}"]
scopes = ["case:read"]
"#
    )
}

fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    // Both are held at once, so that they differ; the server takes them right after.
    let listeners = [
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
    ];
    let [first, second] = &listeners;
    Ok([first.local_addr()?, second.local_addr()?])
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Trouble> {
    let doing = || Trouble::io(format!("write {}", path.display()));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(doing())?;
    file.write_all(text.as_bytes()).map_err(doing())
}

/// A service that asks the broker about each token.
pub(crate) const BILLING: &str = "https://billing.acme.example";
/// A service that verifies tokens offline, by the broker's published keys.
pub(crate) const DEPLOY: &str = "https://deploy.acme.example";
pub(crate) const ENVIRONMENT: &str = "production";
/// Another environment of the same repository, also allowed to deploy, but not the same workload.
pub(crate) const OTHER_ENVIRONMENT: &str = "staging";
/// No webhook tells of an edited environment, so this is how soon an edit is seen. Short, so that
/// the demo is; tens of seconds are usual.
pub(crate) const ENVIRONMENT_MAX_AGE_SECS: u64 = 2;

/// How soon a case that was given away is seen where the webhook about it is lost. Short, as above.
const CASE_MAX_AGE_SECS: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_holds_no_secret_and_its_secret_files_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new().unwrap();
        let repo = CreatedRepo {
            repository_id: 7,
            owner_id: 9,
        };
        let text = place.configuration("http://127.0.0.1:1", "http://127.0.0.1:1/api", repo);
        assert!(!text.contains(&place.billing_secret));
        assert!(!text.contains(&place.hook_secret));
        assert!(text.contains(r#"repository_id = "7", repository_owner_id = "9""#));
        let file = place.file("some-secret");
        write_secret(&file, "s").unwrap();
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn each_place_has_ports_of_its_own() {
        let place = Place::new().unwrap();
        assert_ne!(place.address, place.metrics);
        assert!(place.address.ip().is_loopback());
    }
}
