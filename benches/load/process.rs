//! The processes that are measured: what they used of the processors and of memory, and their end.

use std::fs;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::fault::Fault;

/// The processor time of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pid: u32,
}

impl Cpu {
    pub(crate) fn of(child: &Child) -> Result<Self, Fault> {
        let pid = child.id();
        pid.map(|pid| Self { pid })
            .ok_or_else(|| Fault::of("the server has ended"))
    }

    /// User and system time of all its threads, ended ones included (proc(5): utime, stime).
    pub(crate) fn spent(self) -> Result<Duration, Fault> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The second field is a name in parentheses and may hold spaces; utime is the 14th.
        let ticks = stat.rsplit_once(") ").map(|(_, rest)| {
            let fields = rest.split(' ').skip(11).take(2);
            fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
        });
        let ticks: u64 = ticks.ok_or_else(|| Fault::of("the server's times cannot be read"))?;
        Ok(Duration::from_millis(ticks.saturating_mul(MILLIS_PER_TICK)))
    }

    /// Memory that is resident, in mebibytes.
    pub(crate) fn resident_mib(self) -> Result<u64, Fault> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib / 1024)
            .ok_or_else(|| Fault::of("the server's memory cannot be read"))
    }
}

/// Tells a process to end, and waits until it has.
pub(crate) async fn end(child: &mut Child) -> Result<ExitStatus, Fault> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Fault::of("the server has ended by itself"))?;
    kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    Ok(ended.map_err(|_| Fault::of("the server does not end"))??)
}

/// Linux counts these times in hundredths of a second for every program (`USER_HZ`).
const MILLIS_PER_TICK: u64 = 10;

const PATIENCE: Duration = Duration::from_mins(1);
