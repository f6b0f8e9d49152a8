//! A program that stands for a service of somebody else's making: it says where it is in its first line, takes
//! orders in lines and answers each by one, and ends with its standard input.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::process::within;
use crate::peers::peers;

pub struct Foreign {
    /// Its first line.
    pub told: String,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Foreign {
    /// A script of `tests/peers/node`.
    pub async fn node(script: &str, args: &[&str]) -> Self {
        let mut command = Command::new("node");
        // Its libraries complain there that this is not production.
        command.stderr(Stdio::null());
        Self::start(command, "node", script, args).await
    }

    /// A script of a folder with packages of its own.
    pub async fn python(folder: &str, script: &str, args: &[&str]) -> Self {
        let program = peers(folder).join(".venv/bin/python");
        Self::start(Command::new(program), folder, script, args).await
    }

    async fn start(mut command: Command, folder: &str, script: &str, args: &[&str]) -> Self {
        let dir = peers(folder);
        let installed = ["node_modules", ".venv"].map(|packages| dir.join(packages).is_dir());
        assert!(
            installed.contains(&true),
            "it is not installed: run tests/setup"
        );
        let mut process = command
            .arg(script)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut foreign = Self {
            told: String::new(),
            orders: process.stdin.take().unwrap(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        };
        foreign.told = foreign.line().await;
        foreign
    }

    /// Gives an order, and takes its answer.
    pub async fn order(&mut self, order: &str) -> String {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.unwrap();
        self.line().await
    }

    /// The next thing that it says.
    pub async fn line(&mut self) -> String {
        let line = within(self.lines.next_line()).await.unwrap();
        line.expect("it ended without a word")
    }
}
