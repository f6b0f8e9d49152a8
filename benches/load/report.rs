//! What was measured, as a table for eyes and as `target/bench/latest.json` for comparison.

use std::fs;
use std::path::Path as FilePath;
use std::time::Duration;

use serde::Serialize;
use writ::seams::{Clock as _, SystemClock};

use crate::bars;
use crate::drive::Window;
use crate::fault::Fault;
use crate::floor::Floor;
use crate::fresh::Fresh;
use crate::plan::{CONNECTIONS, Plan};
use crate::slow_case::Waited;

/// A path that has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Path {
    Exchange,
    ExchangeDpop,
    Renew,
    IntrospectFirst,
    IntrospectSeen,
    /// At 60 % of the peak of `IntrospectSeen`, with arrivals at their own times.
    IntrospectPaced,
    Secret,
    Revoke,
    JwtSvid,
    /// An action that changes nothing, whose record may follow.
    CheckRead,
    /// One that waits for its record.
    CheckWrite,
    /// Twenty of the first kind in one request.
    CheckTwenty,
    /// A gateway about a request that it holds, which changes nothing.
    ForwardAuth,
    /// By an access token.
    X509,
    /// By the certificate before it, over connections that were opened with it.
    RenewMtls,
}

/// The medians of one path's windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) path: Path,
    pub(crate) live_rows: u64,
    pub(crate) window: Window,
}

/// A run in numbers.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) floor: Option<Floor>,
    pub(crate) empty: Option<Window>,
    pub(crate) empty_paced: Option<Window>,
    /// Credentials of the task that was revoked, and milliseconds until that was acknowledged.
    pub(crate) revoked: Option<(usize, f64)>,
    pub(crate) waited: Option<Waited>,
    pub(crate) fresh: Vec<Fresh>,
    /// Live rows, milliseconds until ready, and mebibytes resident then.
    pub(crate) started: Option<(u64, f64, u64)>,
    live_rows: u64,
}

impl Path {
    const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::ExchangeDpop => "exchange_dpop",
            Self::Renew => "renew",
            Self::IntrospectFirst => "introspect_first",
            Self::IntrospectSeen => "introspect_seen",
            Self::IntrospectPaced => "introspect_paced",
            Self::Secret => "secret",
            Self::Revoke => "revoke",
            Self::JwtSvid => "jwt_svid",
            Self::CheckRead => "check_read",
            Self::CheckWrite => "check_write",
            Self::CheckTwenty => "check_twenty",
            Self::ForwardAuth => "forward_auth",
            Self::X509 => "x509",
            Self::RenewMtls => "renew_mtls",
        }
    }

    /// The signatures that the path cannot do without, in microseconds.
    pub(crate) fn signatures_us(self, floor: &Floor) -> f64 {
        let (sign, verify) = (floor.es256_sign_us, floor.es256_verify_us);
        match self {
            Self::Exchange => floor.rs256_verify_us + sign,
            Self::ExchangeDpop => floor.rs256_verify_us + verify + sign,
            // The signing request is verified, the certificate signed.
            Self::Renew | Self::X509 | Self::RenewMtls => verify + sign,
            Self::JwtSvid => sign,
            Self::IntrospectFirst => verify,
            Self::IntrospectSeen
            | Self::IntrospectPaced
            | Self::CheckRead
            | Self::CheckWrite
            | Self::CheckTwenty
            | Self::ForwardAuth
            | Self::Secret
            | Self::Revoke => 0.0,
        }
    }
}

impl Report {
    pub(crate) fn begin(plan: &Plan) -> Self {
        Self {
            rows: Vec::new(),
            floor: None,
            empty: None,
            empty_paced: None,
            revoked: None,
            waited: None,
            fresh: Vec::new(),
            started: None,
            live_rows: plan.live_rows,
        }
    }

    pub(crate) fn floor(&mut self, floor: &Floor) {
        self.floor = Some(*floor);
    }

    pub(crate) fn empty(&mut self, window: Window) {
        self.empty = Some(window);
    }

    pub(crate) fn empty_paced(&mut self, window: Window) {
        self.empty_paced = Some(window);
    }

    pub(crate) fn row(&mut self, row: Row) {
        let (name, rate) = (row.path.name(), row.window.rate);
        eprintln!("load: {name} at {rate:.0}/s");
        self.rows.push(row);
    }

    pub(crate) fn task_revoked(&mut self, credentials: usize, took: Duration) {
        self.revoked = Some((credentials, took.as_secs_f64() * 1e3));
    }

    pub(crate) fn waited(&mut self, waited: Waited) {
        self.waited = Some(waited);
    }

    pub(crate) fn fresh(&mut self, fresh: Fresh) {
        self.fresh.push(fresh);
    }

    pub(crate) fn started(&mut self, ready: Duration, resident_mib: u64) {
        let ready = ready.as_secs_f64() * 1e3;
        self.started = Some((self.live_rows, ready, resident_mib));
    }

    pub(crate) fn of(&self, path: Path, live_rows: u64) -> Option<&Window> {
        let found = self
            .rows
            .iter()
            .find(|row| row.path == path && row.live_rows == live_rows);
        found.map(|row| &row.window)
    }

    /// Prints the table and writes the file.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        let incomplete = || Fault::of("the run was not finished");
        let floor = self.floor.as_ref().ok_or_else(incomplete)?;
        let empty = self.empty.as_ref().ok_or_else(incomplete)?;
        let machine = machine();
        println!("\nwrit on {machine}, {}\n", SystemClock.now());
        print_floor(floor, empty);
        self.print_rows(floor, empty);
        if let Some((credentials, ms)) = self.revoked {
            println!(
                "\nrevoke_task     {credentials} live credentials, acknowledged in {ms:.1} ms"
            );
        }
        if let Some(waited) = self.waited {
            println!(
                "slow_case       {} agents at once, the case shown in {} ms: read {} times, p50 {:.0} ms, p99 {:.0} ms",
                waited.callers, waited.desk_ms, waited.reads, waited.p50_ms, waited.p99_ms
            );
        }
        for fresh in &self.fresh {
            println!(
                "fresh           {} trials of a {}: refused after p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                fresh.trials, fresh.word, fresh.p50_ms, fresh.p99_ms, fresh.max_ms
            );
        }
        if let Some((rows, ms, mib)) = self.started {
            println!("start           {rows} live rows, ready in {ms:.0} ms, {mib} MiB resident");
        }
        println!();
        let verdicts = bars::judge(self, floor);
        for verdict in &verdicts {
            println!("{verdict}");
        }
        self.write(&machine, floor, empty, &verdicts)
    }

    fn print_rows(&self, floor: &Floor, empty: &Window) {
        println!(
            "{:<18}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}{:>11}{:>9}",
            "path",
            "live rows",
            "rate/s",
            "of empty",
            "p50 ms",
            "p99 ms",
            "cpu us",
            "signat. us",
            "rest us"
        );
        let blank = Row {
            path: Path::Exchange,
            live_rows: 0,
            window: *empty,
        };
        print_row("empty handler", &blank, empty, 0.0);
        for row in &self.rows {
            let signatures = row.path.signatures_us(floor);
            print_row(row.path.name(), row, empty, signatures);
        }
    }

    fn write(
        &self,
        machine: &str,
        floor: &Floor,
        empty: &Window,
        verdicts: &[bars::Verdict],
    ) -> Result<(), Fault> {
        let rows = self
            .rows
            .iter()
            .map(|row| Written::of(row, row.path.signatures_us(floor)));
        let written = Run {
            machine,
            at: SystemClock.now().to_string(),
            floor,
            empty: Written::named("empty_handler", 0, empty, 0.0),
            rows: rows.collect(),
            revoked_task_ms: self.revoked.map(|(_, ms)| ms),
            slow_case: self.waited,
            fresh: &self.fresh,
            ready_ms: self.started.map(|(_, ms, _)| ms),
            resident_mib: self.started.map(|(_, _, mib)| mib),
            bars: verdicts,
        };
        let target = FilePath::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let dir = target
            .ok_or_else(|| Fault::of("the build has no directory"))?
            .join("bench");
        fs::create_dir_all(&dir)?;
        let text = serde_json::to_string_pretty(&written).map_err(Fault::of)?;
        fs::write(dir.join("latest.json"), text + "\n")?;
        println!("\n{}", dir.join("latest.json").display());
        Ok(())
    }
}

#[derive(Serialize)]
struct Run<'a> {
    machine: &'a str,
    at: String,
    floor: &'a Floor,
    empty: Written,
    rows: Vec<Written>,
    revoked_task_ms: Option<f64>,
    slow_case: Option<Waited>,
    fresh: &'a [Fresh],
    ready_ms: Option<f64>,
    resident_mib: Option<u64>,
    bars: &'a [bars::Verdict],
}

#[derive(Serialize)]
struct Written {
    name: &'static str,
    store: &'static str,
    connections: usize,
    live_rows: u64,
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    floor_cpu_us: f64,
}

impl Written {
    fn of(row: &Row, floor_cpu_us: f64) -> Self {
        Self::named(row.path.name(), row.live_rows, &row.window, floor_cpu_us)
    }

    fn named(name: &'static str, live_rows: u64, window: &Window, floor_cpu_us: f64) -> Self {
        Self {
            name,
            store: "sqlite",
            connections: CONNECTIONS,
            live_rows,
            rate: window.rate,
            p50_ms: window.p50_ms,
            p99_ms: window.p99_ms,
            cpu_us: window.cpu_us,
            floor_cpu_us,
        }
    }
}

fn print_floor(floor: &Floor, empty: &Window) {
    println!(
        "floor of one core: RS256 verify {:.1} us, ES256 sign {:.1} us, ES256 verify {:.1} us",
        floor.rs256_verify_us, floor.es256_sign_us, floor.es256_verify_us
    );
    println!(
        "floor of the disk: {:.0} durable commits a second; of the wire: {:.0} answers a second\n",
        floor.commits, empty.rate
    );
}

fn print_row(name: &str, row: &Row, empty: &Window, signatures: f64) {
    let window = &row.window;
    println!(
        "{name:<18}{:>10}{:>10.0}{:>9.0}%{:>9.2}{:>9.2}{:>9.1}{signatures:>11.1}{:>9.1}",
        row.live_rows,
        window.rate,
        window.rate * 100.0 / empty.rate,
        window.p50_ms,
        window.p99_ms,
        window.cpu_us,
        window.cpu_us - signatures,
    );
}

fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models = || {
        let lines = cpus
            .lines()
            .filter_map(|line| line.strip_prefix("model name"));
        lines.map(|line| line.trim_start_matches([' ', '\t', ':']))
    };
    let model = models().next().unwrap_or("an unnamed processor").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
