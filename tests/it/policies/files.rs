//! A folder of policies and cases, and the commands run on it.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Said, within, writ};

/// A folder that a test fills.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs `writ policy` in the folder.
    pub(super) async fn policy(&self, args: &[&str]) -> Said {
        let mut command = writ();
        command.arg("policy").args(args).current_dir(self.path());
        let output = within(command.output()).await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same for programs.
    pub(super) async fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let args: Vec<_> = args.iter().copied().chain(["-o", "json"]).collect();
        let said = self.policy(&args).await;
        let document = serde_json::from_str(&said.out);
        (said.code, document.unwrap_or_else(|_| panic!("{said:?}")))
    }
}

/// A case about a secret for a job, that has to be decided so.
pub(super) fn secret_case(path: &str, expect: &str) -> String {
    format!(
        r#"{{"claim": "of {path}", "request": {{"verb": "read", "secret": "{path}"}},
        "claims": {{"repository_id": "1"}},
        "records": [{{"kind": "job", "status": "in_progress"}}], "expect": {expect}}}"#
    )
}

pub(super) const PERMITTED: &str = r#"{"decision": "permitted", "policies": ["default.secret"]}"#;

pub(super) const DENIED: &str =
    r#"{"decision": "denied", "code": "policy_denied", "policies": ["team.root"]}"#;

/// Nobody reads what lies below `root`.
pub(super) const ROOT: &str =
    "@id(\"team.root\")\nforbid (principal, action, resource in Writ::Folder::\"root\");\n";
