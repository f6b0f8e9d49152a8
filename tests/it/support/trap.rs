//! A listener that nobody has a reason to call.

use std::time::Duration;

use tokio::net::TcpListener;

pub(crate) struct Trap {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Trap {
    pub(crate) async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Nobody connected: the system would have taken the connection whether or not we ask for it.
    pub(crate) async fn assert_untouched(&self) {
        let came = tokio::time::timeout(Duration::ZERO, self.listener.accept()).await;
        assert!(came.is_err(), "somebody called {}", self.url);
    }
}
