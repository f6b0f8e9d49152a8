//! The operator: the same binary's commands, over the admin socket.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::trouble::Trouble;

/// Runs `writ` against the server's admin socket.
pub(crate) struct Operator {
    pub(crate) writ: PathBuf,
    pub(crate) socket: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    command: String,
    /// Absent: ended by a signal.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Operator {
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Done, Trouble> {
        self.run_with(arguments, b"").await
    }

    /// Runs a command with something on its standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Result<Done, Trouble> {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        let command = format!("writ {}", words.join(" "));
        let doing = || Trouble::io(format!("run {command}"));
        let mut child = Command::new(&self.writ)
            .args(arguments)
            .env("WRIT_ADMIN_SOCKET", &self.socket)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(doing())?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).await.map_err(doing())?;
        }
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = output.map_err(|_| {
            Trouble::unmet(
                &command,
                format!("an end within {LIMIT:?}"),
                "it still runs",
            )
        })?;
        let output = output.map_err(doing())?;
        Ok(Done {
            command,
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Done {
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn succeeded(self) -> Result<Self, Trouble> {
        if self.status == Some(0) {
            return Ok(self);
        }
        Err(Trouble::unmet(&self.command, "success", self.ending()))
    }

    pub(crate) fn json(&self) -> Result<Value, Trouble> {
        serde_json::from_slice(&self.stdout)
            .map_err(|_| Trouble::unmet(&self.command, "JSON", self.ending()))
    }

    /// Exit status and the end of what was written, for a reader who has to find out why.
    pub(crate) fn ending(&self) -> String {
        let status = self.status.map_or("a signal".to_owned(), |s| s.to_string());
        let told = if self.stderr.trim().is_empty() {
            self.text()
        } else {
            self.stderr.clone()
        };
        format!("exit {status}: {}", told.trim())
    }
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    if word.contains(' ') {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

const LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(writ: &str) -> Operator {
        Operator {
            writ: PathBuf::from(writ),
            socket: PathBuf::from("admin.sock"),
        }
    }

    #[tokio::test]
    async fn a_command_gets_its_input_and_gives_its_output() {
        let done = operator("/bin/cat").run_with(&["-"], b"{\"a\":1}").await;
        assert_eq!(done.unwrap().succeeded().unwrap().json().unwrap()["a"], 1);
    }

    #[tokio::test]
    async fn a_failed_command_is_shown_with_its_status() {
        let done = operator("/bin/false").run(&[]).await.unwrap();
        let failed = done.succeeded().unwrap_err();
        assert!(failed.to_string().contains("exit 1"), "{failed}");
    }
}
