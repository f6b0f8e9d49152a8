//! Profiles that the tests share. `{repo}` is replaced by the repository's id.

/// Bound to run, job and environment, with secrets and two services; a key is optional.
pub const DEPLOY: &str = r#"
[[profile]]
name = "deploy"
source = "github"
match = { repository_id = "{repo}", environment = "production" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"
deadline = "1h"
token_ttl = "5m"
lease_ttl = "5m"
session_ttl = "15m"

[[profile.binding]]
record = "pipeline"
require = { status = "in_progress" }
pin = ["event"]
max_age = "60s"
via = ["issuer-proof", "pull"]

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["issuer-proof", "pull"]

[[profile.binding]]
record = "environment"
pin = ["id", "protection_rules"]
max_age = "30s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["https://deploy.example", "https://billing.example"]
scopes = ["deploy:read", "deploy:write"]
secrets = ["ci/prod/*"]
jwt_svids = ["https://db.example"]
x509_svid = true
"#;

/// Bound to the job by issuer proof alone: no call out is ever made for it.
pub const PROOF: &str = r#"
[[profile]]
name = "proof"
source = "github"
match = { repository_id = "{repo}" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"
deadline = "1h"
renewal = "fresh-evidence"

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["issuer-proof"]

[profile.grant.deploy]
audiences = ["https://deploy.example"]
scopes = ["deploy:write"]
"#;
