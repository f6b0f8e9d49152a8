//! A load: connections that each ask again as soon as they are answered, or at the times of a pace.
//!
//! It runs on one thread, so that on two processors the server has what is left of the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use writ::seams::{Clock as _, SystemClock};

use crate::client::{Answer, Connection, Target};
use crate::fault::Fault;
use crate::plan::CONNECTIONS;
use crate::process::Cpu;

type Line = Connection<TlsStream<TcpStream>>;

/// What is asked, of whom.
pub(crate) struct Load<'a> {
    /// Connections go to them in turn.
    pub(crate) targets: &'a [Target],
    /// The process whose time is counted.
    pub(crate) of: Cpu,
    /// Whether an answer is the one that is wanted.
    pub(crate) wanted: fn(&Answer<'_>) -> bool,
    /// Whether the bodies of answers are kept.
    pub(crate) keep: bool,
    /// Requests a second, sent at their times whether or not the server keeps up.
    pub(crate) pace: Option<f64>,
    pub(crate) limit: Duration,
}

/// What one window measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Answers a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Microseconds of the server's processor time for one request.
    pub(crate) cpu_us: f64,
}

/// The windows, and the kept bodies with the places of their requests: `(window, request)`.
pub(crate) struct Driven {
    pub(crate) windows: Vec<Window>,
    pub(crate) kept: Vec<((usize, usize), Bytes)>,
}

/// What one connection did in one window.
#[derive(Default)]
struct Done {
    micros: Vec<u64>,
    kept: Vec<(usize, Bytes)>,
}

impl Load<'_> {
    /// Asks every window's requests in turn over the same connections. The first window warms up and
    /// is not measured.
    pub(crate) fn run(&self, windows: &[Vec<Bytes>]) -> Result<Driven, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.all(windows))
    }

    async fn all(&self, windows: &[Vec<Bytes>]) -> Result<Driven, Fault> {
        let mut lines = try_join_all(
            self.targets
                .iter()
                .cycle()
                .take(CONNECTIONS)
                .map(Target::connect),
        )
        .await?;
        let mut driven = Driven {
            windows: Vec::new(),
            kept: Vec::new(),
        };
        for (number, requests) in windows.iter().enumerate() {
            let (window, kept) = self.window(&mut lines, requests).await?;
            if number > 0 {
                driven.windows.push(window);
            }
            let placed = kept.into_iter().map(|(n, body)| ((number, n), body));
            driven.kept.extend(placed);
        }
        Ok(driven)
    }

    async fn window(
        &self,
        lines: &mut [Line],
        requests: &[Bytes],
    ) -> Result<(Window, Vec<(usize, Bytes)>), Fault> {
        let next = AtomicUsize::new(0);
        let (cpu, from) = (self.of.spent()?, SystemClock.elapsed());
        let asking = lines
            .iter_mut()
            .map(|line| self.ask(line, requests, &next, from));
        let done = try_join_all(asking).await?;
        let took = SystemClock.elapsed().saturating_sub(from);
        let cpu = self.of.spent()?.saturating_sub(cpu);

        let mut micros = Vec::with_capacity(requests.len());
        let mut kept = Vec::new();
        for one in done {
            micros.extend(one.micros);
            kept.extend(one.kept);
        }
        micros.sort_unstable();
        let count = float(micros.len());
        let window = Window {
            rate: count / took.as_secs_f64(),
            p50_ms: at_permille(&micros, 500),
            p99_ms: at_permille(&micros, 990),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
        };
        Ok((window, kept))
    }

    async fn ask(
        &self,
        line: &mut Line,
        requests: &[Bytes],
        next: &AtomicUsize,
        from: Duration,
    ) -> Result<Done, Fault> {
        let mut done = Done::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let now = SystemClock.elapsed();
            let over = now.saturating_sub(from) > self.limit;
            let Some(request) = requests.get(number).filter(|_| !over) else {
                return Ok(done);
            };
            // A paced request counts from its own time, so that a queue is seen as what it is.
            let due = self.pace.map_or(now, |pace| {
                from + Duration::from_secs_f64(float(number) / pace)
            });
            if let Some(early) = due.checked_sub(now).filter(|early| !early.is_zero()) {
                tokio::time::sleep(early).await;
            }
            let answer = line.ask(request).await?;
            if !(self.wanted)(&answer) {
                return Err(answer.unexpected());
            }
            if self.keep {
                done.kept
                    .push((number, Bytes::copy_from_slice(answer.body)));
            }
            let took = SystemClock.elapsed().saturating_sub(due);
            done.micros
                .push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// The windows' medians, each number by itself.
pub(crate) fn median(windows: &[Window]) -> Window {
    let middle = |of: fn(&Window) -> f64| {
        let mut values: Vec<f64> = windows.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Window {
        rate: middle(|w| w.rate),
        p50_ms: middle(|w| w.p50_ms),
        p99_ms: middle(|w| w.p99_ms),
        cpu_us: middle(|w| w.cpu_us),
    }
}

fn at_permille(sorted: &[u64], permille: usize) -> f64 {
    let index = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
    let micros = sorted.get(index).copied().unwrap_or(0);
    float(usize::try_from(micros).unwrap_or(usize::MAX)) / 1000.0
}

/// A count as a number to divide by.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
