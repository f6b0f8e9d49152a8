//! A broker behind TLS, and clients that show a certificate in the handshake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use writ::broker::observe::Rereads;
use writ::surface::http::clients::OwnClients;
use writ::surface::http::public::{self, Public};
use writ::surface::http::serve::{Limits, Listener, serve};
use writ::surface::http::tls::files::{FileTls, TlsFiles};
use writ::surface::settings::ResourceServer;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use super::openssl::{Desk, P256};
use crate::peers::{TLS, certify};
use crate::support::broker::{Broker, ENVIRONMENT, REPO, secret_file};
use crate::support::client::Answer;
use crate::support::held::Held;
use crate::support::process::{Ground, Server};

/// The same broker once more, behind TLS.
pub struct Gate {
    address: SocketAddr,
    authority: String,
    stop: CancellationToken,
    _files: TempDir,
}

impl Gate {
    pub async fn before(held: &Held) -> Self {
        Self::serving(Arc::clone(&held.broker.wired.public)).await
    }

    /// The same broker, where the resource server `billing` is this workload.
    pub async fn asked_by(broker: &Broker, workload: Option<&str>) -> Self {
        let wired = &broker.wired;
        let server = ResourceServer {
            workload: workload.map(|id| id.parse().unwrap()),
            ..wired.public.servers[0].clone()
        };
        let public = Public {
            broker: Arc::clone(&wired.broker),
            servers: vec![server],
            hooks: BTreeMap::new(),
            rereads: Arc::new(Rereads::new(1)),
        };
        Self::serving(Arc::new(public)).await
    }

    pub async fn serving(public: Arc<Public>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["127.0.0.1", "writ.example"].map(str::to_owned);
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(dir.path().join("tls.pem"), own.cert.pem()).unwrap();
        secret_file(dir.path(), "tls.key", &own.signing_key.serialize_pem());
        let files = TlsFiles {
            chain: dir.path().join("tls.pem"),
            key: dir.path().join("tls.key"),
        };
        let broker = &public.broker;
        let clients = Arc::new(OwnClients::new(Arc::clone(broker)));
        let tls = FileTls::open(files, clients, Arc::clone(&broker.clock)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
        let router = public::router(public);
        let listener = Listener::Tls(tcp, tls.tls().config());
        tokio::spawn(serve(listener, router, Limits::default(), stop.clone()));
        Self {
            address,
            authority: own.cert.pem(),
            stop,
            _files: dir,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who says that it is the broker, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn client(&self, identity: Option<&str>) -> Mutual {
        Mutual::new(
            format!("https://{}", self.address),
            &self.authority,
            identity,
        )
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A client that shows a certificate in the handshake, if it has one.
pub struct Mutual {
    pub http: reqwest::Client,
    pub base: String,
}

impl Mutual {
    /// `identity` is the key and the chain, in PEM.
    pub fn new(base: String, authority: &str, identity: Option<&str>) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a client of the broker, not the broker's own"
        )]
        let mut builder = reqwest::Client::builder().tls_certs_only([authority]);
        if let Some(pem) = identity {
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Self {
            http: builder.build().unwrap(),
            base,
        }
    }

    /// What is answered; nothing where no connection comes about.
    pub async fn renews(&self, csr: &str) -> Option<Answer> {
        let url = format!("{}/api/v1/svid/x509", self.base);
        let request = self.http.post(url).json(&json!({ "csr": csr }));
        let response = request.send().await.ok()?;
        Some(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            json: response.json().await.unwrap(),
        })
    }

    pub async fn roots(&self) -> Option<reqwest::StatusCode> {
        let url = format!("{}/pki/roots.pem", self.base);
        Some(self.http.get(url).send().await.ok()?.status())
    }
}

/// A session with a certificate, and what its holder shows.
pub async fn certified(held: Held, desk: &Desk) -> (Held, Answer, String) {
    let made = desk.request(P256, &[]);
    let answer = held.certified(&made.csr).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let identity = format!("{}{}", made.key, answer.text("certificate"));
    (held, answer, identity)
}

/// The identity that a job in the trusted environment has.
pub fn workload(broker: &Broker) -> String {
    let (owner, repo) = (broker.repo.owner_id, broker.repo.repository_id);
    format!("spiffe://test.example/github/{owner}/{repo}/environment/production")
}

/// The server as it is installed, and a certificate of it with its key, in files.
pub struct Installed {
    pub ground: Ground,
    pub server: Server,
    pub desk: Desk,
    pub token: Answer,
    pub first: Answer,
}

impl Installed {
    pub async fn new() -> Self {
        Self::configured(|_, text| text).await
    }

    /// With another configuration, made of the one that is always there.
    pub async fn configured(change: impl FnOnce(&Ground, String) -> String) -> Self {
        let desk = Desk::new();
        let ground = Ground::with_scheme("https", TLS).await;
        certify(&ground);
        let text = change(&ground, ground.read("writ.toml"));
        ground.write("writ.toml", &text);
        let server = ground.start().await;
        let authority = ground.read("ca.pem");
        let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
        let spec = StartRun::new(REPO, vec![job]);
        let run = ground.site().start_run(spec).await.unwrap();
        let mut client = ground.client();
        client.http = Mutual::new(ground.issuer.clone(), &authority, None).http;
        let key = SessionKey::generate().unwrap();
        let token = client.exchange(&run.jobs[0], Some(&key), &[]).await;
        token.assert_issued();
        let made = desk.request(P256, &[]);
        let first = client.certificate(&made.csr, &token, Some(&key)).await;
        assert_eq!(first.status, 200, "{first:?}");
        desk.put("ca.pem", &authority);
        desk.put("svid.pem", first.text("certificate"));
        desk.put("svid_key.pem", &made.key);
        Self {
            ground,
            server,
            desk,
            token,
            first,
        }
    }

    pub async fn revoke(&self) {
        let task = self.token.text("task");
        let order = ["task", "revoke", task, "--reason", "a test"];
        let said = self.ground.operator(&order, "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}
