//! The real `writ server` as a child of the demonstration: started, waited for, and ended with it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::outside::poll;
use crate::place::Place;
use crate::trouble::Trouble;

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    pub(crate) fn start(writ: &Path, configuration: &Path, place: &Place) -> Result<Self, Trouble> {
        let log = std::fs::File::create(place.log()).map_err(Trouble::io("make the log"))?;
        let errors = log.try_clone().map_err(Trouble::io("share the log"))?;
        let child = Command::new(writ)
            .args(["server", "--config"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(Trouble::io(format!("run {}", writ.display())))?;
        Ok(Self { child })
    }

    /// Waits until the server says that it is ready.
    pub(crate) async fn ready(
        &mut self,
        http: &reqwest::Client,
        place: &Place,
    ) -> Result<(), Trouble> {
        let url = format!("http://{}/readyz", place.metrics);
        let what = format!("{url} answers 200");
        let pause = Duration::from_millis(10);
        poll(&what, pause, STARTING, async || {
            if let Some(status) = self.ended()? {
                return Err(Trouble::unmet(&what, "200", format!("it ended: {status}")));
            }
            // Refused connections and 503 alike: not yet.
            let answer = http.get(&url).send().await;
            Ok(answer.is_ok_and(|a| a.status() == 200).then_some(()))
        })
        .await
    }

    pub(crate) async fn stop(mut self) -> Result<(), Trouble> {
        self.child
            .kill()
            .await
            .map_err(Trouble::io("end the server"))
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Trouble> {
        self.child
            .try_wait()
            .map_err(Trouble::io("watch the server"))
    }
}

/// The last lines that the server of a place has logged.
pub(crate) fn last_lines(place: &Place) -> String {
    match std::fs::read_to_string(place.log()) {
        Ok(log) => tail(&log, LAST_LINES),
        Err(error) => format!("(its log cannot be read: {error})"),
    }
}

fn tail(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
}

const STARTING: Duration = Duration::from_secs(20);
const LAST_LINES: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_the_last() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\n", 2), "a");
    }

    #[tokio::test]
    async fn a_server_that_does_not_start_is_named_and_not_waited_for() {
        let place = Place::new().unwrap();
        let mut server = Server::start(Path::new("/bin/false"), Path::new("x"), &place).unwrap();
        let http = writ_practice::http_client("writ-demo").unwrap();
        let refused = server.ready(&http, &place).await.unwrap_err();
        assert!(refused.to_string().contains("it ended"), "{refused}");
    }
}
