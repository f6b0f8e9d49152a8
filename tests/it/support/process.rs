//! The real binary, started as an operator starts it: a configuration in a directory, a database on a
//! disk, a practice world beside it. Nothing here waits for a time; it waits for what the server says.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use writ::seams::SystemClock;
use writ_practice::{CreatedRepo, NewRepo, Options, Running, Site, World};

use super::broker::{
    API_TOKEN, BILLING_SECRET, HOOK_SECRET, LAB, environment, install_tls, memory, secret_file,
};
use super::client::Client;
use super::profiles::DEPLOY;

/// Where servers run, one after the other: configuration, database, keys, and the world.
pub struct Ground {
    pub world: Running,
    pub repo: CreatedRepo,
    /// The broker's issuer, which is also where it listens.
    pub issuer: String,
    /// An address of this machine that nobody else in this run uses.
    pub host: Ipv4Addr,
    client: Client,
    files: TempDir,
}

/// A server that runs; dropping it kills it.
pub struct Server {
    child: Child,
    log: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ground {
    pub async fn new() -> Self {
        Self::with_scheme("http", "").await
    }

    /// With `https` the certificate and key are expected as `tls.pem` and `tls.key`.
    pub async fn with_scheme(scheme: &str, listen: &str) -> Self {
        install_tls();
        let world = World::start(Options {
            api_token: API_TOKEN.to_owned(),
            labs: vec![LAB.to_owned()],
            ..Options::default()
        })
        .await
        .unwrap();
        let site = world.site("").unwrap();
        let repo = site.create_repo(NewRepo::new("octo", "app")).unwrap();
        site.create_environment(environment(30)).unwrap();
        let host = own_address();
        let issuer = format!("{scheme}://{host}:{PORT}");
        let ground = Self {
            client: Client::of(issuer.clone(), Arc::new(SystemClock)),
            issuer,
            world,
            repo,
            host,
            files: tempfile::Builder::new()
                .prefix("writ-it")
                .tempdir_in(memory())
                .unwrap(),
        };
        secret_file(ground.dir(), "hook", HOOK_SECRET);
        secret_file(ground.dir(), "api", API_TOKEN);
        ground.write("writ.toml", &ground.configuration(listen));
        ground
    }

    pub fn dir(&self) -> &Path {
        self.files.path()
    }

    pub fn site(&self) -> &Arc<Site> {
        self.world.site("").unwrap()
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir().join(name)).unwrap()
    }

    /// Starts a server and waits until it is ready.
    pub async fn start(&self) -> Server {
        self.start_at("info").await
    }

    pub async fn start_at(&self, level: &str) -> Server {
        let mut server = self.spawn(level);
        server.until_ready(self).await;
        server
    }

    /// Starts a server, and does not wait for anything.
    pub fn spawn(&self, level: &str) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let log = self.dir().join(format!("log-{number}"));
        let file = std::fs::File::create(&log).unwrap();
        let child = writ()
            .args(["server", "--config"])
            .arg(self.dir().join("writ.toml"))
            .env("WRIT_LOG", level)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Server { child, log }
    }

    /// Starts a server that is expected to refuse to start, and gives what it said.
    pub async fn refused(&self) -> String {
        let mut server = self.spawn("info");
        let status = server.ended().await;
        let said = server.said();
        assert_eq!(status.code(), Some(1), "{said}");
        said
    }

    /// Runs a subcommand of an operator on this machine.
    pub async fn operator(&self, args: &[&str], input: &str) -> Said {
        let mut child = writ()
            .args(args)
            .arg("--socket")
            .arg(self.dir().join("admin.sock"))
            .current_dir(self.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = within(child.wait_with_output()).await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub async fn put_secret(&self, path: &str, value: &str) {
        let said = self.operator(&["secret", "put", path], value).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
    }

    /// What the platform's listener answers.
    pub async fn platform(&self, path: &str) -> Option<(u16, String)> {
        let url = format!("http://{}:{METRICS}{path}", self.host);
        let response = self.client.http.get(url).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    fn configuration(&self, listen: &str) -> String {
        let (site, issuer, host) = (self.site(), &self.issuer, self.host);
        let (ci, api) = (site.issuer(), site.api_url());
        let digest = hex::encode(ring::digest::digest(
            &ring::digest::SHA256,
            BILLING_SECRET.as_bytes(),
        ));
        let profile = DEPLOY.replace("{repo}", &self.repo.repository_id.to_string());
        format!(
            r#"
trust_domain = "test.example"
issuer = "{issuer}"
[listen]
address = "{host}:{PORT}"
metrics = "{host}:{METRICS}"
admin_socket = "admin.sock"
{listen}
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
}

impl Server {
    /// Waits until the server says that it is ready, or fails with what it said instead.
    async fn until_ready(&mut self, ground: &Ground) {
        let patience = tokio::time::timeout(PATIENCE, async {
            while ground
                .platform("/readyz")
                .await
                .is_none_or(|(status, _)| status != 200)
            {
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("{status}: {}", self.said());
                }
                tokio::time::sleep(POLL).await;
            }
        });
        assert!(patience.await.is_ok(), "not ready: {}", self.said());
    }

    /// Ends the server at once, wherever it stands.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        let status = self.ended().await;
        assert_eq!(
            status.signal(),
            Some(9),
            "it ended by itself: {}",
            self.said()
        );
    }

    /// Tells the server to stop.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Tells the server to read its configuration again.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub async fn ended(&mut self) -> ExitStatus {
        within(self.child.wait()).await.unwrap()
    }

    /// Tells the server to stop, and waits until it has.
    pub async fn stop(mut self) -> String {
        self.terminate();
        let status = self.ended().await;
        let said = self.said();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }

    /// Bytes of memory that it has now.
    pub fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().unwrap() * 1024
    }

    /// Everything that it has printed and logged.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Waits for something that has to happen.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it took too long")
}

/// Asks again and again until it is so.
pub async fn until<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    within(async {
        while !so().await {
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
}

/// The binary under test: this build's, or the one that `WRIT_BINARY` names.
pub fn writ() -> Command {
    let given = std::env::var_os("WRIT_BINARY");
    let path = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_writ").into());
    let mut command = Command::new(path);
    command
        .env_remove("WRIT_CONFIG")
        .env_remove("WRIT_ADMIN_SOCKET")
        .env_remove("WRIT_ADMIN_URL")
        .env_remove("ACTIONS_ID_TOKEN_REQUEST_URL")
        .env_remove("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        .kill_on_drop(true);
    command
}

/// All of 127.0.0.0/8 is this machine, so that servers of one run need not share ports.
pub fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    Ipv4Addr::new(127, 1 + u8::try_from(count).unwrap(), high, low.max(1))
}

pub const PORT: u16 = 8420;
const METRICS: u16 = 8421;
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
