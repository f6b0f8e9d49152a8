//! The broker that runs, if one does: ready, heard of its sources, reached by operators.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::super::CliError;
use super::super::client::{Admin, Call};
use super::super::text::age;
use super::super::way::Way;
use super::Report;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::outbound::{Content, Origin, Rules};
use crate::seams::{Clock, SystemEntropy};

pub(super) async fn examine(config: &Config, clock: &Arc<dyn Clock>, report: &mut Report) {
    const CHECK: &str = "running";
    operators(config, report).await;
    let Some(address) = config.listen.metrics else {
        let mend = "give `metrics` in [listen]";
        report.unwise(CHECK, "there is no metrics listener to ask", mend);
        return;
    };
    match ask(address, "/readyz", clock).await {
        Ok((200, _)) => report.sound(CHECK, "the broker is ready"),
        Ok((_, told)) => report.here(CHECK, told.trim(), "see the broker's log"),
        Err(error) => {
            let told = format!("no broker answers at {address}: {error}");
            let mend = "start it (systemctl start writ), or see its log (journalctl -u writ)";
            report.here(CHECK, told, mend);
            return;
        }
    }
    let metrics = ask(address, "/metrics", clock).await;
    let metrics = metrics.map_or_else(|_| String::new(), |(_, text)| text);
    hooks(config, &metrics, clock.now(), report);
}

async fn ask(
    address: SocketAddr,
    path: &str,
    clock: &Arc<dyn Clock>,
) -> Result<(u16, String), CliError> {
    let way = Way::new(None, Arc::clone(clock), Arc::new(SystemEntropy));
    let origin = Origin::parse(&format!("http://{address}"));
    let origin = origin.map_err(|error| CliError::Usage(error.to_string()))?;
    let rules = Rules {
        content: Content::Any,
        max_body: MOST_METRICS,
        ..Rules::json()
    };
    let peer = way.peer(origin, rules)?;
    let until = way.soon();
    let asked = peer.ask(Method::GET, path, HeaderMap::new(), Bytes::new(), until);
    let unanswered =
        |error: crate::outbound::OutboundError| CliError::Unanswered(error.to_string());
    let answer = asked.await.map_err(unanswered)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Ok((answer.status.as_u16(), text))
}

fn hooks(config: &Config, metrics: &str, now: Timestamp, report: &mut Report) {
    let sources = config.sources.iter();
    let sources = sources.filter(|source| !source.webhook_secrets.is_empty());
    let desks = config.desks.iter().filter(|desk| desk.hook.is_some());
    let names = sources.map(|source| &source.name);
    for name in names.chain(desks.map(|desk| &desk.name)) {
        let check = format!("webhooks of {name}");
        let Some(at) = last_hook(metrics, name.as_str()) else {
            let issuer = &config.broker.issuer;
            let mend = format!("see the deliveries of the webhook to {issuer}/hooks/{name}");
            report.unwise(&check, "none has come since the broker started", &mend);
            continue;
        };
        let since = now.since(at);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let told = format!("the last came {} ago", age(millis));
        if since > QUIET {
            let mend = "see whether anything happened since, and what became of the deliveries";
            report.unwise(&check, told, mend);
        } else {
            report.sound(&check, told);
        }
    }
}

async fn operators(config: &Config, report: &mut Report) {
    let Some(socket) = &config.listen.admin else {
        report.unwise(
            "operators",
            "there is no admin socket: nobody can revoke",
            "give `admin_socket` in [listen]",
        );
        return;
    };
    let admin = Admin::new(socket.path.clone());
    match admin.ask(Call::get("/api/v1/keys")).await {
        Ok(_) => report.sound(
            "operators",
            format!("the socket {} takes this user", socket.path.display()),
        ),
        Err(CliError::Refused(refused)) => report.unwise(
            "operators",
            format!("the broker does not take this user: {refused}"),
            "run this as root, or name the user in `admin_uids`",
        ),
        Err(error) => report.here(
            "operators",
            format!("the socket does not answer: {error}"),
            "see that the broker runs, and that this user may reach the socket's directory",
        ),
    }
}

/// When the last webhook of a source was taken, by the broker's own count.
fn last_hook(metrics: &str, source: &str) -> Option<Timestamp> {
    let line = format!("{LAST_HOOK}{{source=\"{source}\"}} ");
    let value = metrics.lines().find_map(|l| l.strip_prefix(&line))?;
    let seconds: f64 = value.trim().parse().ok()?;
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    Some(Timestamp::EPOCH.plus(whole))
}

/// The gauge that `surface/http/hooks.rs` sets.
const LAST_HOOK: &str = "writ_hook_last_taken_timestamp_seconds";
const QUIET: Duration = Duration::from_hours(24);
const MOST_METRICS: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_webhook_is_found_among_the_counts_of_its_own_source() {
        let metrics = "# TYPE writ_hook_last_taken_timestamp_seconds gauge\n\
             writ_hook_last_taken_timestamp_seconds{source=\"gitlab\"} 7\n\
             writ_hook_last_taken_timestamp_seconds{source=\"github\"} 1.5e9\n";
        let at = last_hook(metrics, "github").unwrap();
        assert_eq!(at.seconds(), 1_500_000_000);
        assert_eq!(last_hook(metrics, "git"), None);
        assert_eq!(last_hook("", "github"), None);
    }
}
