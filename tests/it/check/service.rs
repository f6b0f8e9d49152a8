//! The service behind a gateway: it says whose each request is and what of it came through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use http::HeaderName;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) struct Service {
    pub(super) address: SocketAddr,
    through: Arc<AtomicUsize>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let through = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&through));
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { address, through }
    }

    /// How many requests have come through.
    pub(super) fn through(&self) -> usize {
        self.through.load(Ordering::SeqCst)
    }
}

async fn answer(State(through): State<Arc<AtomicUsize>>, request: Request) -> axum::Json<Value> {
    through.fetch_add(1, Ordering::SeqCst);
    let all = |name: &str| {
        let values = request.headers().get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    axum::Json(json!({
        "workload": all("writ-workload"),
        "task": all("writ-task"),
        "path": request.uri().path(),
        "headers": names,
    }))
}
