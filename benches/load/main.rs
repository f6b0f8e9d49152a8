//! What the broker costs: the release binary behind TLS on loopback, with its database on a real
//! disk, under a bounded load, beside the floor that the same machine gives in the same run.
//!
//! `WRIT_BENCH=quick` makes the windows small; `WRIT_BENCH_LIVE_ROWS` is how many live rows are put
//! under the last paths (0 leaves them out). Everything stops by itself, and nothing but loopback is
//! spoken to.

mod bars;
mod checks;
mod client;
mod drive;
mod empty;
mod fault;
mod fill;
mod floor;
mod fresh;
mod paths;
mod place;
mod plan;
mod process;
mod report;
mod requests;
mod slow_case;
mod start;
mod svids;
mod task;
mod work;

use std::process::ExitCode;

use tokio::runtime::Runtime;

use fault::Fault;
use floor::Floor;
use paths::Broker;
use place::Place;
use plan::Plan;
use report::Report;
use work::World;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = match empty::asked_for(&arguments) {
        Some(place) => empty::serve_until_killed(&place),
        None => measure(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("load: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Fault> {
    let plan = Plan::from_environment()?;
    let runtime = Runtime::new()?;
    let place = Place::make()?;
    let world = runtime.block_on(World::start(&place))?;
    let mut report = Report::begin(&plan);

    let sample = world.tokens(&runtime, work::Kind::Proof, 1)?;
    let floor = Floor::measure(&runtime, &place, &world, &sample)?;
    report.floor(&floor);
    {
        let empty = empty::Child::start(&runtime, &place)?;
        report.empty(empty.measure(&plan, &sample)?);
    }
    {
        let broker = Broker::start(&runtime, &place, &world, &plan, 0)?;
        broker.all(&mut report)?;
        broker.stop()?;
    }
    if plan.live_rows > 0 {
        let filled = runtime.block_on(fill::fill(place.config(), plan.live_rows))?;
        eprintln!("load: {filled} live rows written");
        let broker = Broker::start(&runtime, &place, &world, &plan, plan.live_rows)?;
        broker.under_live_rows(&mut report)?;
        broker.stop()?;
    }
    report.finish()
}
