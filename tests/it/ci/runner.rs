//! A runner of GitHub Actions, as far as a JavaScript action meets it: inputs and state in variables, command files,
//! and a log in which what was masked is never shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use writ_practice::StartedJob;

use crate::support::process::within;

/// One use of the action in a job.
pub(super) struct Use {
    dir: PathBuf,
    issuer: String,
    job: StartedJob,
    state: BTreeMap<String, String>,
}

/// What a step did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: Option<i32>,
    /// Everything that it printed, commands included.
    pub(super) raw: String,
    /// The log as people see it.
    pub(super) log: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
}

impl Use {
    pub(super) fn of(job: &StartedJob, issuer: &str, dir: &Path) -> Self {
        let dir = dir.join(format!("use-{}", job.job_id));
        std::fs::create_dir_all(dir.join("temp")).unwrap();
        Self {
            dir,
            issuer: issuer.to_owned(),
            job: job.clone(),
            state: BTreeMap::new(),
        }
    }

    /// The step itself.
    pub(super) async fn main(&mut self, inputs: &[(&str, &str)]) -> Done {
        let access = vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", self.job.token_url.clone()),
            (
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
                self.job.request_token.clone(),
            ),
        ];
        self.run("main", inputs, &access).await
    }

    /// The step in a job without `permissions: id-token: write`.
    pub(super) async fn main_without_permission(&mut self, inputs: &[(&str, &str)]) -> Done {
        self.run("main", inputs, &[]).await
    }

    /// What the runner does when the job ends, however it ends.
    pub(super) async fn post(&mut self) -> Done {
        self.run("post", &[], &[]).await
    }

    /// The files that the action keeps in the runner's temporary directory.
    pub(super) fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.join("temp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    async fn run(
        &mut self,
        what: &str,
        inputs: &[(&str, &str)],
        access: &[(&str, String)],
    ) -> Done {
        let action = Action::read();
        let files = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE"];
        let mut command = Command::new("node");
        command
            .arg(action.dir.join(&action.scripts[what]))
            .current_dir(&self.dir)
            .env_remove("ACTIONS_ID_TOKEN_REQUEST_URL")
            .env_remove("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
            .env("RUNNER_TEMP", self.dir.join("temp"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for file in files {
            std::fs::write(self.dir.join(file), "").unwrap();
            command.env(file, self.dir.join(file));
        }
        let mut given = action.defaults;
        given.insert("issuer".to_owned(), self.issuer.clone());
        for (name, value) in inputs {
            assert!(action.inputs.iter().any(|known| known == name), "{name}");
            given.insert((*name).to_owned(), (*value).to_owned());
        }
        for (name, value) in given {
            command.env(format!("INPUT_{}", name.to_uppercase()), value);
        }
        for (name, value) in &self.state {
            command.env(format!("STATE_{name}"), value);
        }
        for (name, value) in access {
            command.env(name, value);
        }
        let output = within(command.output()).await.unwrap();
        let raw = String::from_utf8(output.stdout).unwrap();
        let complained = String::from_utf8(output.stderr).unwrap();
        assert_eq!(complained, "", "it crashed");
        let [env, outputs, state] =
            files.map(|file| assignments(&std::fs::read_to_string(self.dir.join(file)).unwrap()));
        self.state.extend(state);
        Done {
            code: output.status.code(),
            log: masked(&raw),
            raw,
            env,
            outputs,
        }
    }
}

/// What a runner reads in `action.yml`. The whole file is checked against its schema elsewhere.
struct Action {
    dir: PathBuf,
    inputs: Vec<String>,
    defaults: BTreeMap<String, String>,
    scripts: BTreeMap<String, String>,
}

impl Action {
    fn read() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/ci/github-action");
        let text = std::fs::read_to_string(dir.join("action.yml")).unwrap();
        let (mut inputs, mut defaults) = (Vec::new(), BTreeMap::new());
        let mut scripts = BTreeMap::new();
        let mut section = "";
        for line in text.lines() {
            let depth = line.len() - line.trim_start().len();
            let Some((name, value)) = line.trim().split_once(':') else {
                continue;
            };
            match (section, depth) {
                (_, 0) => section = name,
                ("inputs", 2) => inputs.push(name.to_owned()),
                ("inputs", 4) if name == "default" => {
                    let value = value.trim().trim_matches('\'').to_owned();
                    defaults.insert(inputs.last().unwrap().clone(), value);
                }
                ("runs", 2) => {
                    scripts.insert(name.to_owned(), value.trim().to_owned());
                }
                _ => {}
            }
        }
        assert_eq!(scripts["using"], "node20");
        Self {
            dir,
            inputs,
            defaults,
            scripts,
        }
    }
}

/// `name<<end`, lines, `end`: the only form in which a value may have several lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut lines = text.lines();
    let mut found = BTreeMap::new();
    while let Some(head) = lines.next() {
        let (name, end) = head.split_once("<<").expect("a heredoc");
        let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
        found.insert(name.to_owned(), value.join("\n"));
    }
    found
}

/// The log: commands are heard and not shown, and what was masked before a line is not shown in it.
fn masked(raw: &str) -> String {
    let mut masks: Vec<String> = Vec::new();
    let mut shown = String::new();
    for line in raw.lines() {
        if let Some(value) = line.strip_prefix("::add-mask::") {
            let value = value.replace("%0D", "\r").replace("%0A", "\n");
            masks.push(value.replace("%25", "%"));
            continue;
        }
        let hidden = masks
            .iter()
            .fold(line.to_owned(), |line, mask| line.replace(mask, "***"));
        shown.push_str(&hidden);
        shown.push('\n');
    }
    shown
}
