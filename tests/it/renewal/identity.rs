//! Another identity at work in a lineage: refused, and the lineage is over.

use writ_practice::Mint;

use crate::support::client::ID_TOKEN;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

impl Held {
    /// A genuine token of this job whose claims name somebody else.
    fn impostor(&self, claim: &str, value: &str) -> String {
        let audience = format!("{}/jkt/{}", self.broker.issuer, self.key.thumbprint());
        let claims = [(claim.to_owned(), value.into())].into_iter().collect();
        let mint = Mint {
            claims,
            ..Mint::default()
        };
        self.broker.mint(self.job(), &audience, mint)
    }
}

const OTHERS: [(&str, &str); 3] = [
    ("repository_owner_id", "424242"),
    (
        "job_workflow_ref",
        "octo/app/.github/workflows/evil.yml@refs/heads/main",
    ),
    ("ref", "refs/heads/evil"),
];

#[tokio::test]
async fn a41_another_identity_beside_the_handle_is_refused_and_ends_the_lineage() {
    for (claim, value) in OTHERS {
        let held = Held::billing(DEPLOY).await;
        let before = held.broker.recorded().await;
        let token = held.impostor(claim, value);
        let beside = [
            ("subject_token", token.as_str()),
            ("subject_token_type", ID_TOKEN),
        ];
        let answer = held.client.renew(&held.first, &held.key, &beside).await;
        answer.assert_refused(400, "identity_mismatch");
        assert_eq!(answer.text("error"), "invalid_grant");
        assert_eq!(held.broker.recorded().await, before, "{claim}");
        assert!(!held.is_active().await, "{claim}");
        held.assert_never_again("lineage_ended").await;
    }
}

#[tokio::test]
async fn a41_another_identity_by_exchange_is_refused_and_ends_the_lineage() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    let token = held.impostor("repository_owner_id", "424242");
    let answer = held
        .client
        .exchange_token(&token, Some(&held.key), &[])
        .await;
    answer.assert_refused(400, "identity_mismatch");
    assert_eq!(answer.text("error"), "invalid_request");
    assert_eq!(held.broker.recorded().await, before);
    assert!(!held.is_active().await);
    held.assert_never_again("lineage_ended").await;

    let other = held
        .client
        .exchange(&held.run.jobs[1], Some(&held.key), &[]);
    other.await.assert_issued();
}
