//! A certificate is renewed over mTLS with itself as the evidence, as long as what justified it stands.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use serde_json::json;
use writ::broker::administer::Haste;
use writ::broker::revoke::Ending;
use writ::seams::Clock as _;
use writ_keys::{KeyState, Purpose};

use super::held;
use super::mutual::{Gate, Installed, Mutual, certified};
use super::openssl::{Desk, P256};
use crate::support::broker::environment;
use crate::support::client::Answer;
use crate::support::held::{Held, order};
use crate::support::process::{within, writ};
use crate::support::profiles::DEPLOY;

/// Refused so, and no certificate was recorded.
async fn assert_refused(
    held: &Held,
    client: &Mutual,
    csr: &str,
    status: u16,
    code: &str,
) -> Answer {
    let before = held.certificates().await;
    let refused = client.renews(csr).await.unwrap();
    refused.assert_refused(status, code);
    assert_eq!(held.certificates().await, before);
    refused
}

#[tokio::test]
async fn a_certificate_renews_itself_beyond_its_token_in_the_same_lineage_and_under_no_other_name()
{
    let desk = Desk::new();
    let (held, first, mut identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let mut ends = first.text("expires_at").to_owned();
    // Five times four minutes: longer than the token, and than the session would have been without.
    for _ in 0..5 {
        held.broker.pass(Duration::from_mins(4)).await;
        let other = "subjectAltName=URI:spiffe://test.example/somebody/else";
        let made = desk.request(P256, &["-addext", other]);
        let next = gate
            .client(Some(&identity))
            .renews(&made.csr)
            .await
            .unwrap();
        assert_eq!(next.status, 200, "{next:?}");
        assert_eq!(next.text("spiffe_id"), first.text("spiffe_id"));
        assert!(next.text("expires_at") > ends.as_str(), "{next:?}");
        assert_eq!(held.believed(&desk, &next, &[]), Ok(()));
        let names = desk.told(&[
            "x509",
            "-in",
            "chain.pem",
            "-noout",
            "-ext",
            "subjectAltName",
        ]);
        assert!(names.contains(first.text("spiffe_id")), "{names}");
        assert!(!names.contains("somebody"), "{names}");
        ends = next.text("expires_at").to_owned();
        identity = format!("{}{}", made.key, next.text("certificate"));
    }
    let all = held.certificates().await;
    let oldest = all.iter().find(|one| one.parent.is_some()).unwrap();
    for one in &all {
        assert_eq!((one.lineage, one.session), (oldest.lineage, oldest.session));
    }
    // The last one dies with the task like the first.
    held.end_task(Ending::Revoke).await;
    held.broker.list_revoked().await;
    let last = Answer {
        json: json!({ "certificate": identity.split_once("-----END PRIVATE KEY-----\n").unwrap().1 }),
        ..first
    };
    let why = held.believed_by_lists(&desk, &last).await.unwrap_err();
    assert!(why.contains("certificate revoked"), "{why}");
}

#[tokio::test]
async fn a_certificate_whose_task_was_revoked_a_moment_ago_still_greets_and_renews_nothing() {
    let desk = Desk::new();
    let (held, _, identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let client = gate.client(Some(&identity));
    held.end_task(Ending::Revoke).await;
    assert_eq!(client.roots().await.unwrap(), 200);
    let csr = desk.request(P256, &[]).csr;
    assert_refused(&held, &client, &csr, 403, "task_revoked").await;
}

#[tokio::test]
async fn a_freeze_stops_the_renewal_of_certificates_too() {
    let desk = Desk::new();
    let (held, _, identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let broker = &held.broker.wired.broker;
    let until = held.broker.clock.now().plus(Duration::from_hours(1));
    let scope = "all".parse().unwrap();
    broker.freeze(&scope, until, &order()).await.unwrap();
    let csr = desk.request(P256, &[]).csr;
    let client = gate.client(Some(&identity));
    assert_refused(&held, &client, &csr, 503, "frozen").await;
}

#[tokio::test]
async fn a_certificate_does_not_renew_when_what_it_was_taken_with_or_for_has_ended() {
    let desk = Desk::new();
    let csr = desk.request(P256, &[]).csr;
    for (revoked, code) in [
        ("access_token", "credential_revoked"),
        ("refresh_token", "session_ended"),
    ] {
        let (held, _, identity) = certified(held().await, &desk).await;
        let gate = Gate::before(&held).await;
        let text = held.first.text(revoked).to_owned();
        assert_eq!(held.client.revoke(&text).await.status, 200);
        let client = gate.client(Some(&identity));
        assert_refused(&held, &client, &csr, 403, code).await;
    }
    let (held, _, identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    held.broker
        .site()
        .edit_environment(environment(60))
        .unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    let client = gate.client(Some(&identity));
    let refused = assert_refused(&held, &client, &csr, 403, "context_mismatch").await;
    assert_eq!(refused.field(), "environment.protection_rules");
    // The lineage has ended by that, and says so again.
    assert_refused(&held, &client, &csr, 403, "context_mismatch").await;
    held.renew().await.assert_refused(400, "context_mismatch");
}

#[tokio::test]
async fn an_expired_certificate_comes_to_nothing_also_on_a_connection_that_was_opened_in_time() {
    let desk = Desk::new();
    let (held, _, identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let (kept, late) = (gate.client(Some(&identity)), gate.client(Some(&identity)));
    assert_eq!(kept.roots().await.unwrap(), 200);
    held.broker.pass(Duration::from_mins(6)).await;
    let csr = desk.request(P256, &[]).csr;
    assert_refused(&held, &kept, &csr, 401, "evidence_expired").await;
    assert!(late.renews(&csr).await.is_none());
    assert_eq!(held.certificates().await.len(), 1);
}

#[tokio::test]
async fn certificates_of_others_are_not_believed_whatever_name_they_bear() {
    let desk = Desk::new();
    let (held, answer, _) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let csr = desk.request(P256, &[]).csr;
    for id in ["spiffe://other.example/ci/1", answer.text("spiffe_id")] {
        let identity = forged(id);
        let client = gate.client(Some(&identity));
        assert!(client.renews(&csr).await.is_none(), "{id}");
    }
    // Another broker of the same trust domain is another authority.
    let (_other, _, theirs) = certified(super::held().await, &desk).await;
    assert!(gate.client(Some(&theirs)).renews(&csr).await.is_none());
    // None is demanded, and without one nothing changes.
    let nobody = gate.client(None);
    assert_eq!(nobody.roots().await.unwrap(), 200);
    assert_refused(&held, &nobody, &csr, 401, "token_invalid").await;
}

#[tokio::test]
async fn a_certificate_of_a_withdrawn_authority_renews_nothing_and_one_of_a_retired_does() {
    let desk = Desk::new();
    let (held, _, identity) = certified(held().await, &desk).await;
    let gate = Gate::before(&held).await;
    let verbs = &held.broker.wired.broker;
    let (by, before) = (order(), verbs.minter.keys.load().authority().id);
    let next = verbs
        .prepare_key(Purpose::CaIntermediate, &by)
        .await
        .unwrap();
    let activate = verbs.move_key(next.id.as_str(), KeyState::Active, Haste::AtOnce, &by);
    activate.await.unwrap();
    let csr = desk.request(P256, &[]).csr;
    let client = gate.client(Some(&identity));
    let renewed = client.renews(&csr).await.unwrap();
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(held.believed(&desk, &renewed, &[]), Ok(()));
    let withdraw = verbs.move_key(before.as_str(), KeyState::Withdrawn, Haste::AtOnce, &by);
    withdraw.await.unwrap();
    assert_refused(&held, &client, &csr, 401, "evidence_invalid").await;
}

#[tokio::test]
async fn a_profile_that_wants_fresh_evidence_and_a_request_that_is_none_are_refused() {
    let desk = Desk::new();
    let profile = DEPLOY.replace("session_ttl", "renewal = \"fresh-evidence\"\nsession_ttl");
    let (held, _, identity) = certified(Held::asking(&profile, &[]).await, &desk).await;
    let gate = Gate::before(&held).await;
    let client = gate.client(Some(&identity));
    let csr = desk.request(P256, &[]).csr;
    assert_refused(&held, &client, &csr, 403, "evidence_required").await;
    assert_refused(&held, &client, "", 400, "csr_invalid").await;
    let weak = desk.request(&["-newkey", "rsa:1024"], &[]).csr;
    assert_refused(&held, &client, &weak, 400, "key_refused").await;
}

impl Installed {
    /// `writ svid renew` of the files.
    async fn command(&self) -> (Option<i32>, String, String) {
        let output = writ()
            .args(["svid", "renew", "-o", "json"])
            .arg(self.desk.path())
            .env("WRIT_ISSUER", &self.ground.issuer)
            .env("SSL_CERT_FILE", self.desk.path().join("ca.pem"))
            .output();
        let output = within(output).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

#[tokio::test]
async fn the_server_as_it_is_installed_renews_over_mtls_until_an_operator_revokes() {
    let installed = Installed::new().await;
    let Installed {
        ground,
        desk,
        first,
        ..
    } = &installed;
    let identity = format!("{}{}", desk.read("svid_key.pem"), desk.read("svid.pem"));
    let holder = Mutual::new(ground.issuer.clone(), &desk.read("ca.pem"), Some(&identity));
    let csr = desk.request(P256, &[]).csr;
    let renewed = holder.renews(&csr).await.unwrap();
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.text("spiffe_id"), first.text("spiffe_id"));
    assert_ne!(renewed.text("serial"), first.text("serial"));

    desk.put("next.csr", &csr);
    let line = documented().replace("https://writ.example", &ground.issuer);
    let by_curl: serde_json::Value = serde_json::from_str(&desk.shell(&line)).unwrap();
    assert_eq!(by_curl["spiffe_id"], first.text("spiffe_id"), "{by_curl}");

    installed.revoke().await;
    let refused = holder.renews(&csr).await.unwrap();
    refused.assert_refused(403, "task_revoked");
    let log = installed.server.stop().await;
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[tokio::test]
async fn a_command_renews_its_files_again_and_again_and_keeps_them_when_it_is_refused() {
    let installed = Installed::new().await;
    let (desk, first) = (&installed.desk, &installed.first);
    let mut serials = vec![first.text("serial").to_owned()];
    for _ in 0..2 {
        let (code, told, said) = installed.command().await;
        assert_eq!(code, Some(0), "{said}");
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["spiffe_id"], first.text("spiffe_id"));
        let serial = told["serial"].as_str().unwrap().to_owned();
        assert!(!serials.contains(&serial), "{serial} again");
        serials.push(serial);
        let certified = desk.told(&["x509", "-in", "svid.pem", "-noout", "-pubkey"]);
        let own = desk.told(&["pkey", "-in", "svid_key.pem", "-pubout"]);
        assert_eq!(certified, own);
    }
    let kept = || ["svid.pem", "svid_key.pem", "bundle.pem"].map(|name| desk.read(name));
    let before = kept();
    installed.revoke().await;
    let (code, _, said) = installed.command().await;
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("task_revoked") && !said.contains("PRIVATE"),
        "{said}"
    );
    assert_eq!(kept(), before);

    for (name, spoilt) in [("svid_key.pem", "canary"), ("svid.pem", "canary")] {
        desk.put(name, spoilt);
        let (code, _, said) = installed.command().await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(name) && !said.contains("canary"), "{said}");
    }
    installed.server.stop().await;
}

#[tokio::test]
async fn commands_at_once_leave_one_whole_set_in_the_place_of_the_files_of_before() {
    let installed = Installed::new().await;
    let desk = &installed.desk;
    let all = (0..3).map(|_| installed.command());
    for (code, _, said) in futures_util::future::join_all(all).await {
        assert_eq!(code, Some(0), "{said}");
    }
    let certified = desk.told(&["x509", "-in", "svid.pem", "-noout", "-pubkey"]);
    let own = desk.told(&["pkey", "-in", "svid_key.pem", "-pubout"]);
    assert_eq!(certified, own);
    let line = "openssl verify -CAfile bundle.pem -untrusted svid.pem svid.pem";
    assert_eq!(desk.shell(line), "svid.pem: OK\n");
    assert_eq!(
        desk.shell("readlink svid_key.pem").trim(),
        "..current/svid_key.pem"
    );
    assert_eq!(desk.shell("ls -d ..?* | wc -l").trim(), "2");
    installed.server.stop().await;
}

/// The renewal as the reference writes it down.
fn documented() -> &'static str {
    let mut lines = include_str!("../../../docs/reference/api.md").lines();
    let renews = |line: &&str| line.starts_with("curl --cert") && line.contains("svid/x509");
    lines.find(renews).unwrap()
}

/// A key and a certificate of this name, by an authority that anybody can make.
fn forged(id: &str) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = Issuer::new(params, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let chain = leaf.signed_by(&key, &authority).unwrap();
    format!("{}{}", key.serialize_pem(), chain.pem())
}
