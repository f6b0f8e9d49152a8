//! X.509-SVIDs: a certificate over the caller's own key, for no longer than what justified it.

mod ask;
mod issue;
pub mod mutual;
pub mod openssl;
mod renew;
mod revoke;

use writ::domain::credential::{CredentialKind, CredentialRecord};
use writ::seams::Clock as _;

use crate::support::client::Answer;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

use openssl::Desk;

async fn held() -> Held {
    Held::asking(DEPLOY, &[]).await
}

impl Held {
    async fn certified(&self, csr: &str) -> Answer {
        let key = Some(&self.key);
        self.client.certificate(csr, &self.first, key).await
    }

    async fn certificates(&self) -> Vec<CredentialRecord> {
        let mut all = self.broker.credentials().await;
        all.retain(|one| matches!(one.kind, CredentialKind::X509Svid(_)));
        all
    }

    /// What anybody reads below `/pki`.
    async fn published(&self, path: &str) -> reqwest::Response {
        let url = format!("{}/pki/{path}", self.broker.issuer);
        self.client.http.get(url).send().await.unwrap()
    }

    /// Whether `openssl` believes an answer's chain now, by the lists that are published.
    async fn believed_by_lists(&self, desk: &Desk, answer: &Answer) -> Result<(), String> {
        let lists = self.published("crl.pem").await;
        assert_eq!(lists.status(), 200);
        desk.put("lists.pem", lists.bytes().await.unwrap());
        let roots = self.published("roots.pem").await;
        desk.put("chain.pem", answer.text("certificate"));
        desk.put("roots.pem", roots.bytes().await.unwrap());
        let more = ["-crl_check_all", "-CRLfile", "lists.pem"];
        desk.verifies(self.broker.clock.now(), &more)
    }

    /// Whether `openssl` believes an answer's chain now.
    fn believed(&self, desk: &Desk, answer: &Answer, more: &[&str]) -> Result<(), String> {
        desk.put("chain.pem", answer.text("certificate"));
        desk.put("roots.pem", answer.text("bundle"));
        desk.verifies(self.broker.clock.now(), more)
    }
}
