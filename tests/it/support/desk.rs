//! An operator at the admin socket of a broker in this process: the kernel says who asks, and the real
//! binary is the command line.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use writ::broker::apply::Fixed;
use writ::surface::http::admin::gate::Operators;
use writ::surface::http::admin::{AdminState, router};
use writ::surface::http::serve::{Limits, Listener, serve};
use writ::surface::socket::{Access, bind};

use super::broker::Broker;
use super::client::Answer;
use super::process::{Said, within, writ};

pub const JSON: (&str, &str) = ("content-type", "application/json");

/// Where an operator sits.
pub struct Desk {
    socket: PathBuf,
    _open: DropGuard,
}

impl Desk {
    /// Opens the admin socket of a broker.
    pub fn open(broker: &Broker) -> Self {
        let socket = broker.files.path().join("admin.sock");
        let bound = bind(&socket, Access::Owner).unwrap();
        let state = AdminState {
            broker: Arc::clone(&broker.wired.broker),
            operators: Operators::of_this_machine(&BTreeSet::new()).unwrap(),
            configuration: Arc::new(Fixed),
        };
        let stop = CancellationToken::new();
        tokio::spawn(serve(
            Listener::Unix(bound),
            router(Arc::new(state)),
            Limits::default(),
            stop.clone(),
        ));
        Self {
            socket,
            _open: stop.drop_guard(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Bytes::new(), &[]).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = Bytes::from(body.to_string());
        self.ask(Method::POST, path, body, &[JSON]).await
    }

    pub async fn find(&self, text: &str) -> Answer {
        let body = Bytes::from(text.to_owned());
        self.ask(Method::POST, "/api/v1/find", body, &[]).await
    }

    /// Sits at the admin socket of a server that runs for itself.
    pub fn at(socket: PathBuf) -> Self {
        Self {
            socket,
            _open: CancellationToken::new().drop_guard(),
        }
    }

    /// Asks a broker that may be gone before it has answered.
    pub async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let stream = UnixStream::connect(&self.socket).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let response = within(sender.send_request(request)).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Answer {
        let answer = self.try_ask(method, path, body, headers).await;
        answer.expect("the broker did not answer")
    }

    /// Runs a subcommand of the real binary at this desk.
    pub async fn run(&self, args: &[&str], input: &str) -> Said {
        let mut child = writ()
            .args(args)
            .arg("--socket")
            .arg(&self.socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read its input may be gone before it was written.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = within(child.wait_with_output()).await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
