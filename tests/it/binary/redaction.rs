//! Everything that a broker prints, counts, exports or leaves on its disk in plain, at its most
//! talkative, after an afternoon with secrets in every place where a client could put one.

use reqwest::RequestBuilder;
use writ_practice::client::SessionKey;
use writ_practice::{HookSettings, HookTarget, StartJob, StartRun};

use super::drain::sound_log;
use crate::support::broker::{API_TOKEN, BILLING_SECRET, ENVIRONMENT, HOOK_SECRET, REPO};
use crate::support::client::{Client, EXCHANGE, ID_TOKEN};
use crate::support::process::{Ground, until};

/// Looked for in everything that comes out.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn add(&mut self, name: &'static str, text: &str) {
        assert!(text.len() > 15, "{name} is too short to be looked for");
        self.0.push((name, text.to_owned()));
    }

    /// The part of a JWS that makes it worth something.
    fn token(&mut self, name: &'static str, token: &str) {
        self.add(name, token.rsplit('.').next().unwrap());
    }

    fn assert_not_in(&self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for (name, canary) in &self.0 {
            let found = text.find(canary.as_str());
            let around = found.map(|at| {
                let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
                let end = text[at..].find('\n').map_or(text.len(), |line| at + line);
                text[from..end].chars().take(600).collect::<String>()
            });
            assert_eq!(around, None, "{name} is in {place}");
        }
    }
}

#[tokio::test]
async fn p8_no_secret_is_in_what_is_printed_counted_exported_or_stored() {
    let ground = Ground::new().await;
    let server = ground.start_at("trace").await;
    let mut canaries = Canaries::default();
    canaries.add("the webhook secret", HOOK_SECRET);
    canaries.add("the API token", API_TOKEN);
    canaries.add("the resource server's secret", BILLING_SECRET);
    canaries.add(
        "the key-encryption key",
        ground.read("kek").trim().rsplit([':', ' ']).next().unwrap(),
    );
    let client = ground.client();
    honest(&ground, &client, &mut canaries).await;
    misplaced(&client, &mut canaries).await;
    let (status, counts) = ground.platform("/metrics").await.unwrap();
    assert_eq!(status, 200);
    assert!(counts.contains("writ_"), "nothing is counted: {counts}");
    canaries.assert_not_in("the metrics", counts.as_bytes());
    sound_log(&ground).await;
    canaries.assert_not_in(
        "the audit log",
        &std::fs::read(ground.dir().join("log.jsonl")).unwrap(),
    );
    let log = ground.operator(&["task", "list", "-o", "json"], "").await;
    canaries.assert_not_in("a listing", log.out.as_bytes());
    let said = server.stop().await;
    assert!(
        said.contains("TRACE"),
        "the log was not at its most talkative"
    );
    canaries.assert_not_in("the log", said.as_bytes());
    for file in ["writ.db", "writ.db-wal"] {
        if let Ok(bytes) = std::fs::read(ground.dir().join(file)) {
            canaries.assert_not_in(file, &bytes);
        }
    }
}

/// A run as it should be, with everything that it is shown and given.
async fn honest(ground: &Ground, client: &Client, canaries: &mut Canaries) {
    const SECRET: &str = "stored-secret-canary-77e1";
    canaries.add("the stored secret", SECRET);
    ground.put_secret("ci/prod/db", SECRET).await;
    let target = HookTarget {
        url: format!("{}/hooks/github", ground.issuer),
        secret: HOOK_SECRET.to_owned(),
    };
    let hooks = HookSettings {
        enabled: true,
        targets: vec![target],
    };
    ground.site().hooks().set(hooks).unwrap();
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    // Hints that keep coming while a slow machine reads the run would leave its state unknown.
    ground.site().hooks().settle().await.unwrap();
    let key = SessionKey::generate().unwrap();
    let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
    let id_token = client.id_token(&run.jobs[0], &audience).await;
    canaries.token("the ID token", &id_token);
    let own = client.exchange_token(&id_token, Some(&key), &[]).await;
    own.assert_issued();
    canaries.token("the access token", own.text("access_token"));
    canaries.add("the handle", own.text("refresh_token"));
    let billing = [("audience", "https://billing.example")];
    let billing = client.renew(&own, &key, &billing).await;
    billing.assert_issued();
    canaries.token("the renewed token", billing.text("access_token"));
    let secret = client.secret("ci/prod/db", &own, Some(&key)).await;
    assert_eq!(secret.text("value"), SECRET);
    assert!(client.is_active(&billing).await);
    ground.site().cancel_run(run.run_id).await.unwrap();
    ground.site().hooks().settle().await.unwrap();
    until(async || !client.is_active(&billing).await).await;
    client
        .renew(&own, &key, &[])
        .await
        .assert_refused(400, "context_ended");
}

/// Secrets where they do not belong, and requests that cannot be read.
async fn misplaced(client: &Client, canaries: &mut Canaries) {
    for place in MISPLACED {
        canaries.add(place, place);
    }
    let token_url = format!("{}/oauth2/token", client.issuer);
    let claims = r#"{"iss":"canary-in-a-claim-000005"}"#;
    let header = r#"{"alg":"RS256","kid":"canary-in-a-claim-000005"}"#;
    let jwt = unsigned(header, claims);
    let (grant, token, kind) = ("grant_type", "subject_token", "subject_token_type");
    let forms = [
        vec![(grant, "canary-in-the-kind-00008")],
        vec![(grant, REFRESH), (REFRESH, "wrh_canary-in-the-form-00002")],
        vec![(grant, REFRESH), ("canary-in-the-name-00010", "x")],
        vec![(token, "canary-in-the-form-00002"), (token, "x")],
        vec![(grant, EXCHANGE), (token, &jwt), (kind, ID_TOKEN)],
        vec![
            (grant, EXCHANGE),
            (token, "x"),
            (kind, "canary-in-the-kind-00008"),
        ],
    ];
    let forms = forms.map(|form| client.http.post(&token_url).form(&form));
    for request in forms.into_iter().chain(elsewhere(client, &token_url)) {
        let response = request.send().await.unwrap();
        let status = response.status();
        assert!(status.is_client_error(), "{status}");
        let body = response.bytes().await.unwrap();
        canaries.assert_not_in("an answer", &body);
    }
}

/// In what is not a form, or not at the token endpoint.
fn elsewhere(client: &Client, token_url: &str) -> [RequestBuilder; 7] {
    let at = |path: &str| format!("{}{path}", client.issuer);
    let (post, get) = (
        |url: String| client.http.post(url),
        || client.http.get(at("/api/v1/secret/ci/prod/db")),
    );
    [
        post(format!(
            "{token_url}?subject_token=canary-in-the-query-0001"
        )),
        post(token_url.to_owned())
            .form(&[("grant_type", REFRESH), (REFRESH, "wrh_x")])
            .header("DPoP", "canary-in-the-proof-0009"),
        post(token_url.to_owned())
            .body(r#"{"a":"canary-in-json-000000004"}"#)
            .header("content-type", "application/json"),
        get().bearer_auth("canary-in-the-header-003"),
        get().header("authorization", "DPoP canary-in-the-header-003"),
        post(at("/oauth2/introspect"))
            .basic_auth("billing", Some("canary-in-the-basic-0006"))
            .form(&[("token", "x")]),
        post(at("/hooks/github"))
            .header("x-hub-signature-256", "sha256=canary-in-the-hook-00007")
            .body(r#"{"x":"canary-in-the-hook-00007"}"#),
    ]
}

fn unsigned(header: &str, claims: &str) -> String {
    use base64::Engine as _;
    let encode = |text| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(header),
        encode(claims),
        encode("no signature at all")
    )
}

const REFRESH: &str = "refresh_token";

const MISPLACED: [&str; 10] = [
    "canary-in-the-query-0001",
    "canary-in-the-form-00002",
    "canary-in-the-header-003",
    "canary-in-json-000000004",
    "canary-in-a-claim-000005",
    "canary-in-the-basic-0006",
    "canary-in-the-hook-00007",
    "canary-in-the-kind-00008",
    "canary-in-the-proof-0009",
    "canary-in-the-name-00010",
];
