//! A broker in this process: wired as the server wires it, on a test clock, with every job run by
//! hand, so that nothing happens that a test did not ask for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use writ::broker::apply::Wanted;
use writ::broker::observe::Stale;
use writ::broker::revoke::Order;
use writ::broker::rules::Rules as RuleSet;
use writ::cli::wire::{Wired, wire};
use writ::config;
use writ::decide::engine::PolicySet;
use writ::decide::load::PolicySource;
use writ::domain::time::Timestamp;
use writ::jobs::follower::Follower;
use writ::jobs::revocations::{Report, Revocations};
use writ::seams::{Clock, ManualClock, SystemEntropy};
use writ::surface::http::public;
use writ::surface::http::serve::{Limits, Listener, serve};
use writ_practice::{
    Agents, Cluster, CreatedRepo, Desk, EnvironmentSpec, HookSettings, HookTarget, Lab, LabProject,
    NewRepo, Options, Rules, Running, Site, World,
};

use super::client::Client;

/// What a webhook is signed with.
pub const HOOK_SECRET: &str = "hook-secret-canary-1f2e";

/// What GitLab's webhooks are signed with, where they are: the base64 of `SIGNING_KEY`.
pub const SIGNING_TOKEN: &str = "whsec_c2lnbmluZy1rZXktY2FuYXJ5LTBjNWUtMDEyMzQ1Njc=";
pub const SIGNING_KEY: &[u8] = b"signing-key-canary-0c5e-01234567";

/// What the practice world's API wants.
pub const API_TOKEN: &str = "api-token-canary-9a8b";

/// The generated secret of the resource server `billing`.
pub const BILLING_SECRET: &str = "billing-secret-0123456789abcdef0123456789abcdef";

/// The repository that the shared profiles trust, and its environment.
pub const REPO: &str = "octo/app";
pub const ENVIRONMENT: &str = "production";

/// Where the GitLab instance of the world is.
pub const LAB: &str = "/lab";

/// Where the Kubernetes cluster of the world is.
pub const CLUSTER: &str = "/cluster";

/// Where agents get their identity.
pub const AGENTS: &str = "/agents";

/// Where the ticket desk is.
pub const DESK: &str = "/helpdesk";

/// A broker and the world around it.
pub struct Broker {
    pub wired: Wired,
    pub world: Running,
    pub clock: Arc<ManualClock>,
    pub repo: CreatedRepo,
    /// The project at the GitLab instance, of the same path.
    pub project: LabProject,
    /// The broker's issuer, which is also where it listens.
    pub issuer: String,
    /// The data directory: database, keys, the files of the configuration.
    pub files: TempDir,
    follower: tokio::sync::Mutex<Follower>,
    revocations: tokio::sync::Mutex<Revocations>,
    stop: CancellationToken,
}

impl Broker {
    /// A broker under one of the shared profiles.
    pub async fn with(profile: &str) -> Self {
        Self::configured(profile, "").await
    }

    /// A broker with more configuration, put before the sources: keys of the file's top level.
    pub async fn configured(profile: &str, top: &str) -> Self {
        install_tls();
        let world = World::start(Options {
            api_token: API_TOKEN.to_owned(),
            labs: vec![LAB.to_owned()],
            clusters: vec![CLUSTER.to_owned()],
            agents: vec![AGENTS.to_owned()],
            desks: vec![DESK.to_owned()],
            ..Options::default()
        })
        .await
        .unwrap();
        let site = world.site("").unwrap();
        let repo = site.create_repo(NewRepo::new("octo", "app")).unwrap();
        site.create_environment(environment(30)).unwrap();
        let lab = world.lab(LAB).unwrap();
        let project = lab.create_project(REPO).unwrap();

        let files = tempfile::Builder::new()
            .prefix("writ-it")
            .tempdir_in(memory())
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", tcp.local_addr().unwrap());
        let profile = profile
            .replace("{lab}", lab.issuer())
            .replace("{cluster}", world.cluster(CLUSTER).unwrap().issuer())
            .replace("{agents}", world.agents(AGENTS).unwrap().issuer())
            .replace("{desk}", &world.desk(DESK).unwrap().api_url())
            .replace("{issuer}", &issuer)
            .replace("{owner}", &repo.owner_id.to_string())
            .replace("{lab.project}", &project.project_id.to_string());
        let text = text(
            &issuer,
            site,
            &profile,
            top,
            repo.repository_id,
            files.path(),
        );
        let config = config::parse("test.toml", &text, files.path()).unwrap_or_else(|problems| {
            panic!(
                "{}",
                problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n")
            )
        });
        let clock = Arc::new(ManualClock::at(now()));
        let wired = wire(
            &config,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(SystemEntropy),
        )
        .await
        .unwrap();
        let stop = CancellationToken::new();
        let router = public::router(Arc::clone(&wired.public));
        tokio::spawn(serve(
            Listener::Tcp(tcp),
            router,
            Limits::default(),
            stop.clone(),
        ));
        site.hooks()
            .set(HookSettings {
                enabled: true,
                targets: vec![HookTarget {
                    url: format!("{issuer}/hooks/github"),
                    secret: HOOK_SECRET.to_owned(),
                }],
            })
            .unwrap();
        let follower = tokio::sync::Mutex::new(Follower::new(Arc::clone(&wired.broker.store)));
        let revocations = Revocations::new(Arc::clone(&wired.broker)).into();
        Self {
            wired,
            clock,
            repo,
            project,
            issuer,
            files,
            follower,
            revocations,
            stop,
            world,
        }
    }

    /// Has policies decide beside the shipped ones, as an operator's order would.
    pub async fn set_policies(&self, own: &str) {
        let broker = &self.wired.broker;
        let own = PolicySource {
            name: "own.cedar".to_owned(),
            text: own.to_owned(),
        };
        let policies = PolicySet::load(&[PolicySource::shipped(), own]).unwrap();
        let profiles = broker.rules.now().profiles.all().cloned().collect();
        let rules = RuleSet::new(profiles, BTreeMap::new(), policies, &broker.own_audience);
        let order = Order {
            by: "uid:0 (root)".to_owned(),
            reason: None,
            repeat: None,
        };
        let plan = broker.apply(rules, Wanted::Whatever, &order).await;
        assert!(plan.unwrap().applied);
    }

    pub fn site(&self) -> &Arc<Site> {
        self.world.site("").unwrap()
    }

    pub fn lab(&self) -> &Arc<Lab> {
        self.world.lab(LAB).unwrap()
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        self.world.cluster(CLUSTER).unwrap()
    }

    pub fn agents(&self) -> &Arc<Agents> {
        self.world.agents(AGENTS).unwrap()
    }

    pub fn desk(&self) -> &Arc<Desk> {
        self.world.desk(DESK).unwrap()
    }

    pub fn client(&self) -> Client {
        Client::new(self)
    }

    /// Lets time pass, for the broker and for the world around it, and lets the broker hear of the
    /// log as its follower would.
    pub async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        keep_time(self.site(), self.clock.as_ref());
        let ahead = self.clock.now().seconds() - now().seconds();
        self.lab().set_clock_offset(ahead);
        self.cluster().set_clock_offset(ahead);
        self.agents().set_clock_offset(ahead);
        self.desk().set_clock_offset(ahead);
        self.hear().await;
    }

    /// Runs the follower once.
    pub async fn hear(&self) {
        self.follower
            .lock()
            .await
            .run(self.clock.elapsed())
            .await
            .unwrap();
    }

    /// Looks for revoked certificates once, as the job does four times a second.
    pub async fn list_revoked(&self) -> Report {
        let mut revocations = self.revocations.lock().await;
        revocations.run(self.clock.now()).await.unwrap()
    }

    /// From now on nothing that happens in the world is told by webhook.
    pub fn silence_hooks(&self) {
        let silent = HookSettings {
            enabled: false,
            targets: Vec::new(),
        };
        self.site().hooks().set(silent).unwrap();
    }

    /// Waits for every webhook that is under way, and reads again what they hinted at.
    pub async fn settle_hooks(&self) {
        self.site().hooks().settle().await.unwrap();
        self.reread_all().await;
    }

    /// Reads every record that waits to be read.
    pub async fn reread_all(&self) {
        loop {
            let next = self.wired.rereads.next();
            let Ok(record) = tokio::time::timeout(Duration::ZERO, next).await else {
                return;
            };
            if self
                .wired
                .broker
                .reread(&record, Stale::Hinted)
                .await
                .is_err()
            {
                self.wired.rereads.later(record);
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sets the world's clock to the broker's second: the world's goes on while a test works, and the
/// broker's does not.
pub fn keep_time(site: &Site, clock: &dyn Clock) {
    site.set_clock_offset(clock.now().seconds() - now().seconds());
}

/// The environment with one rule, whose timer tells one set of rules from another.
pub fn environment(wait_timer: u32) -> EnvironmentSpec {
    EnvironmentSpec {
        repo: REPO.to_owned(),
        name: ENVIRONMENT.to_owned(),
        rules: Rules {
            wait_timer: Some(wait_timer),
            ..Rules::default()
        },
    }
}

fn text(issuer: &str, site: &Site, profile: &str, top: &str, repo: u64, dir: &Path) -> String {
    secret_file(dir, "hook", HOOK_SECRET);
    secret_file(dir, "api", API_TOKEN);
    secret_file(dir, "signing", SIGNING_TOKEN);
    let digest = hex::encode(ring::digest::digest(
        &ring::digest::SHA256,
        BILLING_SECRET.as_bytes(),
    ));
    let address = issuer.trim_start_matches("http://");
    let (ci, api) = (site.issuer(), site.api_url());
    let profile = profile.replace("{repo}", &repo.to_string());
    format!(
        r#"
trust_domain = "test.example"
issuer = "{issuer}"
{top}
[listen]
address = "{address}"
[store]
sqlite = "writ.db"
[keys]
file = "kek"
[[source]]
name = "github"
preset = "github-actions"
issuer = "{ci}"
webhook_secret_files = ["hook"]
[source.api]
url = "{api}"
token_file = "api"
[[resource_server]]
name = "billing"
audiences = ["https://billing.example"]
secret_sha256 = "{digest}"
{profile}"#
    )
}

pub fn secret_file(dir: &Path, name: &str, secret: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join(name));
    std::io::Write::write_all(&mut file.unwrap(), secret.as_bytes()).unwrap();
}

/// A disk in memory, where there is one: what is tested here is not the disk.
pub fn memory() -> &'static Path {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { shm } else { Path::new("/tmp") }
}

fn now() -> Timestamp {
    writ::seams::SystemClock.now()
}

pub fn install_tls() {
    // Whoever comes second finds it installed, which is all that is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
