//! The requests of every path, as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use writ::seams::{Clock as _, SystemClock};
use writ::surface::http::{oauth, svid};
use writ_practice::client::{Proof, SessionKey};

use crate::client::request;
use crate::fault::Fault;
use crate::place::{AUDIENCE, Place, SECRET_PATH, SERVER, SERVER_SECRET};

/// Makes requests to the broker of one place.
pub(crate) struct Requests {
    host: String,
    issuer: String,
    server: String,
}

impl Requests {
    pub(crate) fn to(place: &Place) -> Self {
        let credentials = STANDARD.encode(format!("{SERVER}:{SERVER_SECRET}"));
        Self {
            host: place.host(),
            issuer: place.issuer(),
            server: format!("Basic {credentials}"),
        }
    }

    /// An ID token for an access token of the resource server's audience.
    pub(crate) fn exchange(&self, token: &str) -> Bytes {
        self.post(oauth::TOKEN, &[], &evidence(token, Some(AUDIENCE)))
    }

    /// The same for a token that reads secrets.
    pub(crate) fn exchange_for_secrets(&self, token: &str) -> Bytes {
        self.post(oauth::TOKEN, &[], &evidence(token, None))
    }

    pub(crate) fn exchange_bound(&self, token: &str, proof: &str) -> Bytes {
        let form = evidence(token, Some(AUDIENCE));
        self.post(oauth::TOKEN, &[("dpop", proof)], &form)
    }

    /// The same for the task of a case.
    pub(crate) fn exchange_for_case(&self, token: &str, proof: &str, task: &str) -> Bytes {
        self.post(oauth::TOKEN, &[("dpop", proof)], &case(token, task))
    }

    /// The same for a caller without a key.
    pub(crate) fn exchange_unbound_for_case(&self, token: &str, task: &str) -> Bytes {
        self.post(oauth::TOKEN, &[], &case(token, task))
    }

    pub(crate) fn renew(&self, handle: &str, proof: &str) -> Bytes {
        let form = form(&[
            ("grant_type", oauth::REFRESH_GRANT),
            ("refresh_token", handle),
        ]);
        self.post(oauth::TOKEN, &[("dpop", proof)], &form)
    }

    pub(crate) fn introspect(&self, token: &str) -> Bytes {
        let form = form(&[("token", token)]);
        self.post(oauth::INTROSPECT, &[("authorization", &self.server)], &form)
    }

    /// One action for the holder of a token, or as many of the same as are wanted.
    pub(crate) fn check(&self, token: &str, action: &str, times: usize) -> Result<Bytes, Fault> {
        let claims = token.split('.').nth(1).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(Fault::of)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(Fault::of)?;
        let mut body = serde_json::json!({
            "subject": {"type": "workload", "id": claims.sub, "properties": {"access_token": token}},
            "action": {"name": action},
            "resource": {"type": "host", "id": "db-7"},
        });
        let mut path = "/access/v1/evaluation";
        if let (true, Some(body)) = (times > 1, body.as_object_mut()) {
            path = "/access/v1/evaluations";
            let same = vec![serde_json::json!({}); times];
            body.insert("evaluations".to_owned(), same.into());
        }
        Ok(self.json(path, &[("authorization", &self.server)], &body))
    }

    /// A gateway's question about a request of the holder of a token.
    pub(crate) fn forward_auth(&self, token: &str) -> Bytes {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("proxy-authorization", self.server.as_str()),
            ("authorization", &bearer),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "deploy.example"),
            ("x-forwarded-uri", "/hosts/db-7"),
        ];
        request("GET /forward-auth", &self.host, &headers, None)
    }

    pub(crate) fn revoke(&self, token: &str) -> Bytes {
        self.post(oauth::REVOKE, &[], &form(&[("token", token)]))
    }

    pub(crate) fn secret(&self, token: &str) -> Bytes {
        let line = format!("GET /api/v1/secret/{SECRET_PATH}");
        let bearer = format!("Bearer {token}");
        request(&line, &self.host, &[("authorization", &bearer)], None)
    }

    pub(crate) fn jwt_svid(&self, token: &str) -> Bytes {
        let bearer = format!("Bearer {token}");
        let body = serde_json::json!({ "audience": AUDIENCE });
        self.json(svid::JWT, &[("authorization", &bearer)], &body)
    }

    /// A certificate for a signing request: by a token, or by what the connection was opened with.
    pub(crate) fn x509(&self, csr: &str, token: Option<&str>) -> Bytes {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        self.json(svid::X509, &headers, &serde_json::json!({ "csr": csr }))
    }

    pub(crate) fn metadata(&self) -> Bytes {
        let line = "GET /.well-known/oauth-authorization-server";
        request(line, &self.host, &[], None)
    }

    /// A proof for one request to the token endpoint; `number` makes it another than the last.
    pub(crate) fn proof(&self, key: &SessionKey, number: usize) -> Result<String, Fault> {
        let proof = Proof {
            htm: "POST",
            htu: &format!("{}{}", self.issuer, oauth::TOKEN),
            iat: SystemClock.now().seconds(),
            jti: &format!("proof-{number}"),
            access_token: None,
            nonce: None,
        };
        key.proof(&proof).map_err(Fault::of)
    }

    fn json(&self, path: &str, more: &[(&str, &str)], body: &serde_json::Value) -> Bytes {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend_from_slice(more);
        let body = body.to_string();
        request(&format!("POST {path}"), &self.host, &headers, Some(&body))
    }

    fn post(&self, path: &str, more: &[(&str, &str)], form: &str) -> Bytes {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend_from_slice(more);
        request(&format!("POST {path}"), &self.host, &headers, Some(form))
    }
}

/// A request to the operators' socket.
pub(crate) fn order(line: &str, body: &str) -> Bytes {
    request(line, "localhost", &[], Some(body))
}

fn case(token: &str, task: &str) -> String {
    let details = format!(r#"[{{"type":"writ_task","task":"{task}"}}]"#);
    form(&[
        ("grant_type", oauth::EXCHANGE_GRANT),
        ("subject_token", token),
        ("subject_token_type", oauth::ID_TOKEN_TYPE),
        ("audience", AUDIENCE),
        ("authorization_details", &details),
    ])
}

fn evidence(token: &str, audience: Option<&str>) -> String {
    let mut pairs = vec![
        ("grant_type", oauth::EXCHANGE_GRANT),
        ("subject_token", token),
        ("subject_token_type", oauth::ID_TOKEN_TYPE),
    ];
    pairs.extend(audience.map(|audience| ("audience", audience)));
    form(&pairs)
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Whose token it is.
#[derive(Deserialize)]
struct Claims {
    sub: String,
}
