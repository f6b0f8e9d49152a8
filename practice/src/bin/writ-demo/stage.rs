//! What every story needs: the CI system, the broker, its operator, and the viewer. The steps that
//! several stories take are here, each with what it must bring.

use std::sync::Arc;
use std::time::Duration;

use writ_practice::{Agents, Desk, EnvironmentSpec, Rules, Site, StartJob, StartRun};

use crate::call::{Answer, Call, Refusal};
use crate::job::Job;
use crate::operator::{Done, Operator};
use crate::outside::{Stopwatch, poll};
use crate::place::{BILLING, ENVIRONMENT};
use crate::tell::{Outcome, Teller};
use crate::trouble::Trouble;

/// The scene of a demonstration.
pub(crate) struct Stage {
    pub(crate) site: Arc<Site>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) http: reqwest::Client,
    pub(crate) issuer: String,
    pub(crate) billing_secret: String,
    pub(crate) operator: Operator,
    pub(crate) tell: Teller,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) refusals: Vec<Refused>,
}

/// A refusal that was met, to be explained at the end.
pub(crate) struct Refused {
    pub(crate) denial: String,
    pub(crate) how: Refusal,
}

/// A token of an exchange or renewal, with the task that it belongs to.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) task_name: String,
}

impl Stage {
    /// Sends a request and reads its answer, unseen.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Trouble> {
        let unanswered = |source: reqwest::Error| Trouble::Unanswered {
            asked: format!("{} {}", call.method, call.url),
            source: source.without_url(),
        };
        let mut request = self.http.request(call.method.clone(), &call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if !call.form.is_empty() {
            request = request.form(&call.form);
        }
        let response = request.send().await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(unanswered)?;
        let body = if text.is_empty() {
            serde_json::Value::Null
        } else {
            // What is no JSON is shown as it is, and fails whatever is expected of it.
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
        };
        Ok(Answer { status, body })
    }

    /// Sends a request and shows it with its answer.
    pub(crate) async fn show(&self, call: &Call) -> Result<Answer, Trouble> {
        let answer = self.send(call).await?;
        self.tell.exchange(call, &answer)?;
        Ok(answer)
    }

    /// Runs an operator's command, which has to succeed, and shows it.
    pub(crate) async fn operate(&self, arguments: &[&str]) -> Result<Done, Trouble> {
        let done = self.operator.run(arguments).await?;
        self.tell.command(&done)?;
        done.succeeded()
    }

    /// A new run of the repository, deploying to its protected environment.
    pub(crate) async fn start_run(&self) -> Result<Job, Trouble> {
        let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
        let run = self
            .site
            .start_run(StartRun::new(REPOSITORY, vec![job]))
            .await?;
        // The webhooks of the start are hints too: one that arrives while the run is being read
        // makes what was read stale, and the broker would ask the job to come again in a second.
        self.site.hooks().settle().await?;
        let job = Job::first_of(run, &self.issuer)?;
        self.tell.say(&format!(
            "run {} of {REPOSITORY} starts; its job `deploy` makes a key and asks for an ID token",
            job.run
        ))?;
        Ok(job)
    }

    /// An ID token of the job, from its CI system.
    pub(crate) async fn id_token(&self, job: &Job) -> Result<String, Trouble> {
        let answer = self.show(&job.ask_id_token()).await?;
        Ok(answer
            .granted("a running job gets an ID token")?
            .text("value")?
            .to_owned())
    }

    /// Opens the job's session: an ID token for an access token with a renewal handle.
    pub(crate) async fn open(&self, job: &mut Job) -> Result<Token, Trouble> {
        let id_token = self.id_token(job).await?;
        self.tell
            .say("and exchanges it, proving its key, for an access token")?;
        let answer = self.show(&job.exchange(&id_token, None)?).await?;
        job.keep_handle(answer.granted("the exchange is granted")?)?;
        token_of(&answer)
    }

    /// Renews for another audience, which has to be granted.
    pub(crate) async fn renew(&self, job: &Job, audience: &str) -> Result<Token, Trouble> {
        self.tell.say(&format!(
            "it renews by its handle and its key, for {audience}"
        ))?;
        let answer = self.show(&job.renew(Some(audience))?).await?;
        token_of(answer.granted("the renewal is granted")?)
    }

    /// What `billing` sends to learn whether a token stands (RFC 7662).
    pub(crate) fn introspection(&self, token: &Token) -> Call {
        Call::post(format!("{}/oauth2/introspect", self.issuer))
            .field("token", &token.text)
            .basic("billing", &self.billing_secret)
    }

    /// Has `billing` ask about a token that stands.
    pub(crate) async fn stands(&self, token: &Token) -> Result<(), Trouble> {
        self.tell.say(&format!("{BILLING} asks about that token"))?;
        let answer = self.show(&self.introspection(token)).await?;
        expect_active(&answer, true)
    }

    /// Waits until `billing` is told that a token is dead; how long after the start of `watch`.
    pub(crate) async fn until_dead(
        &self,
        token: &Token,
        watch: Stopwatch,
    ) -> Result<Duration, Trouble> {
        let call = self.introspection(token);
        poll(
            "the token is dead at introspection",
            PAUSE,
            LIMIT,
            async || {
                let answer = self.send(&call).await?;
                let dead = active(&answer)? == Some(false);
                Ok(dead.then(|| watch.elapsed()))
            },
        )
        .await
    }

    /// Shows that a token is dead.
    pub(crate) async fn is_dead(&self, token: &Token, after: Duration) -> Result<(), Trouble> {
        let after = milliseconds(after);
        self.tell.say(&format!(
            "{after} after the change {BILLING} is told that the token is dead"
        ))?;
        let answer = self.show(&self.introspection(token)).await?;
        expect_active(&answer, false)
    }

    /// Sends what has to be refused, and remembers the refusal.
    pub(crate) async fn refused(
        &mut self,
        what: &str,
        call: &Call,
        how: Refusal,
    ) -> Result<(), Trouble> {
        let answer = self.show(call).await?;
        self.remember(what, &answer, how)
    }

    /// Remembers an answer that has to be a refusal.
    pub(crate) fn remember(
        &mut self,
        what: &str,
        answer: &Answer,
        how: Refusal,
    ) -> Result<(), Trouble> {
        let denial = answer.refused(what, how)?.to_owned();
        self.refusals.push(Refused { denial, how });
        Ok(())
    }

    pub(crate) fn note(
        &mut self,
        change: &str,
        effect: impl Into<String>,
        after: impl Into<String>,
    ) {
        self.outcomes.push(Outcome {
            change: change.to_owned(),
            effect: effect.into(),
            after: after.into(),
        });
    }

    /// An environment of the repository as it should be from now on.
    pub(crate) fn environment(name: &str, rules: Rules) -> EnvironmentSpec {
        EnvironmentSpec {
            repo: REPOSITORY.to_owned(),
            name: name.to_owned(),
            rules,
        }
    }
}

/// The access token of an answer.
pub(crate) fn token_of(answer: &Answer) -> Result<Token, Trouble> {
    if answer.text("token_type")? != "DPoP" {
        return Err(Trouble::unmet(
            "the token is bound to its holder's key",
            "token_type DPoP",
            answer.to_string(),
        ));
    }
    Ok(Token {
        text: answer.text("access_token")?.to_owned(),
        task_name: answer.text("task_name")?.to_owned(),
    })
}

/// `118 ms`
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn expect_active(answer: &Answer, expected: bool) -> Result<(), Trouble> {
    if active(answer)? == Some(expected) {
        return Ok(());
    }
    Err(Trouble::unmet(
        "the resource server is told whether the token stands",
        format!("active: {expected}"),
        answer.to_string(),
    ))
}

/// `None` where the broker could not say (503); only a 200 says anything.
fn active(answer: &Answer) -> Result<Option<bool>, Trouble> {
    match answer.status {
        503 => Ok(None),
        _ => Ok(answer
            .granted("introspection is answered")?
            .body
            .get("active")
            .and_then(serde_json::Value::as_bool)),
    }
}

pub(crate) const OWNER: &str = "acme";
pub(crate) const REPOSITORY_NAME: &str = "shop";
const REPOSITORY: &str = "acme/shop";

/// Between two questions that wait for a change.
const PAUSE: Duration = Duration::from_millis(2);
/// No change of the demo takes longer to bite.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: serde_json::Value) -> Answer {
        Answer { status, body }
    }

    #[test]
    fn an_undetermined_introspection_is_neither_dead_nor_alive() {
        let undetermined = answer(503, json!({ "error": "temporarily_unavailable" }));
        assert_eq!(active(&undetermined).unwrap(), None);
        let dead = answer(200, json!({ "active": false }));
        assert_eq!(active(&dead).unwrap(), Some(false));
        assert!(expect_active(&dead, true).is_err());
        active(&answer(401, json!({}))).unwrap_err();
    }

    #[test]
    fn a_bearer_token_where_a_bound_one_was_due_is_noticed() {
        let body = json!({ "token_type": "Bearer", "access_token": "t", "task_name": "n" });
        assert!(token_of(&answer(200, body)).is_err());
    }

    #[test]
    fn the_repository_is_the_owners() {
        assert_eq!(REPOSITORY, format!("{OWNER}/{REPOSITORY_NAME}"));
    }
}
