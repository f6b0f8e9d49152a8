//! How much one listener gives, and for how long: every way of doing nothing ends.

use std::time::Duration;

/// How much one listener gives to its clients.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time, handshakes included; one more is closed at once.
    pub connections: usize,
    /// Requests at one time on one HTTP/2 connection.
    pub streams: u32,
    /// From the first byte expected to the last byte of a request's head; also how long an idle HTTP/1
    /// connection is kept.
    pub head: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// From a request's head to its answer's head, reading the body included.
    pub request: Duration,
    /// How long an HTTP/2 connection without requests is kept.
    pub idle: Duration,
    /// How long a client may leave an answer unread.
    pub write: Duration,
    /// How long requests under way may take once told to stop.
    pub drain: Duration,
    /// Bytes of a request's head.
    pub head_bytes: u32,
    /// Bytes of a request's body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 64,
            head: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            write: Duration::from_secs(15),
            drain: Duration::from_secs(20),
            head_bytes: 64 * 1024,
            body_bytes: 1024 * 1024,
        }
    }
}
