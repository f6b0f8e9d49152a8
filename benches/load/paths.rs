//! Every path of the broker that has a price, one after the other on one server: what one path hands
//! out, the next one asks about.

use bytes::Bytes;
use serde::Deserialize;
use tokio::runtime::Runtime;
use writ_practice::client::SessionKey;

use crate::checks;
use crate::client::{Answer, Target};
use crate::drive::{Driven, Load, Window, median};
use crate::empty;
use crate::fault::Fault;
use crate::fresh;
use crate::place::{Place, SECRET_PATH};
use crate::plan::Plan;
use crate::report::{Path, Report, Row};
use crate::requests::{Requests, order};
use crate::slow_case;
use crate::start::{Server, operator};
use crate::svids;
use crate::task;
use crate::work::{Kind, World};

/// A broker that runs, with what is needed to ask it.
pub(crate) struct Broker<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) place: &'a Place,
    pub(crate) world: &'a World,
    pub(crate) plan: &'a Plan,
    pub(crate) requests: Requests,
    pub(crate) target: Target,
    /// Live rows that the database had before anything was asked.
    pub(crate) live_rows: u64,
    server: Server,
}

/// The part of a token response that is used again.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct Token {
    pub(crate) access_token: String,
    #[serde(default)]
    pub(crate) refresh_token: String,
    pub(crate) task: String,
}

impl<'a> Broker<'a> {
    pub(crate) fn start(
        runtime: &'a Runtime,
        place: &'a Place,
        world: &'a World,
        plan: &'a Plan,
        live_rows: u64,
    ) -> Result<Self, Fault> {
        let target = place.target()?;
        let server = runtime.block_on(Server::start(place, &target))?;
        Ok(Self {
            runtime,
            place,
            world,
            plan,
            requests: Requests::to(place),
            target,
            live_rows,
            server,
        })
    }

    /// Everything, on a database that only this run has written to.
    pub(crate) fn all(&self, report: &mut Report) -> Result<(), Fault> {
        self.every_path(report)?;
        self.stop_at_once(report)?;
        task::revoke(self, report)?;
        slow_case::wait(self, report)
    }

    /// What the number of live rows could change.
    pub(crate) fn under_live_rows(&self, report: &mut Report) -> Result<(), Fault> {
        let resident = self.server.cpu()?.resident_mib()?;
        report.started(self.server.ready, resident);
        self.every_path(report)
    }

    fn every_path(&self, report: &mut Report) -> Result<(), Fault> {
        let tokens = self.exchange(report)?;
        self.introspect(report, &tokens)?;
        self.bound(report)?;
        let readers = self.readers()?;
        self.secret(report, &readers)?;
        svids::all(self, report, &readers)?;
        // Their entries come so fast that the tree of the log is behind them for a while after.
        checks::all(self, report, &tokens)?;
        self.revoke(report, &tokens)
    }

    pub(crate) fn stop(self) -> Result<(), Fault> {
        self.runtime.block_on(self.server.stop())
    }

    /// Distinct pre-minted tokens of keyless callers.
    fn exchange(&self, report: &mut Report) -> Result<Vec<String>, Fault> {
        let tokens = self
            .world
            .tokens(self.runtime, Kind::Proof, self.writes())?;
        let requests = tokens.iter().map(|token| self.requests.exchange(token));
        let driven = self.drive(&self.windows(requests.collect()), issued)?;
        report.row(row(Path::Exchange, self.live_rows, &driven));
        Ok(handed_out(&driven)?
            .into_iter()
            .map(|token| token.access_token)
            .collect())
    }

    /// How soon a word is heard, for tokens of tasks of their own.
    fn stop_at_once(&self, report: &mut Report) -> Result<(), Fault> {
        let tokens = self
            .world
            .tokens(self.runtime, Kind::Proof, self.plan.trials)?;
        let requests = tokens.iter().map(|token| self.requests.exchange(token));
        let driven = self.drive(&[requests.collect()], issued)?;
        fresh::revocations(self, report, &handed_out(&driven)?)?;
        fresh::webhooks(self, report)
    }

    /// First seen, seen before, and seen before at a pace.
    fn introspect(&self, report: &mut Report, tokens: &[String]) -> Result<(), Fault> {
        let requests: Vec<_> = tokens
            .iter()
            .map(|token| self.requests.introspect(token))
            .collect();
        let first = self.ask(&self.windows(requests.clone()), active, None)?;
        report.row(row(Path::IntrospectFirst, self.live_rows, &first));

        let again: Vec<_> = requests
            .iter()
            .cycle()
            .take(self.plan.reads)
            .cloned()
            .collect();
        let mut windows = vec![requests];
        windows.extend((0..self.plan.windows).map(|_| again.clone()));
        let seen = self.ask(&windows, active, None)?;
        report.row(row(Path::IntrospectSeen, self.live_rows, &seen));
        if self.live_rows > 0 {
            return Ok(());
        }
        let pace = median(&seen.windows).rate * PACE_OF_PEAK;
        for window in windows.iter_mut().skip(1) {
            window.truncate(self.plan.reads / 2);
        }
        let paced = self.ask(&windows, active, Some(pace))?;
        report.row(row(Path::IntrospectPaced, self.live_rows, &paced));
        let sample = tokens.get(..1).unwrap_or(&[]);
        let empty = empty::Child::start(self.runtime, self.place)?;
        report.empty_paced(empty.paced(self.plan, sample, pace)?);
        Ok(())
    }

    /// Each holder gives its own token back.
    fn revoke(&self, report: &mut Report, tokens: &[String]) -> Result<(), Fault> {
        let requests = tokens.iter().map(|token| self.requests.revoke(token));
        let driven = self.ask(&self.windows(requests.collect()), issued, None)?;
        report.row(row(Path::Revoke, self.live_rows, &driven));
        Ok(())
    }

    /// Callers with a key each: the exchange with its proof, then one renewal of each session.
    fn bound(&self, report: &mut Report) -> Result<(), Fault> {
        let keys: Result<Vec<_>, _> = (0..self.writes()).map(|_| SessionKey::generate()).collect();
        let keys = keys.map_err(Fault::of)?;
        let bound = self.world.bound(self.runtime, &keys)?;
        let requests: Result<Vec<_>, Fault> = bound
            .iter()
            .map(|one| {
                let proof = self.requests.proof(one.key, 0)?;
                Ok(self.requests.exchange_bound(&one.token, &proof))
            })
            .collect();
        let driven = self.drive(&self.windows(requests?), issued)?;
        report.row(row(Path::ExchangeDpop, self.live_rows, &driven));

        let places = driven.kept.iter().map(|(at, _)| self.number(*at));
        let renewals: Result<Vec<_>, Fault> = places
            .zip(handed_out(&driven)?)
            .filter_map(|(number, token)| Some((bound.get(number)?, token)))
            .map(|(one, token)| {
                let proof = self.requests.proof(one.key, 1)?;
                Ok(self.requests.renew(&token.refresh_token, &proof))
            })
            .collect();
        let renewed = self.ask(&self.windows(renewals?), issued, None)?;
        report.row(row(Path::Renew, self.live_rows, &renewed));
        Ok(())
    }

    /// Tokens for the broker itself, of as many jobs.
    fn readers(&self) -> Result<Vec<Token>, Fault> {
        let readers = self.world.tokens(self.runtime, Kind::Secret, READERS)?;
        let exchanges = readers
            .iter()
            .map(|token| self.requests.exchange_for_secrets(token));
        handed_out(&self.drive(&[exchanges.collect()], issued)?)
    }

    /// One secret, read by many jobs under leases of their own.
    fn secret(&self, report: &mut Report, tokens: &[Token]) -> Result<(), Fault> {
        self.runtime.block_on(async {
            let put = order(&format!("PUT /api/v1/secrets/{SECRET_PATH}"), "hunter2");
            let mut operator = operator(self.place).await?;
            let answer = operator.ask(&put).await?;
            issued(&answer)
                .then_some(())
                .ok_or_else(|| answer.unexpected())
        })?;
        let reads = tokens
            .iter()
            .map(|token| self.requests.secret(&token.access_token));
        let reads: Vec<_> = reads.collect::<Vec<_>>();
        let reads = reads.iter().cycle().take(self.writes()).cloned().collect();
        let read = self.ask(&self.windows(reads), issued, None)?;
        report.row(row(Path::Secret, self.live_rows, &read));
        Ok(())
    }

    /// Asks, and keeps what was answered.
    pub(crate) fn drive(
        &self,
        windows: &[Vec<Bytes>],
        wanted: fn(&Answer<'_>) -> bool,
    ) -> Result<Driven, Fault> {
        let load = Load {
            keep: true,
            ..self.load(wanted, None)?
        };
        let mut driven = load.run(windows)?;
        driven.kept.sort_by_key(|(at, _)| *at);
        Ok(driven)
    }

    pub(crate) fn ask(
        &self,
        windows: &[Vec<Bytes>],
        wanted: fn(&Answer<'_>) -> bool,
        pace: Option<f64>,
    ) -> Result<Driven, Fault> {
        self.load(wanted, pace)?.run(windows)
    }

    pub(crate) fn load(
        &self,
        wanted: fn(&Answer<'_>) -> bool,
        pace: Option<f64>,
    ) -> Result<Load<'_>, Fault> {
        Ok(Load {
            targets: std::slice::from_ref(&self.target),
            of: self.server.cpu()?,
            wanted,
            keep: false,
            pace,
            limit: self.plan.limit,
        })
    }

    /// Requests of a path that writes, its warm-up included.
    pub(crate) fn writes(&self) -> usize {
        self.plan.warm() + self.plan.writes * self.plan.windows
    }

    pub(crate) fn windows(&self, mut requests: Vec<Bytes>) -> Vec<Vec<Bytes>> {
        let measured = requests.split_off(self.plan.warm().min(requests.len()));
        let mut windows = vec![requests];
        windows.extend(measured.chunks(self.plan.writes).map(<[Bytes]>::to_vec));
        windows
    }

    /// The place among all requests of a request in its window.
    pub(crate) fn number(&self, (window, request): (usize, usize)) -> usize {
        match window.checked_sub(1) {
            None => request,
            Some(measured) => self.plan.warm() + measured * self.plan.writes + request,
        }
    }
}

pub(crate) fn issued(answer: &Answer<'_>) -> bool {
    answer.status == 200
}

fn active(answer: &Answer<'_>) -> bool {
    answer.status == 200 && answer.body.starts_with(br#"{"active":true"#)
}

pub(crate) fn handed_out(driven: &Driven) -> Result<Vec<Token>, Fault> {
    let tokens = driven.kept.iter().map(|(_, body)| read(body));
    tokens.collect()
}

pub(crate) fn read(body: &[u8]) -> Result<Token, Fault> {
    serde_json::from_slice(body).map_err(Fault::of)
}

pub(crate) fn row(path: Path, live_rows: u64, driven: &Driven) -> Row {
    Row {
        path,
        live_rows,
        window: median(&driven.windows) as Window,
    }
}

/// The share of the peak at which latency is judged.
const PACE_OF_PEAK: f64 = 0.6;

/// Jobs that read the secret.
const READERS: usize = 512;
