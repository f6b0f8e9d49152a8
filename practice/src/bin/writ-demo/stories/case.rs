//! An agent works on the case that names it. The case closes, or is given to another agent: what it
//! holds is dead. An agent that the case does not name gets nothing.

use std::time::Duration;

use crate::call::{Answer, Refusal};
use crate::outside::{Stopwatch, poll};
use crate::place::BILLING;
use crate::session::Session;
use crate::stage::{LIMIT, Stage, Token, milliseconds, token_of};
use crate::trouble::Trouble;

pub(crate) async fn play(stage: &mut Stage) -> Result<(), Trouble> {
    stage.tell.title("3. An agent works on a case")?;
    closed(stage).await?;
    given_away(stage).await
}

/// The customer's case is solved while the agent holds a token for it.
async fn closed(stage: &mut Stage) -> Result<(), Trouble> {
    stage.desk.open("4711", "AC-9", Some(AGENT))?;
    stage.tell.say(&format!(
        "case 4711 of the account AC-9 is given to the agent `{AGENT}`, which asks for a token for it"
    ))?;
    let (session, token) = open(stage, "4711").await?;
    stage.stands(&token).await?;

    stage.tell.say(&format!(
        "`{OTHER_AGENT}` names the same case, and the case does not name it"
    ))?;
    let other = Session::new(&stage.issuer)?;
    let id_token = stage.agents.token(OTHER_AGENT, &stage.issuer)?;
    let exchange = other.exchange_for(&id_token, "desk/case/4711", BILLING)?;
    stage
        .refused("another agent is refused", &exchange, NOT_NAMED)
        .await?;
    stage.note(
        "another agent named the case",
        format!("refused: {} case.assignee", NOT_NAMED.code),
        "",
    );

    stage
        .tell
        .say("the case is solved, and the desk says so by webhook")?;
    let watch = Stopwatch::start();
    stage.desk.set_state("4711", "solved").await?;
    end(
        stage,
        &session,
        &token,
        watch,
        "the case was solved",
        SOLVED,
    )
    .await
}

/// The case goes to another agent, and the webhook about it is lost.
async fn given_away(stage: &mut Stage) -> Result<(), Trouble> {
    stage.desk.open("4712", "AC-3", Some(AGENT))?;
    let (session, token) = open(stage, "4712").await?;
    stage.tell.say(&format!(
        "case 4712 is given to `{OTHER_AGENT}`: the first agent goes on renewing, until it is refused"
    ))?;
    stage.desk.set_hook(None);
    let watch = Stopwatch::start();
    stage.desk.assign("4712", Some(OTHER_AGENT)).await?;
    poll("the renewal is refused", PAUSE, LIMIT, async || {
        let answer = stage.send(&session.renew(Some(BILLING))?).await?;
        Ok((answer.status != 200).then_some(()))
    })
    .await?;
    end(
        stage,
        &session,
        &token,
        watch,
        "the case was given away",
        GIVEN,
    )
    .await
}

/// The agent's session for a case, with its first token.
async fn open(stage: &Stage, case: &str) -> Result<(Session, Token), Trouble> {
    let mut session = Session::new(&stage.issuer)?;
    let id_token = stage.agents.token(AGENT, &stage.issuer)?;
    let exchange = session.exchange_for(&id_token, &format!("desk/case/{case}"), BILLING)?;
    let answer = stage.show(&exchange).await?;
    let answer = answer.granted("the agent that the case names gets a token")?;
    session.keep_handle(answer)?;
    scoped(answer, case)?;
    Ok((session, token_of(answer)?))
}

/// The token says for which case and account it is.
fn scoped(answer: &Answer, case: &str) -> Result<(), Trouble> {
    let detail = |name: &str| {
        answer
            .body
            .pointer(&format!("/authorization_details/0/{name}"))
    };
    let task = detail("task").and_then(serde_json::Value::as_str);
    let named = task == Some(format!("desk/case/{case}").as_str());
    if named && detail("account").is_some() {
        return Ok(());
    }
    Err(Trouble::unmet(
        "the token is for one case and account",
        case,
        answer.to_string(),
    ))
}

/// Its token dies, and its renewal is refused.
async fn end(
    stage: &mut Stage,
    session: &Session,
    token: &Token,
    watch: Stopwatch,
    change: &str,
    how: Refusal,
) -> Result<(), Trouble> {
    let dead = stage.until_dead(token, watch).await?;
    stage.is_dead(token, dead).await?;
    stage.note(
        change,
        "the agent's token is dead at introspection",
        milliseconds(dead),
    );
    let renew = session.renew(Some(BILLING))?;
    stage.refused("its renewal is refused", &renew, how).await
}

const AGENT: &str = "agent-7";
const OTHER_AGENT: &str = "agent-8";

const NOT_NAMED: Refusal = Refusal {
    status: 400,
    error: Some("invalid_request"),
    code: "context_mismatch",
    field: Some("case.assignee"),
};

const SOLVED: Refusal = Refusal {
    status: 400,
    error: Some("invalid_grant"),
    code: "context_ended",
    field: Some("case.status"),
};

const GIVEN: Refusal = Refusal {
    error: Some("invalid_grant"),
    ..NOT_NAMED
};

/// Between two renewals of the agent.
const PAUSE: Duration = Duration::from_millis(50);
