//! An agent with a support task asks to run `SELECT` on a table: allowed only while the incident's ticket is open, is
//! the agent's, and names that table.

use std::time::Duration;

use super::Agent;
use crate::cases::{AGENTS, DESK};
use crate::support::broker::Broker;

/// What the desk's tickets say besides.
const TABLE: &str = "
[desk.case.field.table]
at = \"/table\"
";

const QUERIES: &str = r#"
[[profile]]
name = "queries"
source = "agents"
match = { agent_id = ["a-7", "a-8"] }
case_of = "desk"
opens_when = { assignee = "agent_id" }
instance = "{agent_id}"

[[profile.binding]]
record = "case"
require = { status = ["open", "pending"] }
max_age = "60s"
via = ["pull"]

[profile.grant.query]
audiences = ["https://billing.example"]
reads = ["SELECT"]

[[profile.grant.query.resource]]
type = "table"
id = "{case.table}"
"#;

async fn desk() -> Broker {
    let broker = Broker::with(&format!("{AGENTS}{DESK}{TABLE}{QUERIES}")).await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    broker
}

async fn at_work() -> Agent {
    let broker = desk().await;
    let named = broker.desk().say("4711", "table", "billing.invoices").await;
    named.unwrap();
    Agent::at_work(broker).await
}

impl Agent {
    async fn select(&self, table: &str) -> crate::support::client::Answer {
        self.ask("SELECT", "table", table).await
    }

    /// Long enough that the ticket is read again.
    async fn later(&self) {
        self.broker.pass(Duration::from_secs(61)).await;
    }
}

#[tokio::test]
async fn a_table_is_read_while_the_ticket_is_open_and_names_it() {
    let agent = at_work().await;
    for state in ["open", "waiting", "open"] {
        let desk = agent.broker.desk();
        desk.set_state("4711", state).await.unwrap();
        agent.later().await;
        agent.select("billing.invoices").await.assert_permitted();
    }
}

#[tokio::test]
async fn nothing_else_is_done_to_it() {
    let agent = at_work().await;
    for action in ["UPDATE", "DELETE", "DROP", "select"] {
        let denied = agent.ask(action, "table", "billing.invoices").await;
        denied.assert_denied("action_refused", "action");
    }
    let view = agent.ask("SELECT", "view", "billing.invoices").await;
    view.assert_denied("resource_refused", "resource");
    agent.select("billing.invoices").await.assert_permitted();
}

#[tokio::test]
async fn an_agent_that_reaches_for_another_table_is_denied_and_all_is_dead() {
    for table in [
        "billing.payments",
        "billing.invoices2",
        "Billing.Invoices",
        "*",
    ] {
        let agent = at_work().await;
        let denied = agent.select(table).await;
        denied.assert_denied("resource_mismatch", "case.table");
        agent.assert_dead().await;
    }
}

#[tokio::test]
async fn when_the_ticket_closes_the_next_query_is_denied_and_all_is_dead() {
    let agent = at_work().await;
    agent.select("billing.invoices").await.assert_permitted();
    let desk = agent.broker.desk();
    desk.set_state("4711", "solved").await.unwrap();
    agent.later().await;
    let denied = agent.select("billing.invoices").await;
    denied.assert_denied("context_ended", "case.status");
    agent.assert_dead().await;
}

#[tokio::test]
async fn a_ticket_that_comes_to_be_about_another_table_opens_that_one_and_no_other() {
    let agent = at_work().await;
    agent.select("billing.invoices").await.assert_permitted();
    let desk = agent.broker.desk();
    desk.say("4711", "table", "billing.payments").await.unwrap();
    agent.later().await;
    agent.select("billing.payments").await.assert_permitted();
    let old = agent.select("billing.invoices").await;
    old.assert_denied("resource_mismatch", "case.table");
    agent.assert_dead().await;
}

#[tokio::test]
async fn a_ticket_that_names_no_table_opens_none_and_ends_nothing() {
    let agent = Agent::at_work(desk().await).await;
    for table in ["billing.invoices", "{case.table}", "null"] {
        let denied = agent.select(table).await;
        denied.assert_denied("resource_mismatch", "case.table");
    }
    let desk = agent.broker.desk();
    desk.say("4711", "table", "billing.invoices").await.unwrap();
    agent.later().await;
    agent.select("billing.invoices").await.assert_permitted();
}
