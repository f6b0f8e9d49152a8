//! The token that the desk is asked with, as one of the broker's own secrets: an operator replaces it while
//! the broker runs, and no workload is ever given it.

use std::time::Duration;

use writ_practice::Target;
use writ_practice::client::SessionKey;

use super::{AGENTS, DESK, SUPPORT};
use crate::support::broker::{API_TOKEN, Broker};

const PATH: &str = "writ/desk";

/// The desk's token is stored, and some profile's secrets are named after what a workload says of itself.
async fn broker() -> Broker {
    let desk = DESK.replace("token_file = \"api\"", "token_secret = \"writ/desk\"");
    let support = SUPPORT.replace("crm/*", "{agent_id}/*");
    let support = support.replace("[\"a-7\", \"a-8\"]", "[\"a-7\", \"writ\"]");
    let broker = Broker::with(&format!("{AGENTS}{desk}{support}")).await;
    broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
    broker
}

impl Broker {
    async fn stored(&self, token: &str) {
        self.put_secret(PATH, token).await;
        self.take().await;
    }

    async fn take(&self) {
        self.wired.broker.take_api_tokens().await.unwrap();
    }

    fn asked_desk(&self) -> u64 {
        self.desk().faults().requests().of(Target::Cases)
    }

    async fn assert_nobody_gets_in(&self) {
        let before = self.recorded().await;
        let refused = self.ask("a-7", "desk/case/4711", None).await;
        refused.assert_refused(503, "context_unavailable");
        assert_eq!(refused.field(), "case");
        assert_eq!(self.recorded().await, before);
    }
}

#[tokio::test]
async fn it_is_replaced_and_taken_away_while_the_broker_runs() {
    let broker = broker().await;
    broker.assert_nobody_gets_in().await;
    assert_eq!(broker.asked_desk(), 0, "it was asked without its token");

    broker.stored("a-token-that-the-desk-does-not-take").await;
    broker.assert_nobody_gets_in().await;
    assert_eq!(broker.asked_desk(), 1);

    broker.stored(API_TOKEN).await;
    let key = SessionKey::generate().unwrap();
    let first = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
    first.assert_issued();

    let path = PATH.parse().unwrap();
    let order = crate::support::held::order();
    broker
        .wired
        .broker
        .delete_secret(&path, &order)
        .await
        .unwrap();
    broker.take().await;
    broker.pass(Duration::from_secs(61)).await;
    let asked = broker.asked_desk();
    broker.assert_nobody_gets_in().await;
    let renewal = broker.client().renew(&first, &key, &[]).await;
    renewal.assert_refused(503, "context_unavailable");
    assert_eq!(broker.asked_desk(), asked, "it was asked without its token");
    assert!(broker.client().is_active(&first).await);

    // One that no header can carry is no token.
    broker.stored("two\nlines").await;
    broker.assert_nobody_gets_in().await;
    assert_eq!(broker.asked_desk(), asked);
}

#[tokio::test]
async fn no_workload_is_given_it_whatever_its_placeholders_come_to() {
    let broker = broker().await;
    broker.stored(API_TOKEN).await;
    broker.desk().open("4712", "AC-9", Some("writ")).unwrap();
    broker.put_secret("a-7/own", "own").await;
    for (agent, case, path, status) in [
        ("a-7", "4711", "a-7/own", 200),
        ("a-7", "4711", PATH, 403),
        ("writ", "4712", PATH, 403),
    ] {
        let key = SessionKey::generate().unwrap();
        let own = broker.ask_secrets(agent, case, &key).await;
        own.assert_issued();
        let read = broker.client().secret(path, &own, Some(&key)).await;
        assert_eq!(read.status, status, "{agent} {path}: {read:?}");
        assert!(!format!("{read:?}").contains(API_TOKEN));
    }
}

impl Broker {
    /// As [`Broker::ask`], for a token that reads secrets.
    async fn ask_secrets(
        &self,
        agent: &str,
        case: &str,
        key: &SessionKey,
    ) -> crate::support::client::Answer {
        let named = super::details(&format!("desk/case/{case}"));
        let token = self.agents().token(agent, &self.issuer).unwrap();
        let more = [
            ("authorization_details", named.as_str()),
            ("audience", self.issuer.as_str()),
        ];
        self.client().exchange_token(&token, Some(key), &more).await
    }
}
