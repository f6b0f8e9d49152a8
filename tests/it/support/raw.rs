//! Requests as they should not be, and answers as the bytes that came.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::broker::Broker;

/// An answer as text: status, headers and body in one, so that nothing escapes a search.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) error: String,
}

/// Posts a body that need not be a form.
pub(crate) async fn post(
    broker: &Broker,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Raw {
    let client = broker.client();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        );
    }
    let request = client.http.post(format!("{}{path}", broker.issuer));
    read(request.headers(map).body(body).send().await.unwrap()).await
}

/// Posts a form to the token endpoint, in these very bytes.
pub(crate) async fn form(broker: &Broker, headers: &[(&str, &str)], body: &str) -> Raw {
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    post(broker, "/oauth2/token", &all, body.to_owned()).await
}

pub(crate) async fn read(response: reqwest::Response) -> Raw {
    let status = response.status().as_u16();
    let headers = format!("{:?}", response.headers());
    let body = response.text().await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |name: &str| json[name].as_str().unwrap_or("").to_owned();
    Raw {
        status,
        code: text("code"),
        error: text("error"),
        text: format!("{headers}\n{body}"),
    }
}

/// Parameters in the form's encoding.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A server that gives everybody this answer; it ends with the test.
pub(crate) async fn answers_always(status: u16, json: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let length = json.len();
    let head = "content-type: application/json\r\nconnection: close\r\n";
    let answer = format!("HTTP/1.1 {status} Told\r\n{head}content-length: {length}\r\n\r\n{json}");
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            let _read = peer.read(&mut request).await;
            let _written = peer.write_all(answer.as_bytes()).await;
        }
    });
    url
}
