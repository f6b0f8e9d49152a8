//! A broker with short tokens, a run of the practice world, and its jobs' steps under `writ run`.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin};
use writ_practice::{HookSettings, HookTarget, StartJob, StartRun, StartedJob, StartedRun};

use crate::support::broker::{ENVIRONMENT, HOOK_SECRET, REPO, secret_file};
use crate::support::process::{Ground, Server, until, within, writ};

/// Where the steps of a run work.
pub(super) struct Stage {
    pub(super) ground: Ground,
    pub(super) run: StartedRun,
    server: Option<Server>,
}

/// A step that runs.
pub(super) struct Step {
    pub(super) child: Child,
    stdin: Option<ChildStdin>,
    err: Option<BufReader<ChildStderr>>,
    dir: PathBuf,
}

/// How a step ended, and what `writ run` and the command said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
}

/// The practice world's, which is public.
const RSA: &str = include_str!("../../../practice/testkeys/TEST-rsa-1.pem");

/// A command that notes where its token is and what it has first, and ends when it is told to.
pub(super) const WAITS: &str =
    r#"printf %s "$WRIT_TOKEN_FILE" > path.new; mv path.new path; read _; exit 0"#;

impl Stage {
    /// A run of jobs in the trusted environment; its tokens live as long as `ttl` says.
    pub(super) async fn set(ttl: &str, jobs: usize) -> Self {
        Self::with(ttl, jobs, &[]).await
    }

    /// With changes to the configuration.
    pub(super) async fn with(ttl: &str, jobs: usize, changes: &[(&str, &str)]) -> Self {
        let ground = Ground::new().await;
        let mut text = ground.read("writ.toml");
        for ttl_of in ["token_ttl", "lease_ttl"] {
            let (old, new) = (
                format!("{ttl_of} = \"5m\""),
                format!("{ttl_of} = \"{ttl}\""),
            );
            text = text.replace(&old, &new);
        }
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        ground.write("writ.toml", &text);
        secret_file(ground.dir(), "rsa", RSA);
        let server = ground.start().await;
        let hooks = HookSettings {
            enabled: true,
            targets: vec![HookTarget {
                url: format!("{}/hooks/github", ground.issuer),
                secret: HOOK_SECRET.to_owned(),
            }],
        };
        ground.site().hooks().set(hooks).unwrap();
        let named = |n| StartJob::new(&format!("deploy-{n}")).in_environment(ENVIRONMENT);
        let spec = StartRun::new(REPO, (0..jobs).map(named).collect());
        let run = ground.site().start_run(spec).await.unwrap();
        ground.site().hooks().settle().await.unwrap();
        Self {
            ground,
            run,
            server: Some(server),
        }
    }

    /// Starts a step of the job: `writ run ARGS -- sh -c SCRIPT`, in a directory of its own.
    pub(super) fn step(&self, job: usize, args: &[&str], script: &str) -> Step {
        self.step_of(&self.run.jobs[job], args, &["sh", "-c", script])
    }

    pub(super) fn step_of(&self, job: &StartedJob, args: &[&str], command: &[&str]) -> Step {
        let dir = self.ground.dir().join(format!("step-{}", job.job_id));
        std::fs::create_dir_all(dir.join("tmp")).unwrap();
        let mut child = writ()
            .arg("run")
            .args(args)
            .arg("--")
            .args(command)
            .env("WRIT_ISSUER", &self.ground.issuer)
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &job.token_url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &job.request_token)
            .env("XDG_RUNTIME_DIR", dir.join("tmp"))
            .current_dir(&dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Step {
            stdin: child.stdin.take(),
            err: child.stderr.take().map(BufReader::new),
            child,
            dir,
        }
    }

    pub(super) async fn kill_broker(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    pub(super) async fn start_broker(&mut self) {
        self.server = Some(self.ground.start().await);
    }

    /// The names of the tasks that stand.
    pub(super) async fn tasks(&self) -> String {
        let said = self
            .ground
            .operator(&["task", "list", "-o", "json"], "")
            .await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    }

    /// Whether the token is one that the service `billing` may take now.
    pub(super) async fn is_active(&self, token: &str) -> bool {
        let answer = self.ground.client().introspect(token).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json["active"].as_bool().unwrap()
    }
}

impl Step {
    /// Where the command works.
    pub(super) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// What the command wrote into a file of this name, once it is there.
    pub(super) async fn wrote(&self, name: &str) -> String {
        let path = self.dir.join(name);
        until(async || path.exists()).await;
        std::fs::read_to_string(path).unwrap()
    }

    pub(super) fn has_written(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    /// The token that the command has now.
    pub(super) async fn token(&self) -> String {
        std::fs::read_to_string(self.wrote("path").await).unwrap()
    }

    /// Waits until the command has another token than this.
    pub(super) async fn renewed(&self, before: &str) -> String {
        until(async || self.token().await != before).await;
        self.token().await
    }

    /// Lets the command go on from where it waits for its input.
    pub(super) fn go_on(&mut self) {
        drop(self.stdin.take());
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// As a runner does that ends a job's whole process group.
    pub(super) fn signal_group(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process_group(id, signal).unwrap();
    }

    pub(super) fn forget(&self, name: &str) {
        std::fs::remove_file(self.dir.join(name)).unwrap();
    }

    pub(super) async fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits for a line of standard error with this text.
    pub(super) async fn said(&mut self, wanted: &str) {
        let lines = self.err.as_mut().unwrap();
        within(async {
            let mut line = String::new();
            while !line.contains(wanted) {
                line.clear();
                let read = lines.read_line(&mut line).await.unwrap();
                assert!(read > 0, "it ended without {wanted}");
            }
        })
        .await;
    }

    /// Everything that is left of the private files.
    pub(super) fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Waits for the end.
    pub(super) async fn ended(&mut self) -> Ended {
        let status = within(self.child.wait()).await.unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.err.take());
        within(stdout.unwrap().read_to_string(&mut out))
            .await
            .unwrap();
        within(stderr.unwrap().read_to_string(&mut err))
            .await
            .unwrap();
        Ended { status, out, err }
    }

    pub(super) async fn end(mut self) -> Ended {
        self.go_on();
        self.ended().await
    }
}
