//! Every rule is broken once, by one edit of a sound file; the answer names the rule and the line.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::raw::fields;
use super::{Config, Problem, Rule, load, parse};
use crate::domain::context::RecordKind;
use crate::domain::profile::{Allowance, Naming, RenewalMode, SenderMode, Via};

const SOUND: &str = r#"trust_domain = "example.org"
issuer = "http://127.0.0.1:8443"
policies = ["extra.cedar"]

[listen]
address = "127.0.0.1:8443"
metrics = "127.0.0.1:9090"
admin_socket = "admin.sock"
admin_uids = [1000]
drain = "20s"
max_connections = 2048

[operators]
address = "127.0.0.1:8444"
issuer = "https://people.example"
client_id = "writ-operators"
scopes = ["groups"]
max_token_age = "8h"
[operators.role.viewer]
groups = ["6f1d1f0e"]
[operators.role.admin]
subjects = ["00u1"]

[store]
sqlite = "writ.db"

[keys]
file = "kek"

[svid]
issuer = "https://svid.example"
publish_ahead = "2h"
rsa_key_files = ["rsa"]
rs256_audiences = ["api://AzureADTokenExchange"]

[telemetry]
endpoint = "http://127.0.0.1:4318"
sampling = 0.25
token_file = "collector-token"
token_header = "x-collector-key"

[limits]
staleness = "5s"

[[source]]
name = "github"
preset = "github-actions"
issuer = "https://token.actions.githubusercontent.com"
algorithms = ["RS256"]
max_token_age = "10m"
webhook_secret_files = ["hook"]
allowed_networks = ["10.1.0.0/16"]
[source.api]
url = "https://api.github.com"
token_file = "token"

[[source]]
name = "gitlab"
preset = "gitlab-ci"
issuer = "https://gitlab.example"
audience = "https://writ.example/gitlab"

[[source]]
name = "agents"
preset = "oidc"
issuer = "https://agents.example"
claims.agent_id = { is = "id" }
claims.team = { is = "label" }
claims.session = { is = "instance" }

[[desk]]
name = "desk"
[desk.api]
url = "https://desk.example/api"
token_file = "token"
token_scheme = "Token"
[desk.webhook]
secret_files = ["hook"]
case = "/case/id"
[desk.case]
path = "/tickets/{id}/"
id = "/id"
id_prefixes = ["HD-"]
version = "/modified"
[desk.case.status]
at = "/status"
open = ["1", "2"]
closed = ["3", "4"]
[desk.case.field.assignee]
at = "/assigned_to"
writable_by = ["github", "https://desk.example"]
[desk.case.field.account]
at = "/submitter"

[[resource_server]]
name = "deployer"
audiences = ["https://deploy.example"]
secret_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[[profile]]
name = "deploy"
source = "github"
match = { repository_id = "812345", environment = "production", job_workflow_ref = ["octo/app/.github/workflows/deploy.yml@refs/heads/main"] }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"
deadline = "1h"
token_ttl = "5m"
lease_ttl = "5m"
session_ttl = "15m"
renewal = "handle"
sender = "required"
evidence_uses = 1
allow = []
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
audiences = ["https://deploy.example"]
scopes = ["deploy:write"]
secrets = ["ci/{repository_id}/*"]
uses = 10

[[profile]]
name = "lab"
source = "gitlab"
match = { project_id = "7", ref = "refs/heads/main" }
task = "{project_id}/{pipeline_id}"
instance = "{job_id}"
sender = "optional"
[profile.grant.deploy]
audiences = ["https://deploy.example"]

[[profile]]
name = "support"
source = "agents"
match = { agent_id = ["a-7", "a-8"] }
case_of = "desk"
opens_when = { assignee = "agent_id" }
instance = "{agent_id}"
deadline = "30d"
[[profile.binding]]
record = "case"
require = { status = "open" }
pin = ["account"]
max_age = "9s"
via = ["pull"]
[profile.grant.case]
audiences = ["https://crm.example"]
secrets = ["crm/reply-key"]
"#;

/// (what is replaced, by what, the rule that is broken, a text in the line that is named)
type Case = (&'static str, &'static str, Rule, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("[store]", "[store", Rule::Syntax, "[store"),
    ("drain =", "drian =", Rule::UnknownKey, "drian"),
    ("sender = \"optional\"", "sendr = \"x\"", Rule::UnknownKey, "sendr"),
    ("drain = \"20s\"", "drain = 20", Rule::Shape, "drain"),
    ("sqlite = \"writ.db\"", "", Rule::Shape, "[store]"),
    ("trust_domain = \"example.org\"", "", Rule::Missing, ""),
    ("address = \"127", "key = \"k\"\naddress = \"127", Rule::Missing, "key = "),
    ("address = \"127", "certificate = \"c\"\naddress = \"127", Rule::Missing, "certificate"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = [\"writ.example\"]\ncertificate = \"c\"\nkey = \"k\"\naddress = \"127.0.0.1:8443\"", Rule::Contradiction, "issued_for"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = []\naddress = \"127.0.0.1:8443\"", Rule::EmptyList, "issued_for"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = [\"writ.example\", \"*.example\"]\naddress = \"127.0.0.1:8443\"", Rule::Value, "issued_for"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = [\"writ.example\", \"https://writ.example\"]\naddress = \"127.0.0.1:8443\"", Rule::Value, "issued_for"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = [\"writ.example\", \"writ.example\"]\naddress = \"127.0.0.1:8443\"", Rule::Duplicate, "issued_for"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"10.0.0.0/24\"]", Rule::Missing, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nclient_address = \"forwarded\"", Rule::Missing, "client_address"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"10.0.0.0/24\"]\nclient_address = \"x-real-ip\"", Rule::Value, "client_address"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"10.0.0.1-9\"]\nclient_address = \"forwarded\"", Rule::Value, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"proxy.example\"]\nclient_address = \"forwarded\"", Rule::Value, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"::ffff:10.0.0.0/120\"]\nclient_address = \"forwarded\"", Rule::Value, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"0.0.0.0/0\"]\nclient_address = \"forwarded\"", Rule::NetworkTooWide, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = [\"::/0\"]\nclient_address = \"forwarded\"", Rule::NetworkTooWide, "proxies"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:9090\"\nproxies = []\nclient_address = \"proxy-protocol\"", Rule::EmptyList, "proxies"),
    ("client_id = \"writ-operators\"", "client_id = \"writ-operators\"\nproxies = [\"10.0.0.0/24\"]", Rule::Missing, "proxies"),
    ("file = \"kek\"", "", Rule::Missing, "[keys]"),
    ("file = \"kek\"", "file = \"kek\"\ndescriptor = 3", Rule::Contradiction, "descriptor"),
    ("file = \"kek\"", "descriptor = 2", Rule::OutOfRange, "descriptor"),
    ("extra.cedar", "absent.cedar", Rule::Unreadable, "policies"),
    // Names that differ by what nobody sees are refused when they are made.
    ("name = \"deploy\"", "name = \"Deploy\"", Rule::Name, "Deploy"),
    ("name = \"deploy\"", "name = \"deploy \"", Rule::Name, "deploy "),
    ("name = \"deploy\"", "name = \"dеploy\"", Rule::Name, "dеploy"),
    ("name = \"deploy\"", "name = \"deploy\u{200b}\"", Rule::Name, "deploy\u{200b}"),
    ("[profile.grant.deploy]\nau", "[profile.grant.Deploy]\nau", Rule::Name, "Deploy"),
    ("name = \"lab\"", "name = \"deploy\"", Rule::Duplicate, "name = \"deploy\""),
    ("record = \"environment\"\npin = [\"id\", \"protection_rules\"]", "record = \"job\"\npin = [\"status\"]", Rule::Duplicate, "record"),
    ("preset = \"gitlab-ci\"", "preset = \"gitlab\"", Rule::Value, "preset"),
    ("renewal = \"handle\"", "renewal = \"never\"", Rule::Value, "renewal"),
    ("[\"deploy:write\"]", "[\"deploy write\"]", Rule::Value, "scopes"),
    ("20015ad\"", "20015a\"", Rule::Value, "secret_sha256"),
    ("secret_sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"", "", Rule::Missing, "name = \"deployer\""),
    ("[[profile]]\nname = \"deploy\"", "place = { Region = \"eu-1\" }\n[[profile]]\nname = \"deploy\"", Rule::Value, "place"),
    ("[[profile]]\nname = \"deploy\"", "place = { region = \"\" }\n[[profile]]\nname = \"deploy\"", Rule::Value, "place"),
    ("[[profile]]\nname = \"deploy\"", "spiffe_id = \"spiffe://example.org/a\"\n[[profile]]\nname = \"deploy\"", Rule::CertificateWithoutTls, "spiffe_id"),
    ("[[profile]]\nname = \"deploy\"", "spiffe_id = \"spiffe://example.com/a\"\n[[profile]]\nname = \"deploy\"", Rule::Value, "spiffe_id"),
    ("[[profile]]\nname = \"deploy\"", "spiffe_id = \"spiffe://example.org/*\"\n[[profile]]\nname = \"deploy\"", Rule::Value, "spiffe_id"),
    ("algorithms = [\"RS256\"]", "algorithms = []", Rule::EmptyList, "algorithms"),
    ("via = [\"pull\"]", "via = []", Rule::EmptyList, "via"),
    ("environment = \"production\"", "environment = []", Rule::EmptyList, "match"),
    ("staleness = \"5s\"", "staleness = \"5m\"", Rule::OutOfRange, "staleness"),
    ("max_connections = 2048", "max_connections = 0", Rule::OutOfRange, "max_connections"),
    ("uses = 10", "uses = 0", Rule::OutOfRange, "uses"),
    ("uses = 10", "uses = 10\nwrites = [\"restart\"]\n[[profile.grant.deploy.resource]]\ntype = \"host\"", Rule::UsesMixed, "uses"),
    ("uses = 10", "[profile.grant.fix]\naudiences = [\"https://deploy.example\"]\nwrites = [\"restart\"]\nuses = 1001\n[[profile.grant.fix.resource]]\ntype = \"host\"", Rule::OutOfRange, "uses"),
    ("lease_ttl = \"5m\"", "permit_ttl = \"16m\"", Rule::Lifetime, "permit_ttl"),
    // One issuer is one host.
    ("https://gitlab.example\"", "https://.*.example.com\"", Rule::Url, "issuer"),
    ("https://gitlab.example\"", "https://gitlab.example/\"", Rule::Url, "issuer"),
    ("https://gitlab.example\"", "https://gitlab.example?a\"", Rule::Url, "issuer"),
    ("metrics = \"127.0.0.1:9090\"", "metrics = \"127.0.0.1:8443\"", Rule::Contradiction, "metrics"),
    ("admin_socket = \"admin.sock\"", "", Rule::Contradiction, "admin_uids"),
    ("evidence_uses = 1", "evidence_uses = 2", Rule::Contradiction, "evidence_uses"),
    ("environment = \"production\"", "environment = \"production\", runner_environment = \"self-hosted\"", Rule::Contradiction, "match"),
    ("environment = \"production\"", "environment = \"production\", event_name = [\"push\", \"pull_request\"]", Rule::Contradiction, "match"),
    ("issuer = \"http://127.0.0.1:8443\"", "issuer = \"http://writ.example\"", Rule::IssuerScheme, "issuer"),
    ("hook\"]", "open\"]", Rule::SecretMode, "webhook"),
    ("https://svid.example", "http://svid.example", Rule::IssuerScheme, "issuer"),
    ("https://svid.example", "http://127.0.0.1:8443", Rule::SvidIssuerShared, "issuer"),
    ("publish_ahead = \"2h\"", "publish_ahead = \"59s\"", Rule::OutOfRange, "publish_ahead"),
    ("[\"rsa\"]", "[\"rsa\", \"hook\"]", Rule::RsaKey, "rsa_key_files"),
    ("rsa_key_files = [\"rsa\"]\n", "", Rule::RsaWithoutKey, "rs256_audiences"),
    ("token_file = \"token\"", "token_file = \"short\"", Rule::SecretWeak, "token_file"),
    ("token_file = \"token\"", "token_file = \"token\"\ntoken_secret = \"writ/x\"", Rule::Contradiction, "token_secret"),
    ("token_file = \"token\"", "token_secret = \"ci/x\"", Rule::TokenSecretPlace, "token_secret"),
    ("token_file = \"token\"", "token_secret = \"writ/../x\"", Rule::Value, "token_secret"),
    ("secrets = [\"ci/{repository_id}/*\"]", "secrets = [\"writ/*\"]", Rule::OwnSecretGranted, "secrets"),
    ("secrets = [\"ci/{repository_id}/*\"]", "secrets = [\"writ/desk\"]", Rule::OwnSecretGranted, "secrets"),
    ("https://gitlab.example\"", "http://gitlab.example\"", Rule::PlainHttpSource, "http://gitlab"),
    ("https://api.github.com", "http://api.github.com", Rule::PlainHttpSource, "url"),
    ("http://127.0.0.1:4318", "http://collector.example:4318", Rule::PlainHttpCollector, "collector.example"),
    ("http://127.0.0.1:4318", "https://collector.example/", Rule::Url, "collector.example"),
    ("http://127.0.0.1:4318", "https://key@collector.example", Rule::Url, "collector.example"),
    ("sampling = 0.25", "sampling = 1.5", Rule::OutOfRange, "sampling"),
    ("sampling = 0.25", "sampling = -0.1", Rule::OutOfRange, "sampling"),
    ("sampling = 0.25", "sampling = nan", Rule::OutOfRange, "sampling"),
    ("sampling = 0.25", "sampling = \"all\"", Rule::Shape, "sampling"),
    ("sampling = 0.25", "sampling = 1\nallowed_networks = [\"0.0.0.0/0\"]", Rule::NetworkTooWide, "allowed_networks"),
    ("token_file = \"collector-token\"\n", "", Rule::Contradiction, "token_header"),
    ("\"collector-token\"", "\"open\"", Rule::SecretMode, "token_file"),
    ("\"x-collector-key\"", "\"Content-Length\"", Rule::Value, "token_header"),
    ("\"x-collector-key\"", "\"a: b\\r\\nc\"", Rule::Value, "token_header"),
    // SVIDs of this broker.
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"own\"\npreset = \"jwt-svid\"\nissuer = \"http://127.0.0.1:8443\"\n[[source]]\nname = \"gitlab\"", Rule::Value, "8443\""),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"own\"\npreset = \"jwt-svid\"\nissuer = \"https://svid.example\"\n[[profile]]\nname = \"own\"\nsource = \"own\"\nmatch = { spiffe_id = \"spiffe://example.org/a/b\" }\ncase_of = \"desk\"\nopens_when = { assignee = \"spiffe_id\" }\ninstance = \"{lineage}\"\nrenewal = \"handle\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\nmax_age = \"8s\"\nvia = [\"pull\"]\n[profile.grant.x]\naudiences = [\"https://crm.example\"]\n[[source]]\nname = \"gitlab\"", Rule::RenewalUnwatched, "renewal"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"own\"\npreset = \"jwt-svid\"\nissuer = \"https://svid.example\"\n[[profile]]\nname = \"other\"\nsource = \"gitlab\"\nmatch = { project_id = \"8\", ref = \"refs/heads/main\" }\ntask = \"{project_id}/{pipeline_id}\"\ninstance = \"{job_id}\"\n[profile.grant.x]\naudiences = [\"https://desk.example\"]\njwt_svids = [\"https://db.example\"]\n[[profile]]\nname = \"own\"\nsource = \"own\"\nmatch = { spiffe_id = \"spiffe://example.org/a/b\" }\ncase_of = \"desk\"\nopens_when = { assignee = \"spiffe_id\" }\ninstance = \"{lineage}\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\nmax_age = \"8s\"\nvia = [\"pull\"]\n[profile.grant.x]\naudiences = [\"https://crm.example\"]\n[[source]]\nname = \"gitlab\"", Rule::OpensWhenWritable, "opens_when"),
    // Operators who are elsewhere.
    ("address = \"127.0.0.1:8444\"", "address = \"0.0.0.0:8444\"", Rule::PlainHttpExposed, "0.0.0.0:8444"),
    ("address = \"127.0.0.1:8444\"", "address = \"127.0.0.1:8443\"", Rule::Contradiction, "address"),
    ("address = \"127.0.0.1:8444\"", "address = \"127.0.0.1:9090\"", Rule::Contradiction, "9090"),
    ("address = \"127.0.0.1:8444\"", "address = \"127.0.0.1:8444\"\nkey = \"k\"", Rule::Missing, "key"),
    ("https://people.example", "http://people.example", Rule::PlainHttpSource, "people"),
    ("https://people.example", "https://gitlab.example", Rule::OperatorsIssuerShared, "issuer"),
    ("https://people.example", "http://127.0.0.1:8443/svid", Rule::OperatorsIssuerShared, "issuer"),
    ("https://people.example", "https://svid.example", Rule::OperatorsIssuerShared, "issuer"),
    ("https://people.example", "https://*.people.example", Rule::Url, "issuer"),
    ("\"writ-operators\"", "\"\"", Rule::Value, "client_id"),
    ("\"writ-operators\"", "\"http://127.0.0.1:8443\"", Rule::AudienceShared, "client_id"),
    ("\"writ-operators\"", "\"sts.amazonaws.com\"", Rule::AudienceShared, "client_id"),
    ("scopes = [\"groups\"]", "scopes = [\"groups email\"]", Rule::Value, "scopes"),
    ("scopes = [\"groups\"]", "algorithms = [\"HS256\"]", Rule::AlgorithmSymmetric, "algorithms"),
    ("scopes = [\"groups\"]", "groups_claim = \"email\"", Rule::OperatorByName, "groups_claim"),
    ("scopes = [\"groups\"]", "groups_claim = \"preferred_username\"", Rule::OperatorByName, "groups_claim"),
    ("max_token_age = \"8h\"", "max_token_age = \"13h\"", Rule::OutOfRange, "max_token_age"),
    ("\"00u1\"", "\"alice@people.example\"", Rule::OperatorByName, "subjects"),
    ("\"6f1d1f0e\"", "\"*\"", Rule::MatchPattern, "groups"),
    ("\"6f1d1f0e\"", "\"^writ-\"", Rule::MatchPattern, "groups"),
    ("\"6f1d1f0e\"", "\"\"", Rule::Value, "groups"),
    ("groups = [\"6f1d1f0e\"]", "", Rule::EmptyList, "viewer"),
    ("[operators.role.viewer]", "[operators.role.root]", Rule::Value, "root"),
    ("[operators.role.viewer]\ngroups = [\"6f1d1f0e\"]\n[operators.role.admin]\nsubjects = [\"00u1\"]\n", "", Rule::EmptyList, "[operators]"),
    // Desks.
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"desk\"\npreset = \"gitlab-ci\"\nissuer = \"https://other.example\"\n[[source]]\nname = \"gitlab\"", Rule::Duplicate, "name = \"desk\""),
    ("url = \"https://desk.example/api\"", "url = \"http://desk.example/api\"", Rule::PlainHttpSource, "desk.example"),
    ("\"/tickets/{id}/\"", "\"/tickets\"", Rule::Template, "path"),
    ("\"/tickets/{id}/\"", "\"/../{id}\"", Rule::Template, "path"),
    ("id = \"/id\"", "id = \"id\"", Rule::Value, "id"),
    ("\"HD-\"", "\"HD/\"", Rule::Value, "id_prefixes"),
    ("at = \"/status\"", "at = \"\"", Rule::Value, "at"),
    ("open = [\"1\", \"2\"]", "open = []", Rule::EmptyList, "[desk.case.status]"),
    ("closed = [\"3\", \"4\"]", "closed = [\"2\"]", Rule::Duplicate, "closed"),
    ("[desk.case.field.account]", "[desk.case.field.status]\nat = \"/x\"\n[desk.case.field.account]", Rule::Value, "field.status"),
    ("token_scheme = \"Token\"", "token_scheme = \"a: b\"", Rule::Value, "token_scheme"),
    ("[desk.webhook]\nsecret_files = [\"hook\"]", "[desk.webhook]\nsecret_files = []", Rule::EmptyList, "secret_files"),
    ("[desk.webhook]\nsecret_files = [\"hook\"]", "[desk.webhook]\nsecret_files = [\"signing\"]", Rule::Value, "secret_files"),
    ("case_of = \"desk\"", "case_of = \"dsek\"", Rule::SourceUnknown, "dsek"),
    ("case_of = \"desk\"", "task = \"{agent_id}\"\ncase_of = \"desk\"", Rule::Contradiction, "task"),
    ("task = \"{project_id}/{pipeline_id}\"", "", Rule::Missing, "lab"),
    ("task = \"{project_id}/{pipeline_id}\"", "task = \"{project_id}/{pipeline_id}\"\nopens_when = { assignee = \"project_id\" }", Rule::Contradiction, "opens_when"),
    ("opens_when = { assignee = \"agent_id\" }\n", "", Rule::OpensWhenMissing, "case_of"),
    ("opens_when = { assignee = \"agent_id\" }", "opens_when = {}", Rule::OpensWhenMissing, "case_of"),
    ("opens_when = { assignee = \"agent_id\" }", "opens_when = { assignee = \"team\" }", Rule::OpensWhenClaim, "opens_when"),
    ("opens_when = { assignee = \"agent_id\" }", "opens_when = { assignee = \"sub\" }", Rule::OpensWhenClaim, "opens_when"),
    ("opens_when = { assignee = \"agent_id\" }", "opens_when = { owner = \"agent_id\" }", Rule::BindingField, "opens_when"),
    ("opens_when = { assignee = \"agent_id\" }", "opens_when = { account = \"agent_id\" }", Rule::OpensWhenWriters, "opens_when"),
    ("writable_by = [\"github\", ", "writable_by = [\"agents\", ", Rule::OpensWhenWritable, "opens_when"),
    ("audiences = [\"https://crm.example\"]", "audiences = [\"https://crm.example\", \"https://desk.example\"]", Rule::OpensWhenWritable, "opens_when"),
    ("audiences = [\"https://crm.example\"]", "audiences = [\"https://crm.example\"]\njwt_svids = [\"https://desk.example\"]", Rule::OpensWhenWritable, "opens_when"),
    ("[[profile]]\nname = \"support\"", "[[profile]]\nname = \"clerk\"\nsource = \"agents\"\nmatch = { agent_id = \"a-8\" }\ncase_of = \"desk\"\nopens_when = { assignee = \"agent_id\" }\ninstance = \"{agent_id}\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\nmax_age = \"8s\"\nvia = [\"pull\"]\n[profile.grant.case]\naudiences = [\"https://desk.example\"]\n[[profile]]\nname = \"support\"", Rule::OpensWhenWritable, "opens_when"),
    ("require = { status = \"open\" }\npin = [\"account\"]", "pin = [\"account\"]", Rule::CaseUnbound, "support"),
    ("sender = \"optional\"\n", "sender = \"optional\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\nmax_age = \"9s\"\nvia = [\"pull\"]\n", Rule::CaseUnbound, "lab"),
    ("require = { status = \"open\" }\npin", "require = { status = [\"open\", \"closed\"] }\npin", Rule::BindingValue, "require"),
    ("pin = [\"account\"]", "pin = [\"owner\"]", Rule::BindingField, "pin"),
    ("max_age = \"9s\"\nvia = [\"pull\"]", "max_age = \"9s\"\nvia = [\"issuer-proof\"]", Rule::ProofOnce, "via"),
    ("instance = \"{agent_id}\"", "instance = \"agent\"", Rule::InstanceNotUnique, "instance"),
    ("case_of = \"desk\"\nopens_when = { assignee = \"agent_id\" }\ninstance = \"{agent_id}\"\ndeadline = \"30d\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\npin = [\"account\"]\nmax_age = \"9s\"\nvia = [\"pull\"]\n[profile.grant.case]\naudiences = [\"https://crm.example\"]\nsecrets = [\"crm/reply-key\"]\n", "task = \"{agent_id}\"\ninstance = \"{session}\"\n[profile.grant.case]\naudiences = [\"https://crm.example\"]\n", Rule::TaskWithoutRun, "task"),
    ("deadline = \"30d\"", "deadline = \"31d\"", Rule::Lifetime, "deadline"),
    ("https://writ.example/gitlab", "", Rule::AudienceEmpty, "audience"),
    ("https://writ.example/gitlab", "sigstore", Rule::AudienceShared, "audience"),
    ("https://writ.example/gitlab", "https://github.com/octo", Rule::AudienceShared, "audience"),
    ("https://writ.example/gitlab", "https://gitlab.example", Rule::AudienceShared, "audience"),
    ("[\"RS256\"]", "[\"RS256\", \"HS256\"]", Rule::AlgorithmSymmetric, "algorithms"),
    ("[\"RS256\"]", "[\"none\"]", Rule::AlgorithmSymmetric, "algorithms"),
    ("10.1.0.0/16", "0.0.0.0/0", Rule::NetworkTooWide, "allowed_networks"),
    ("10.1.0.0/16", "169.254.0.0/16", Rule::NetworkTooWide, "allowed_networks"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"k8s\"\npreset = \"kubernetes\"\nissuer = \"https://k8s.example\"\nwebhook_secret_files = [\"hook\"]\n[[source]]\nname = \"gitlab\"", Rule::HooksUnsupported, "webhook"),
    ("https://gitlab.example\"\naudience = \"https://writ.example/gitlab\"", "https://token.actions.githubusercontent.com\"", Rule::SourceAmbiguous, "issuer"),
    ("https://gitlab.example\"\naudience", "https://token.actions.githubusercontent.com\"\naudience", Rule::SourceAmbiguous, "issuer"),
    ("writ.example/gitlab\"", "writ.example/gitlab\"\nwebhook_secret_files = [\"signing\"]", Rule::Value, "webhook"),
    ("source = \"gitlab\"", "source = \"git-lab\"", Rule::SourceUnknown, "git-lab"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"label\" }\nclaims.build = { is = \"run\" }\n[[source]]\nname = \"gitlab\"", Rule::MappingIncomplete, "preset"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\napi = { url = \"https://ci.example\", token_file = \"token\" }\n[[source]]\nname = \"gitlab\"", Rule::PullUnsupported, "api"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.who = { at = \"/sub\", is = \"id\" }\n[[source]]\nname = \"gitlab\"", Rule::MatchOnSubject, "who"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.sub = { at = \"/x\", is = \"id\" }\n[[source]]\nname = \"gitlab\"", Rule::MatchOnSubject, "sub"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.once = { at = \"/jti\", is = \"run\" }\n[[source]]\nname = \"gitlab\"", Rule::MatchOnToken, "once"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.more = { at = \"x\", is = \"label\" }\n[[source]]\nname = \"gitlab\"", Rule::Value, "more"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.more = { is = \"url\" }\n[[source]]\nname = \"gitlab\"", Rule::Value, "more"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"ci\"\npreset = \"oidc\"\nissuer = \"https://ci.example\"\nclaims.project = { is = \"id\" }\nclaims.build = { is = \"run\" }\nclaims.step = { at = \"/job/id\", is = [\"instance\"] }\nclaims.more = { is = [] }\n[[source]]\nname = \"gitlab\"", Rule::Value, "more"),
    ("issuer = \"https://gitlab.example\"\n", "issuer = \"https://gitlab.example\"\nclaims.x = { is = \"id\" }\n", Rule::Contradiction, "claims.x"),
    // The conditions that a stranger could come to meet.
    ("project_id = \"7\"", "project_path = \"octo/app\"", Rule::MatchWithoutId, "match"),
    ("project_id = \"7\"", "project_id = \"7\", sub = \"project_path:octo/app\"", Rule::MatchOnSubject, "match"),
    ("project_id = \"7\"", "project_id = \"7\", aud = \"x\"", Rule::MatchOnToken, "match"),
    ("\"refs/heads/main\"", "\"refs/heads/*\"", Rule::MatchPattern, "match"),
    ("\"refs/heads/main\"", "\"^refs/heads/main$\"", Rule::MatchPattern, "match"),
    ("\"refs/heads/main\"", "\"refs/heads/main \"", Rule::MatchPattern, "match"),
    ("\"refs/heads/main\"", "\"\"", Rule::MatchPattern, "match"),
    ("project_id = \"7\"", "project_id = \"*\"", Rule::MatchPattern, "match"),
    ("project_id = \"7\"", "project_id = \"7\", enviroment = \"production\"", Rule::ClaimUnknown, "match"),
    ("repository_id = \"812345\"", "repository_id = \"octo/app\"", Rule::IdNotNumber, "match"),
    ("deploy.yml@refs/heads/main", "deploy.yml", Rule::WorkflowNotPinned, "match"),
    ("deploy.yml@refs/heads/main", "deploy.yml@main", Rule::WorkflowNotPinned, "match"),
    ("deploy.yml@refs/heads/main", "deploy.yml@refs/pull/1/merge", Rule::WorkflowNotPinned, "match"),
    ("\"{job_id}\"", "\"{job_id\"", Rule::Template, "instance"),
    ("\"{job_id}\"", "\"a/{job_id}\"", Rule::Template, "instance"),
    ("{project_id}/{pipeline_id}", "{project_path}/{pipeline_id}", Rule::Template, "task"),
    ("{project_id}/{pipeline_id}", "../{pipeline_id}", Rule::Template, "task"),
    ("ci/{repository_id}/*", "ci/*/x", Rule::Template, "secrets"),
    ("{project_id}/{pipeline_id}", "{projct_id}/{pipeline_id}", Rule::ClaimUnknown, "task"),
    ("{run_id}/{run_attempt}", "{run_id}{run_attempt}", Rule::TemplateAmbiguous, "task"),
    ("{run_id}/{run_attempt}", "{run_id}", Rule::TaskWithoutRun, "task"),
    ("{run_id}/{run_attempt}", "{run_attempt}", Rule::TaskWithoutRun, "task"),
    ("\"{check_run_id}\"", "\"{run_id}\"", Rule::InstanceNotUnique, "instance"),
    ("task = \"{project_id}/{pipeline_id}\"", "task_scope = \"stage\"", Rule::Value, "task_scope"),
    ("task = \"{project_id}/{pipeline_id}\"", "task = \"{project_id}/{pipeline_id}/{job_id}\"\ntask_scope = \"run\"", Rule::Contradiction, "task_scope"),
    ("task = \"{project_id}/{pipeline_id}\"", "task = \"{project_id}\"\ntask_scope = \"job\"", Rule::TaskWithoutRun, "task ="),
    ("case_of = \"desk\"", "task_scope = \"job\"\ncase_of = \"desk\"", Rule::Contradiction, "task_scope"),
    ("case_of = \"desk\"\nopens_when = { assignee = \"agent_id\" }\ninstance = \"{agent_id}\"\ndeadline = \"30d\"\n[[profile.binding]]\nrecord = \"case\"\nrequire = { status = \"open\" }\npin = [\"account\"]\nmax_age = \"9s\"\nvia = [\"pull\"]\n[profile.grant.case]\naudiences = [\"https://crm.example\"]\nsecrets = [\"crm/reply-key\"]\n", "task_scope = \"run\"\ninstance = \"{session}\"\n[profile.grant.case]\naudiences = [\"https://crm.example\"]\n", Rule::TaskWithoutRun, "task_scope"),
    ("[[source]]\nname = \"gitlab\"", "[[source]]\nname = \"pods\"\npreset = \"kubernetes\"\nissuer = \"https://cluster.example\"\n[[profile]]\nname = \"pods\"\nsource = \"pods\"\nmatch = { serviceaccount_uid = \"6f1d1f0e-0000-4000-8000-000000000001\" }\ntask_scope = \"job\"\ninstance = \"{pod_uid}\"\n[profile.grant.x]\naudiences = [\"https://crm.example\"]\n[[source]]\nname = \"gitlab\"", Rule::TaskScopeImpossible, "task_scope"),
    ("pin = [\"id\", \"protection_rules\"]", "pin = [\"id\", \"rules\"]", Rule::BindingField, "pin"),
    ("{ status = \"in_progress\" }", "{ status = \"running\" }", Rule::BindingValue, "require"),
    ("{ status = \"in_progress\" }", "{ status = [\"in_progress\", \"completed\"] }", Rule::BindingValue, "require"),
    ("pin = [\"id\", \"protection_rules\"]", "", Rule::BindingEmpty, "record"),
    ("via = [\"pull\"]", "via = [\"issuer-proof\", \"pull\"]", Rule::BindingUnseen, "pin"),
    ("environment = \"production\", ", "", Rule::BindingWithoutClaim, "record = \"env"),
    ("max_age = \"60s\"", "max_age = \"0s\"", Rule::MaxAge, "max_age"),
    ("max_age = \"60s\"", "max_age = \"301s\"", Rule::MaxAge, "max_age"),
    ("audiences = [\"https://deploy.example\"]\nscopes = [\"deploy:write\"]\nsecrets = [\"ci/{repository_id}/*\"]", "scopes = [\"deploy:write\"]", Rule::GrantEmpty, "grant.deploy"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nreads = [\"read\"]", Rule::ActsIncomplete, "grant.deploy"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nresource = [{ type = \"host\" }]", Rule::ActsIncomplete, "grant.deploy"),
    ("uses = 10", "resource = [{ type = \"host\" }]\nreads = [\"ls\"]\nwrites = [\"ls\"]", Rule::ActTwice, "reads"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nreads = [\"ls\"]\nresource = [{ type = \"host\", id = \"{case.account}\" }]", Rule::ResourceUnbound, "resource"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nreads = [\"ls\"]\nresource = [{ type = \"host\", id = \"{environment.colour}\" }]", Rule::ResourceUnbound, "resource"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nreads = [\"ls\"]\nresource = [{ type = \"host\", id = \"x-{environment.name}\" }]", Rule::Template, "resource"),
    ("scopes = [\"deploy:write\"]", "scopes = [\"deploy:write\"]\nreads = [\"ls\"]\nresource = [{ type = \"a host\" }]", Rule::Value, "resource"),
    ("secrets = [\"ci/{repository_id}/*\"]", "secrets = [\"ci/{environment.name}/*\"]", Rule::ClaimUnknown, "secrets"),
    ("allow = []", "allow = [\"pull-request\"]", Rule::SecretsForUnmerged, "secrets"),
    ("token_ttl = \"5m\"", "token_ttl = \"16m\"", Rule::Lifetime, "token_ttl"),
    ("lease_ttl = \"5m\"", "lease_ttl = \"0s\"", Rule::Lifetime, "lease_ttl"),
    ("lease_ttl = \"5m\"", "certificate_ttl = \"61m\"", Rule::Lifetime, "certificate_ttl"),
    ("deadline = \"1h\"", "deadline = \"25h\"", Rule::Lifetime, "deadline"),
    ("session_ttl = \"15m\"", "session_ttl = \"61m\"", Rule::LifetimeOrder, "session_ttl"),
    ("session_ttl = \"15m\"", "session_ttl = \"4m\"", Rule::LifetimeOrder, "session_ttl"),
    ("sender = \"optional\"", "renewal = \"fresh-evidence\"", Rule::RenewalImpossible, "renewal"),
    ("sender = \"optional\"", "sender = \"required\"", Rule::SenderImpossible, "sender"),
    ("sender = \"optional\"\n[profile.grant.deploy]\naudiences = [\"https://deploy.example\"]\n", "sender = \"optional\"\n", Rule::ProfileWithoutGrant, "lab"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\n\n[listen]\naddress = \"0.0.0.0:8443\"", Rule::PlainHttpExposed, "0.0.0.0"),
    ("sender = \"optional\"\n", "sender = \"optional\"\n[[profile.binding]]\nrecord = \"job\"\nrequire = { status = \"in_progress\" }\nmax_age = \"9s\"\nvia = [\"issuer-proof\"]\n", Rule::ProofOnce, "issuer-proof"),
    ("sender = \"optional\"\n", "sender = \"optional\"\n[[profile.binding]]\nrecord = \"job\"\nrequire = { status = \"in_progress\" }\nmax_age = \"9s\"\nvia = [\"pull\"]\n", Rule::ViaWithoutApi, "via = [\"pull\"]"),
    (BINDINGS, "", Rule::SecretsWithoutBinding, "secrets"),
    ("repository_id = \"812345\", environment = \"production\", job_workflow_ref = [\"octo/app/.github/workflows/deploy.yml@refs/heads/main\"]", "repository_owner_id = \"9\", environment = \"production\"", Rule::SecretsForAnyWorkflow, "secrets"),
];

const BINDINGS: &str = r#"[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["issuer-proof", "pull"]
[[profile.binding]]
record = "environment"
pin = ["id", "protection_rules"]
max_age = "30s"
via = ["pull"]
"#;

/// Edits that are taken, with a warning.
#[rustfmt::skip]
const UNWISE: &[Case] = &[
    ("audiences = [\"https://deploy.example\"]\nsecret_sha256", "audiences = [\"https://deploy.example\", \"https://other.example\"]\nsecret_sha256", Rule::AudienceUnused, "other"),
    ("[[profile.binding]]\nrecord = \"environment\"\npin = [\"id\", \"protection_rules\"]\nmax_age = \"30s\"\nvia = [\"pull\"]\n", "", Rule::EnvironmentUnbound, "secrets"),
    (", ref = \"refs/heads/main\"", "", Rule::AnyWorkflow, "match"),
    ("http://127.0.0.1:8443\"\npolicies = [\"extra.cedar\"]\n\n[listen]\naddress = \"127.0.0.1:8443\"", "https://writ.example\"\npolicies = [\"extra.cedar\"]\n\n[listen]\nissued_for = [\"other.example\"]\naddress = \"127.0.0.1:8443\"", Rule::IssuerNotNamed, "issued_for"),
    ("token_file = \"token\"", "", Rule::ApiWithoutToken, "[source.api]"),
    ("lease_ttl = \"5m\"", "lease_ttl = \"6m\"", Rule::LeaseOutlivesToken, "lease_ttl"),
    ("policies = [\"extra.cedar\"]", "shipped_policies = false", Rule::NothingGranted, "trust_domain"),
];

/// The practice world's, which is public.
const RSA: &str = include_str!("../../practice/testkeys/TEST-rsa-1.pem");

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents, mode) in [
        ("extra.cedar", "permit(principal, action, resource);", 0o644),
        ("hook", "canary-5d1f-canary-5d1f", 0o600),
        ("open", "canary-5d1f-canary-5d1f", 0o644),
        ("token", "canary-5d1f-canary-5d1f", 0o640),
        ("signing", "whsec_canary-5d1f-canary-5d1f", 0o600),
        ("short", "canary-5d1f", 0o600),
        ("github-webhook-secret", "canary-5d1f-canary-5d1f", 0o600),
        ("github-token", "canary-5d1f-canary-5d1f", 0o600),
        ("gitlab-webhook-secret", "canary-5d1f-canary-5d1f", 0o600),
        ("gitlab-token", "canary-5d1f-canary-5d1f", 0o600),
        ("cluster-token", "canary-5d1f-canary-5d1f", 0o600),
        ("rsa", RSA, 0o600),
        ("svid-rsa.pem", RSA, 0o600),
        ("collector-token", "canary-5d1f-canary-5d1f", 0o600),
        ("desk-token", "canary-5d1f-canary-5d1f", 0o600),
        ("desk-webhook-secret", "canary-5d1f-canary-5d1f", 0o600),
        ("api-token", "canary-5d1f-canary-5d1f", 0o600),
        ("hook-secret", "canary-5d1f-canary-5d1f", 0o600),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    dir
}

fn edited(case: &Case) -> String {
    let (from, to, _, _) = case;
    assert!(SOUND.contains(from), "{from:?} is not in the sound file");
    SOUND.replacen(from, to, 1)
}

fn line_of<'t>(text: &'t str, problem: &Problem) -> &'t str {
    text.lines().nth(problem.line - 1).unwrap()
}

fn sound(dir: &Path) -> Config {
    parse("writ.toml", SOUND, dir).unwrap()
}

#[test]
fn a_sound_file_says_what_it_means() {
    let dir = place();
    let config = sound(dir.path());
    assert_eq!(config.warnings(), []);
    let [deploy, lab, support] = config.broker.profiles.as_slice() else {
        panic!("{:?}", config.broker.profiles);
    };
    assert_eq!(deploy.lifetimes.deadline, Duration::from_hours(1));
    assert_eq!(deploy.sender, SenderMode::Required);
    assert_eq!(deploy.renewal, RenewalMode::Handle);
    let environment = deploy.binding(RecordKind::Environment).unwrap();
    assert_eq!(environment.via, BTreeSet::from([Via::Pull]));
    assert_eq!(environment.max_age, Duration::from_secs(30));
    assert!(lab.bindings.is_empty() && lab.allow.is_empty());
    let case = support.binding(RecordKind::Case).unwrap();
    // What names the worker is pinned, said or not.
    let pins: Vec<_> = case.pin.iter().map(String::as_str).collect();
    assert_eq!(pins, ["account", "assignee"]);
    let [github, gitlab, _] = config.issuers.as_slice() else {
        panic!("{:?}", config.issuers);
    };
    assert_eq!(github.audience.as_str(), "http://127.0.0.1:8443");
    assert_eq!(gitlab.audience.as_str(), "https://writ.example/gitlab");
    let hooks = config.sources.iter().map(|s| s.webhook_secrets.len());
    assert_eq!(hooks.collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(config.broker.online.len(), 1);
    assert_eq!(config.store.sqlite, dir.path().join("writ.db"));
}

#[test]
fn a_task_is_the_run_or_the_job_as_its_scope_says() {
    let dir = place();
    let given = "task = \"{project_id}/{pipeline_id}\"";
    for (says, claims) in [
        (given, "project_id pipeline_id"),
        ("task_scope = \"run\"", "project_id pipeline_id"),
        ("task_scope = \"job\"", "project_id pipeline_id job_id"),
        (
            "task_scope = \"job\"\ntask = \"{project_id}/{pipeline_id}/publish\"",
            "project_id pipeline_id job_id",
        ),
        (
            "task_scope = \"job\"\ntask = \"{job_id}/{pipeline_id}\"",
            "job_id pipeline_id",
        ),
        (
            "task_scope = \"run\"\ntask = \"{pipeline_id}/x\"",
            "pipeline_id",
        ),
    ] {
        let text = SOUND.replacen(given, says, 1);
        let config = parse("writ.toml", &text, dir.path()).unwrap();
        let Naming::Evidence(template) = &config.broker.profiles[1].naming else {
            panic!("{says}");
        };
        let named: Vec<_> = template.claims().collect();
        assert_eq!(named.join(" "), claims, "{says}");
    }
}

#[test]
fn a_workload_is_one_resource_server_at_most() {
    let dir = place();
    let other = r#"spiffe_id = "spiffe://example.org/a"
[[resource_server]]
name = "other"
audiences = ["https://deploy.example"]
spiffe_id = "spiffe://example.org/b"
[[profile]]
name = "deploy""#;
    let text = SOUND
        .replace("issuer = \"http://127", "issuer = \"https://127")
        .replace("[listen]\n", "[listen]\ncertificate = \"c\"\nkey = \"k\"\n")
        .replace("[[profile]]\nname = \"deploy\"", other);
    let config = parse("writ.toml", &text, dir.path()).unwrap();
    let servers = config.resource_servers.iter();
    let ids: Vec<_> = servers
        .map(|s| s.workload.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(ids, ["spiffe://example.org/a", "spiffe://example.org/b"]);
    let problems = parse("writ.toml", &text.replace("org/b", "org/a"), dir.path()).unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|p| (p.rule, line_of(&text, p)))
        .collect();
    assert_eq!(
        found,
        [(Rule::Duplicate, "spiffe_id = \"spiffe://example.org/b\"")]
    );
}

#[test]
fn each_rule_is_enforced_and_its_line_named() {
    let dir = place();
    let mut wrong = Vec::new();
    for case in CASES {
        let text = edited(case);
        let (_, to, rule, line) = case;
        let problems = match parse("writ.toml", &text, dir.path()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        assert!(!format!("{problems:?}").contains("canary"));
        let only = !problems.is_empty() && problems.iter().all(|p| p.rule == *rule);
        if !only || !line_of(&text, &problems[0]).contains(line) {
            wrong.push(format!(
                "{to:?} is to break {rule} at {line:?}: {problems:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_unwise_is_taken_with_a_warning() {
    let dir = place();
    for case in UNWISE {
        let text = edited(case);
        let (_, to, rule, line) = case;
        let config = parse("writ.toml", &text, dir.path()).unwrap();
        let rules: Vec<_> = config.warnings().iter().map(|p| p.rule).collect();
        assert_eq!(rules, [*rule], "{to:?}");
        let named = line_of(&text, &config.warnings()[0]);
        assert!(named.contains(line), "{to:?} names {named:?}");
    }
}

#[test]
fn no_rule_is_without_a_case() {
    // Making another user's file needs rights that a test does not have: see `files`.
    let elsewhere = [Rule::SecretOwner];
    let tried = CASES.iter().chain(UNWISE).map(|(_, _, rule, _)| *rule);
    let tried: BTreeSet<_> = tried.chain(elsewhere).collect();
    let missing: Vec<_> = Rule::ALL.iter().filter(|r| !tried.contains(r)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn one_run_tells_everything_that_is_wrong() {
    let dir = place();
    let text = SOUND
        .replacen("max_age = \"60s\"", "max_age = \"0s\"", 1)
        .replacen("uses = 10", "uses = 0", 1)
        .replacen("drain =", "drian =", 1)
        .replacen("[\"RS256\"]", "[\"HS256\"]", 1)
        .replacen("project_id = \"7\", ", "", 1);
    let problems = parse("writ.toml", &text, dir.path()).unwrap_err();
    let rules: Vec<_> = problems.iter().map(|p| p.rule).collect();
    assert_eq!(
        rules,
        [
            Rule::UnknownKey,
            Rule::AlgorithmSymmetric,
            Rule::MaxAge,
            Rule::OutOfRange,
            Rule::MatchWithoutId,
        ]
    );
}

#[test]
fn faults_of_shape_in_several_sections_are_all_told() {
    let text = SOUND
        .replacen("drain = \"20s\"", "drain = 20", 1)
        .replacen("uses = 10", "uses = \"canary\"", 1)
        .replacen("sqlite =", "sqlight =", 1)
        .replacen("instance = \"{job_id}\"\n", "", 1);
    let problems = parse("writ.toml", &text, Path::new(".")).unwrap_err();
    let told: Vec<_> = problems.iter().map(|p| line_of(&text, p)).collect();
    assert_eq!(
        told,
        [
            "drain = 20",
            "[store]",
            "sqlight = \"writ.db\"",
            "uses = \"canary\"",
            "[[profile]]",
        ]
    );
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(!shown.concat().contains("canary"), "{shown:?}");
}

#[test]
fn a_file_with_any_line_missing_or_cut_off_anywhere_is_judged() {
    let dir = place();
    let lines: Vec<_> = SOUND.lines().collect();
    for at in 0..lines.len() {
        let (before, after) = (&lines[..at], &lines[at + 1..]);
        for text in [[before, after].concat().join("\n"), before.join("\n")] {
            let judged = parse("writ.toml", &text, dir.path());
            let problems = judged.map_or_else(|all| all, |config| config.warnings().to_vec());
            let last = text.lines().count().max(1);
            assert!(problems.iter().all(|p| (1..=last).contains(&p.line)));
        }
    }
}

#[test]
fn a_problem_reads_as_place_rule_reason_and_mend() {
    let text = SOUND.replacen("file = \"kek\"", "descriptor = 2", 1);
    let problems = parse("writ.toml", &text, place().path()).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "writ.toml:28:14: out_of_range: `descriptor` is not between 3 and 1023\n  \
         mend: choose a value inside the range"
    );
}

#[test]
fn a_profile_may_name_the_risks_that_it_takes() {
    let dir = place();
    let text = SOUND.replacen("allow = []", "allow = [\"self-hosted\"]", 1);
    let config = parse("writ.toml", &text, dir.path()).unwrap();
    let allowed = &config.broker.profiles[0].allow;
    assert_eq!(*allowed, BTreeSet::from([Allowance::SelfHosted]));
}

#[test]
fn plain_http_to_a_practised_ci_system_stays_on_this_machine() {
    let dir = place();
    let practised = SOUND.replacen("https://gitlab.example\"", "http://127.0.0.1:9/a\"", 1);
    let config = parse("writ.toml", &practised, dir.path()).unwrap();
    assert_eq!(config.issuers[1].issuer.as_str(), "http://127.0.0.1:9/a");
    let exposed = practised.replacen("127.0.0.1:9090", "0.0.0.0:9090", 1);
    let problems = parse("writ.toml", &exposed, dir.path()).unwrap_err();
    let rules: Vec<_> = problems.iter().map(|p| p.rule).collect();
    assert_eq!(rules, [Rule::IssuerScheme, Rule::PlainHttpSource]);
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let dir = place();
    let problems = load(&dir.path().join("absent.toml")).unwrap_err();
    let rules: Vec<_> = problems.iter().map(|p| p.rule).collect();
    assert_eq!(rules, [Rule::Unreadable]);
}

const REFERENCE: &str = include_str!("../../docs/reference/configuration.md");

/// The first cells of the table below a heading, without their backticks.
fn first_cells(heading: &str) -> BTreeSet<&'static str> {
    let wanted = format!("## {heading}");
    let below = REFERENCE.lines().skip_while(|line| *line != wanted).skip(1);
    let section = below.take_while(|line| !line.starts_with("## "));
    let rows = section.filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn the_reference_names_exactly_the_keys_that_exist() {
    for (table, keys) in fields::all() {
        let heading = if table.starts_with('[') {
            format!("`{table}`")
        } else {
            "Top level".to_owned()
        };
        // A key that holds a table has a section of its own instead of a row.
        let sections: &[&str] = match table {
            "top level" => &[
                "listen",
                "operators",
                "store",
                "keys",
                "svid",
                "telemetry",
                "limits",
                "source",
                "desk",
                "resource_server",
                "profile",
            ],
            "[operators]" => &["role"],
            "[[source]]" => &["api", "claims"],
            "[[desk]]" => &["api", "case", "webhook"],
            "[desk.case]" => &["status", "field"],
            "[[profile]]" => &["binding", "grant"],
            "[profile.grant.NAME]" => &["resource"],
            _ => &[],
        };
        let plain = keys.into_iter().filter(|key| !sections.contains(key));
        assert_eq!(first_cells(&heading), plain.collect(), "{table}");
        assert!(REFERENCE.contains(&format!("## {heading}\n")), "{table}");
    }
}

#[test]
fn the_reference_names_every_rule_with_its_mend() {
    let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(first_cells("Rules"), codes);
    for rule in Rule::ALL {
        let row = format!("| `{rule}` | {} |", rule.mend());
        assert!(REFERENCE.contains(&row), "{row}");
    }
}

#[test]
fn the_shipped_examples_are_sound() {
    let examples = [
        include_str!("../../deploy/examples/writ.toml"),
        include_str!("../../deploy/examples/minimal.toml"),
        include_str!("../../deploy/examples/gitlab.toml"),
        include_str!("../../deploy/examples/kubernetes.toml"),
        include_str!("../../deploy/examples/oidc.toml"),
        include_str!("../../deploy/examples/desk.toml"),
        include_str!("../../deploy/examples/practice.toml"),
    ];
    let dir = place();
    for text in examples {
        let here = text.replace("/etc/writ/", &format!("{}/", dir.path().display()));
        let config = parse("writ.toml", &here, dir.path()).unwrap();
        assert_eq!(config.warnings(), []);
    }
    for (table, keys) in fields::all() {
        for key in keys {
            assert!(
                examples[0].contains(key),
                "the full example has no {table} {key}"
            );
        }
    }
}
