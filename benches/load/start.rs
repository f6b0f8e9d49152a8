//! The broker as a process: started as anybody would start it, and waited for until it answers.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use writ::seams::{Clock as _, SystemClock};

use crate::client::{Connection, Target};
use crate::fault::Fault;
use crate::place::Place;
use crate::process::{Cpu, end};
use crate::requests::Requests;

pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// From the start of the process to its first answer.
    pub(crate) ready: Duration,
}

impl Server {
    pub(crate) async fn start(place: &Place, target: &Target) -> Result<Self, Fault> {
        let log = place.path("server.log");
        let from = SystemClock.elapsed();
        let child = Command::new(env!("CARGO_BIN_EXE_writ"))
            .arg("server")
            .arg("--config")
            .arg(place.config())
            .stdout(File::create(place.path("server.out"))?)
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let mut server = Self {
            child,
            log,
            ready: Duration::ZERO,
        };
        let first = Requests::to(place).metadata();
        while !server.answers(target, &first).await? {
            tokio::time::sleep(ASK_AGAIN).await;
            if SystemClock.elapsed().saturating_sub(from) > PATIENCE {
                return Err(server.fault("it does not get ready"));
            }
        }
        server.ready = SystemClock.elapsed().saturating_sub(from);
        Ok(server)
    }

    pub(crate) fn cpu(&self) -> Result<Cpu, Fault> {
        Cpu::of(&self.child)
    }

    pub(crate) async fn stop(mut self) -> Result<(), Fault> {
        let status = end(&mut self.child).await?;
        if status.success() {
            return Ok(());
        }
        Err(self.fault(&format!("it ended with {status}")))
    }

    async fn answers(&mut self, target: &Target, first: &[u8]) -> Result<bool, Fault> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.fault(&format!("it ended at once with {status}")));
        }
        let Ok(mut line) = target.connect().await else {
            return Ok(false);
        };
        Ok(line.ask(first).await?.status == 200)
    }

    /// A fault with the end of the log: its file is gone when the run is over.
    fn fault(&self, why: &str) -> Fault {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(5).collect();
        Fault::Server {
            why: why.to_owned(),
            log: last.into_iter().rev().collect::<Vec<_>>().join("\n"),
        }
    }
}

/// An operator's connection.
pub(crate) async fn operator(place: &Place) -> Result<Connection<UnixStream>, Fault> {
    let stream = UnixStream::connect(place.admin_socket()).await?;
    Ok(Connection::over(stream))
}

const ASK_AGAIN: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_mins(1);
