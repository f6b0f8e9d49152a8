//! Whoever shows nothing that verifies leaves nothing behind, however many names they come under.

use writ_practice::client::SessionKey;

use super::drain::sound_log;
use crate::support::client::{EXCHANGE, ID_TOKEN};
use crate::support::process::Ground;

/// Each stranger has an issuer, a key, a client, a source, a token and a path of their own.
async fn strangers(ground: &Ground, from: u32, to: u32) {
    let key = SessionKey::generate().unwrap();
    let http = ground.client().http;
    for n in from..to {
        let header = serde_json::json!({ "typ": "JWT", "alg": "ES256", "kid": format!("kid-{n}") });
        let issuer = if n % 2 == 0 {
            format!("https://issuer-{n}.example")
        } else {
            ground.site().issuer().to_owned()
        };
        let claims = serde_json::json!({ "iss": issuer, "sub": format!("sub-{n}"), "exp": 9_999_999_999_u64 });
        let token = key.sign(&header, &claims).unwrap();
        let (client, at) = (format!("client-{n}"), &ground.issuer);
        let exchange = [
            ("grant_type", EXCHANGE),
            ("subject_token", &token),
            ("subject_token_type", ID_TOKEN),
        ];
        let held = [("token", token.as_str())];
        for request in [
            http.post(format!("{at}/oauth2/token")).form(&exchange),
            http.post(format!("{at}/oauth2/introspect"))
                .basic_auth(&client, Some("guessed"))
                .form(&held),
            http.post(format!("{at}/oauth2/revoke")).form(&held),
            http.post(format!("{at}/hooks/source-{n}")).body("{}"),
            http.get(format!("{at}/api/v1/secret/ci/{n}"))
                .bearer_auth(&token),
            http.get(format!("{at}/pki/crl/{n:032x}")),
            http.get(format!("{at}/nowhere-{n}")),
        ] {
            let answer = request.send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{n}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a65_strangers_under_ever_new_names_leave_nothing_in_memory_metrics_or_log() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    ground.put_secret("ci/prod/key", "kept-canary").await;
    strangers(&ground, 0, FEW).await;
    let memory = server.resident();
    strangers(&ground, FEW, MANY).await;
    let grown = server.resident().saturating_sub(memory);
    assert!(grown < ROOM, "{grown} bytes for {MANY} strangers");
    sound_log(&ground).await;
    let (_, metrics) = ground.platform("/metrics").await.unwrap();
    let recorded = ground.read("log.jsonl");
    let log = server.stop().await;
    for name in ["issuer-", "sub-", "client-", "kid-", "source-", "nowhere-"] {
        let kept = [&metrics, &recorded, &log].map(|text| text.contains(name));
        assert_eq!(kept, [false; 3], "{name}");
    }
}

const FEW: u32 = 200;
const MANY: u32 = 1_200;
/// A name, a key or a token that is kept for each of them is more: 1,000 × 7 requests of a few kilobytes.
const ROOM: u64 = 4 * 1024 * 1024;
