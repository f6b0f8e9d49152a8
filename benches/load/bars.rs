//! What it must cost, and whether it does. A bar that a run did not measure is not judged.

use std::fmt;

use serde::Serialize;

use crate::floor::Floor;
use crate::report::{Path, Report};

/// A bar, and where the run stands to it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    what: &'static str,
    wanted: f64,
    got: f64,
    unit: &'static str,
    /// Whether more is better.
    at_least: bool,
    met: bool,
}

/// Every bar that this run can be held to.
pub(crate) fn judge(report: &Report, floor: &Floor) -> Vec<Verdict> {
    let window = |path| report.of(path, 0);
    let mut verdicts = Vec::new();
    if let Some(exchange) = window(Path::Exchange) {
        let cpu = Path::Exchange.signatures_us(floor) + EXCHANGE_OVER_SIGNATURES_US;
        verdicts.push(at_least("exchange", 5_000.0, exchange.rate, "/s"));
        verdicts.push(at_most("exchange, server time", cpu, exchange.cpu_us, "us"));
        let full = report
            .rows
            .iter()
            .find(|row| row.path == Path::Exchange && row.live_rows > 0);
        if let Some(full) = full {
            let (what, wanted) = ("exchange under live rows", exchange.rate * WITHIN);
            verdicts.push(at_least(what, wanted, full.window.rate, "/s"));
        }
    }
    if let Some(x509) = window(Path::X509) {
        verdicts.push(at_least("x509", 3_000.0, x509.rate, "/s"));
    }
    if let Some(seen) = window(Path::IntrospectSeen) {
        verdicts.push(at_least("introspect, seen", 25_000.0, seen.rate, "/s"));
    }
    if let Some(first) = window(Path::IntrospectFirst) {
        verdicts.push(at_least("introspect, first", 10_000.0, first.rate, "/s"));
    }
    if let Some(read) = window(Path::CheckRead) {
        verdicts.push(at_least("check, a read", 25_000.0, read.rate, "/s"));
    }
    if let (Some(paced), Some(empty)) = (window(Path::IntrospectPaced), &report.empty_paced) {
        let wanted = empty.p99_ms + PACED_OVER_EMPTY_MS;
        verdicts.push(at_most(
            "introspect at 60 %, p99",
            wanted,
            paced.p99_ms,
            "ms",
        ));
    }
    if let Some((_, ms)) = report.revoked {
        verdicts.push(at_most("revoke a task", 100.0, ms, "ms"));
    }
    if let Some(waited) = report.waited {
        let reads = u32::try_from(waited.reads).map_or(f64::INFINITY, f64::from);
        let what = "reads of a case that all wait for";
        verdicts.push(at_most(what, 1.0, reads, ""));
    }
    for fresh in &report.fresh {
        verdicts.push(at_most(fresh.word, 50.0, fresh.max_ms, "ms"));
    }
    if let Some((_, ms, mib)) = report.started {
        verdicts.push(at_most("start under live rows", 2_000.0, ms, "ms"));
        let mib = u32::try_from(mib).map_or(f64::INFINITY, f64::from);
        verdicts.push(at_most("resident at the start", 256.0, mib, "MiB"));
    }
    verdicts
}

const fn at_least(what: &'static str, wanted: f64, got: f64, unit: &'static str) -> Verdict {
    Verdict {
        what,
        wanted,
        got,
        unit,
        at_least: true,
        met: got >= wanted,
    }
}

const fn at_most(what: &'static str, wanted: f64, got: f64, unit: &'static str) -> Verdict {
    Verdict {
        what,
        wanted,
        got,
        unit,
        at_least: false,
        met: got <= wanted,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            wanted,
            got,
            unit,
            ..
        } = self;
        let sign = if self.at_least { ">=" } else { "<=" };
        let met = if self.met { "met" } else { "MISSED" };
        write!(
            f,
            "{what:<26}{got:>10.1} {unit:<4}{sign} {wanted:>10.1} {unit:<4}{met}"
        )
    }
}

/// What an exchange may cost the server above its signatures.
const EXCHANGE_OVER_SIGNATURES_US: f64 = 130.0;

/// What is left of the rate when there are a million live rows.
const WITHIN: f64 = 0.9;

/// What introspection may take longer than the empty handler, at the same pace.
const PACED_OVER_EMPTY_MS: f64 = 2.0;
