//! Bodies at the token endpoint that are not one form with each parameter once.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::broker::{BILLING_SECRET, Broker};
use crate::support::client::{EXCHANGE, ID_TOKEN};
use crate::support::forge::{OPEN, assert_none, bearer, credentials, job, tasks};
use crate::support::raw::{encode, form, post};

type Headers = &'static [(&'static str, &'static str)];

const TOKEN: &str = "/oauth2/token";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a34_a_subject_token_comes_once_with_its_own_type_or_there_is_no_exchange() {
    let broker = Broker::with(OPEN).await;
    let token = bearer(&broker, &job(&broker).await);
    let (grant, kind) = (("grant_type", EXCHANGE), ("subject_token_type", ID_TOKEN));
    let subject = ("subject_token", token.as_str());
    let typed = |kind| vec![grant, subject, ("subject_token_type", kind)];
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("subject_token", vec![grant, kind]),
        ("subject_token", vec![grant, ("subject_token", ""), kind]),
        ("subject_token", vec![grant]),
        ("subject_token", vec![grant, subject, subject, kind]),
        (
            "subject_token",
            vec![grant, subject, ("subject_token", "x"), kind],
        ),
        ("subject_token_type", vec![grant, subject]),
        ("subject_token_type", vec![grant, subject, kind, kind]),
        ("subject_token_type", typed("")),
        (
            "subject_token_type",
            typed("urn:ietf:params:oauth:token-type:access_token"),
        ),
        (
            "subject_token_type",
            typed("urn:ietf:params:oauth:token-type:refresh_token"),
        ),
        (
            "subject_token_type",
            typed("urn:ietf:params:oauth:token-type:saml2"),
        ),
        ("subject_token_type", typed(&ID_TOKEN[..ID_TOKEN.len() - 1])),
        ("grant_type", vec![grant, grant, subject, kind]),
        ("grant_type", vec![subject, kind]),
        (
            "profile",
            vec![
                grant,
                subject,
                kind,
                ("profile", "open"),
                ("profile", "open"),
            ],
        ),
        (
            "scope",
            vec![
                grant,
                subject,
                kind,
                ("scope", "deploy:read"),
                ("scope", "deploy:write"),
            ],
        ),
        (
            "actor_token",
            vec![grant, subject, kind, ("actor_token", &token)],
        ),
        (
            "actor_token_type",
            vec![grant, subject, kind, ("actor_token_type", ID_TOKEN)],
        ),
        (
            "requested_token_type",
            vec![grant, subject, kind, ("requested_token_type", ID_TOKEN)],
        ),
    ];
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("billing:{BILLING_SECRET}"))
    );
    for (field, pairs) in cases {
        for headers in [&[][..], &[("authorization", basic.as_str())][..]] {
            let answer = form(&broker, headers, &encode(&pairs)).await;
            assert_eq!(
                (answer.status, answer.error.as_str(), answer.code.as_str()),
                (400, "invalid_request", "request_malformed"),
                "{pairs:?}: {}",
                answer.text
            );
            assert!(
                answer.text.contains(&format!("\"field\":\"{field}\"")),
                "{}",
                answer.text
            );
        }
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn a34_no_other_grant_type_lets_anybody_in() {
    let broker = Broker::with(OPEN).await;
    let token = bearer(&broker, &job(&broker).await);
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("billing:{BILLING_SECRET}"))
    );
    for grant in [
        "client_credentials",
        "password",
        "authorization_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:Token-Exchange",
        "Refresh_Token",
    ] {
        let pairs = [
            ("grant_type", grant),
            ("subject_token", token.as_str()),
            ("subject_token_type", ID_TOKEN),
            ("assertion", token.as_str()),
            ("client_id", "billing"),
            ("client_secret", BILLING_SECRET),
            ("scope", "deploy:write"),
        ];
        let answer = form(&broker, &[("authorization", &basic)], &encode(&pairs)).await;
        assert_eq!(
            (answer.status, answer.error.as_str()),
            (400, "unsupported_grant_type"),
            "{}",
            answer.text
        );
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

/// An honest exchange in any wrapping but the one that RFC 6749 names.
#[tokio::test]
async fn a61_what_is_not_a_form_is_refused_unread() {
    let broker = Broker::with(OPEN).await;
    let token = bearer(&broker, &job(&broker).await);
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", token.as_str()),
        ("subject_token_type", ID_TOKEN),
    ];
    let good = encode(&pairs);
    let object: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
    let json = serde_json::to_string(&object).unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = "p=1&".repeat(10_000);
    let cases: Vec<(Headers, Vec<u8>)> = vec![
        (&[("content-type", "application/json")], json.clone().into()),
        (&[("content-type", "application/json")], deep.into()),
        (&[("content-type", "text/plain")], good.clone().into()),
        (
            &[("content-type", "multipart/form-data; boundary=x")],
            good.clone().into(),
        ),
        (&[], good.clone().into()),
        (&[("content-type", FORM)], json.into()),
        (&[("content-type", FORM)], b"\xff\xfe\x00\x01".to_vec()),
        (&[("content-type", FORM)], Vec::new()),
        (&[("content-type", FORM)], format!("{many}{good}").into()),
        (
            &[("content-type", FORM)],
            format!("{good}&x={}", "y".repeat(64 * 1024)).into(),
        ),
        (
            &[("content-type", FORM), ("content-encoding", "gzip")],
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec(),
        ),
    ];
    for (headers, body) in cases {
        let answer = post(&broker, TOKEN, headers, body).await;
        assert!(
            (400..=415).contains(&answer.status),
            "{headers:?}: {}",
            answer.text
        );
        assert!(!answer.text.contains("access_token"));
    }
    // Parameters in the query are not the form's.
    let answer = post(
        &broker,
        &format!("{TOKEN}?{good}"),
        &[("content-type", FORM)],
        "",
    )
    .await;
    assert_eq!(answer.code, "request_malformed", "{}", answer.text);
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let answer = form(&broker, &[], &good).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// JSON inside a token, before anybody's signature is looked at.
#[tokio::test]
async fn a61_json_that_is_too_deep_too_large_or_ambiguous_is_no_token() {
    let broker = Broker::with(OPEN).await;
    let issuer = broker.site().issuer().to_owned();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"writ-practice-test-1"}"#);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for claims in [
        format!(r#"{{"iss":"{issuer}","x":{deep}}}"#),
        format!(r#"{{"iss":"{issuer}","exp":1e99999}}"#),
        format!(r#"{{"iss":"{issuer}","exp":{}}}"#, "9".repeat(400)),
        format!(r#"{{"iss":"{issuer}","x":"\ud800"}}"#),
        format!(r#"{{"iss":"{issuer}"}} {{}}"#),
        format!(r#"{{"iss":"{issuer}"}}x"#),
        format!(r#"{{"iss":"https://elsewhere.example","iss":"{issuer}"}}"#),
        format!(r#"{{"iss":"{issuer}","\u0069ss":"{issuer}"}}"#),
        format!("\u{feff}{{\"iss\":\"{issuer}\"}}"),
        format!(r#"["{issuer}"]"#),
        String::new(),
    ] {
        let token = format!("{header}.{}.c2ln", URL_SAFE_NO_PAD.encode(&claims));
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        assert_eq!(
            answer.code(),
            "evidence_invalid",
            "{claims:.60}: {answer:?}"
        );
    }
    let asked = broker.site().faults().requests();
    assert!(asked.targets.is_empty(), "{asked:?}");
}

#[tokio::test]
async fn a12_a_huge_token_is_refused_by_its_size() {
    let broker = Broker::with(OPEN).await;
    let client = broker.client();
    let exchange = |token: String| {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", token.as_str()),
            ("subject_token_type", ID_TOKEN),
        ];
        encode(&pairs)
    };
    for (token, status, code) in [
        ("a".repeat(17 * 1024), 400, "evidence_invalid"),
        (".".repeat(17 * 1024), 400, "evidence_invalid"),
        (".".repeat(100 * 1024), 400, "request_malformed"),
        ("a".repeat(1024 * 1024), 413, ""),
    ] {
        let answer = form(&broker, &[], &exchange(token)).await;
        assert_eq!((answer.status, answer.code.as_str()), (status, code));
    }
    // A million dots do not fit into a request's head: the connection is closed or answered 431.
    let dots = format!("Bearer {}", ".".repeat(1_000_000));
    let request = client
        .http
        .get(format!("{}/api/v1/secret/a", broker.issuer));
    if let Ok(answer) = request.header("authorization", dots).send().await {
        assert_eq!(answer.status().as_u16(), 431);
    }
    let request = client
        .http
        .get(format!("{}/api/v1/secret/a", broker.issuer));
    let dots = format!("Bearer {}", ".".repeat(30_000));
    let answer = request.header("authorization", dots).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}
