//! `writ doctor job`: everything that has to be true before a job's first request, looked at one by one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method, header};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::super::CliError;
use super::super::doctor::Report;
use super::super::way::Way;
use super::dry;
use super::evidence::{Source, Wanted};
use crate::domain::grant::Audience;
use crate::domain::time::Timestamp;
use crate::domain::url::BaseUrl;
use crate::domain::validity::SKEW;
use crate::outbound::{Blocked, Content, Origin, OutboundError, Response, Rules};
use crate::seams::{SystemClock, SystemEntropy};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExamineArgs {
    /// The broker's URL, as its configuration spells its `issuer`
    #[arg(long, env = "WRIT_ISSUER", value_name = "URL", value_parser = super::args::issuer)]
    issuer: BaseUrl,

    /// Where the ID token comes from, as for `writ run`
    #[arg(
        long,
        env = "WRIT_EVIDENCE",
        default_value = "auto",
        value_name = "SOURCE"
    )]
    evidence: Wanted,

    /// What ID tokens are asked to be for, where the source's `audience` is not the issuer
    #[arg(long, value_name = "AUDIENCE", value_parser = super::args::audience)]
    evidence_audience: Option<Audience>,

    /// Certificate authorities in PEM to trust instead of the system's
    #[arg(long, env = "SSL_CERT_FILE", value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

/// Looks at everything, as far as one thing does not rest on another that is broken.
pub(in crate::cli) async fn examine(args: ExamineArgs) -> Report {
    let mut report = Report::default();
    let way = Way::new(
        args.ca_file.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    if let Some(answer) = broker(&args.issuer, &way, &mut report).await {
        named(&args.issuer, &answer, &mut report);
        clock(&answer, way.clock.now(), &mut report);
    }
    if let Some(source) = source(&args, &mut report) {
        token(&args, &source, &way, &mut report).await;
    }
    report
}

/// The way to the broker, and its metadata (RFC 8414 §3).
async fn broker(issuer: &BaseUrl, way: &Way, report: &mut Report) -> Option<Response> {
    let mend = "give an https issuer as the broker spells it, or http on this machine";
    let (origin, path) = Origin::split(issuer.as_str())
        .inspect_err(|error| report.here("broker", error.to_string(), mend))
        .ok()?;
    reached(&origin, way, report).await?;
    let rules = Rules {
        content: Content::Any,
        ..Rules::json()
    };
    let peer = way.peer(origin, rules);
    let peer = peer.inspect_err(|error| report.here("broker", error.to_string(), mend));
    let below = path.trim_end_matches('/');
    let place = format!("/.well-known/oauth-authorization-server{below}");
    let asked = peer.ok()?;
    let asked = asked.ask(
        Method::GET,
        &place,
        HeaderMap::new(),
        Bytes::new(),
        way.soon(),
    );
    let mend = "see that a broker listens there, and not a proxy's page";
    let unanswered = |error: &OutboundError| {
        let told = format!("it is not answered: {error}");
        report.there("metadata", told, mend);
    };
    asked.await.inspect_err(unanswered).ok()
}

async fn reached(origin: &Origin, way: &Way, report: &mut Report) -> Option<()> {
    match way.probe(origin).await {
        Ok(address) => {
            report.sound("broker", format!("{origin} is reached at {address}"));
            Some(())
        }
        Err(blocked) => {
            let told = format!("{origin}: {blocked}");
            match mend(&blocked) {
                (true, mend) => report.here("broker", told, mend),
                (false, mend) => report.there("broker", told, mend),
            }
            None
        }
    }
}

/// Whether the fault is on this machine, and what mends it.
const fn mend(blocked: &Blocked) -> (bool, &'static str) {
    match blocked {
        Blocked::Name(_) | Blocked::NoAddress => (
            false,
            "see that the name is spelled right and that this machine's resolver knows it",
        ),
        Blocked::Address(..) => (true, "use the broker's own address"),
        Blocked::Connect(..) | Blocked::Late => (
            false,
            "see that the broker runs, and that no firewall stands between it and this runner",
        ),
        Blocked::Tls(_) => (
            true,
            "name the authority of its certificate with --ca-file or SSL_CERT_FILE; if it has expired, renew it at the broker",
        ),
        Blocked::Setup(_) => (
            true,
            "install the system's certificate authorities, or name a file with --ca-file or SSL_CERT_FILE",
        ),
    }
}

fn named(issuer: &BaseUrl, answer: &Response, report: &mut Report) {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let told = document.get("issuer").and_then(Value::as_str);
    let status = answer.status.as_u16();
    match told {
        Some(told) if told == issuer.as_str() => {
            report.sound("metadata", format!("the broker names itself {told}"));
        }
        Some(told) => report.here(
            "metadata",
            format!("the broker names itself {told}, which is not what is asked for"),
            "set WRIT_ISSUER, and the `aud` of ID tokens, to that very text",
        ),
        None => report.there(
            "metadata",
            format!("what answers there (status {status}) is no broker"),
            "see where the name leads: a load balancer or a proxy answers in the broker's place",
        ),
    }
}

/// Proofs of possession are judged by the broker's clock (RFC 9449 §4.3).
fn clock(answer: &Response, now: Timestamp, report: &mut Report) {
    let date = answer.headers.get(header::DATE);
    let date = date.and_then(|date| OffsetDateTime::parse(date.to_str().ok()?, &Rfc2822).ok());
    let Some(theirs) = date else {
        report.unwise(
            "clock",
            "the broker's answer has no date to compare with",
            "compare both clocks by hand",
        );
        return;
    };
    // A date has whole seconds, and the answer was some time on its way.
    let trip = now.since(answer.asked) + Duration::from_secs(1);
    let ahead = now.seconds() - theirs.unix_timestamp();
    let apart = Duration::from_secs(ahead.unsigned_abs()).saturating_sub(trip);
    let (apart, way) = (
        apart.as_secs(),
        if ahead < 0 { "behind" } else { "ahead of" },
    );
    if apart > SKEW.as_secs() {
        report.here(
            "clock",
            format!(
                "this machine is {apart} s {way} the broker, which takes {} s",
                SKEW.as_secs()
            ),
            "synchronise it (systemctl status systemd-timesyncd, chronyc tracking)",
        );
    } else {
        report.sound("clock", "as the broker's");
    }
}

fn source(args: &ExamineArgs, report: &mut Report) -> Option<Source> {
    if args.evidence == Wanted::Stdin {
        report.unwise(
            "ID token",
            "standard input is not read here",
            "name a file or a variable",
        );
        return None;
    }
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match args.evidence.find(&env, &Path::exists) {
        Ok(source) => Some(source),
        Err(error) => {
            let text = error.to_string();
            let (told, mend) = text
                .split_once("\n  to mend: ")
                .unwrap_or((&text, "name the place with --evidence"));
            report.here("ID token", told, mend);
            None
        }
    }
}

async fn token(args: &ExamineArgs, source: &Source, way: &Way, report: &mut Report) {
    let issuer = args.issuer.as_str();
    let audience = args
        .evidence_audience
        .as_ref()
        .map_or(issuer, |a| a.as_str());
    let token = match source.token(audience, way).await {
        Ok(token) => token,
        Err(failed) => {
            let told = CliError::from(failed).to_string();
            report.there(
                "ID token",
                told,
                "see whether the job still runs and has `permissions: id-token: write`",
            );
            return;
        }
    };
    let Some(claims) = dry::claims(&token) else {
        let told = format!("what {} gives is no ID token", source.told());
        report.here(
            "ID token",
            told,
            "name the place of the token with --evidence",
        );
        return;
    };
    report.sound("ID token", format!("from {}", source.told()));
    if dry::is_for(&claims, audience) {
        report.sound("audience", audience);
    } else {
        let shown = claims
            .get("aud")
            .map(ToString::to_string)
            .unwrap_or_default();
        report.here(
            "audience",
            format!("the token is for {shown}, and the broker wants {audience}"),
            "set the `aud` under `id_tokens:`, or the `audience` of the projected token, to the issuer",
        );
    }
    times(&claims, way.clock.now(), report);
}

fn times(claims: &Map<String, Value>, now: Timestamp, report: &mut Report) {
    let at = |name: &str| claims.get(name).and_then(Value::as_i64);
    let skew = i64::try_from(SKEW.as_secs()).unwrap_or_default();
    let (iat, exp, now) = (at("iat"), at("exp"), now.seconds());
    if exp.is_some_and(|exp| exp + skew <= now) {
        report.here(
            "validity",
            "the token has expired",
            "start the command sooner in the job, or have the file renewed",
        );
    } else if iat.is_some_and(|iat| iat > now + skew) {
        report.here(
            "validity",
            "the token is of the future by this machine's clock",
            "synchronise this machine's clock",
        );
    } else if let Some(exp) = exp {
        report.sound("validity", format!("for another {} s", exp - now));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(act: impl FnOnce(&mut Report)) -> String {
        let mut report = Report::default();
        act(&mut report);
        format!("{report:?}")
    }

    /// An answer of the 1,000,000,000th second after the epoch, asked for at this time of ours.
    fn answer(asked: i64) -> Response {
        let date = header::HeaderValue::from_static("Sun, 09 Sep 2001 01:46:40 GMT");
        Response {
            status: http::StatusCode::OK,
            headers: HeaderMap::from_iter([(header::DATE, date)]),
            body: Bytes::new(),
            asked: Timestamp::from_seconds(asked).unwrap(),
        }
    }

    #[test]
    fn a_clock_is_wrong_only_by_more_than_the_broker_takes() {
        for (ours, trip, state) in [
            (0, 0, "Sound"),
            (6, 0, "Sound"),
            (-6, 0, "Sound"),
            (7, 0, "Here"),
            (-7, 0, "Here"),
            (20, 20, "Sound"),
            (3_620, 20, "Here"),
        ] {
            let now = 1_000_000_000 + ours;
            let answer = answer(now - trip);
            let told = told(|report| clock(&answer, Timestamp::from_seconds(now).unwrap(), report));
            assert!(told.contains(state), "{ours} {trip}: {told}");
        }
    }

    #[test]
    fn a_token_out_of_its_time_is_told() {
        let claims = |iat: i64, exp: i64| {
            json!({ "iat": iat, "exp": exp })
                .as_object()
                .unwrap()
                .clone()
        };
        let now = Timestamp::from_seconds(1_000).unwrap();
        for (iat, exp, wanted) in [
            (900, 1_200, "Sound"),
            (900, 990, "expired"),
            (1_100, 1_400, "future"),
        ] {
            let told = told(|report| times(&claims(iat, exp), now, report));
            assert!(told.contains(wanted), "{told}");
        }
    }
}
