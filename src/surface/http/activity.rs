//! What a connection is doing, and when it has done nothing for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time;

use super::serve::Limits;

/// How many requests a connection has seen, and how many it is busy with.
#[derive(Default)]
pub(super) struct Activity {
    started: AtomicUsize,
    running: AtomicUsize,
}

/// One request under way.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn start(activity: &Arc<Activity>) -> Self {
        activity.started.fetch_add(1, Ordering::Relaxed);
        activity.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body; the request is under way for as long as this exists.
pub(super) struct Sending {
    body: Body,
    _busy: Busy,
}

impl Sending {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Notices a connection on which nothing happens. HTTP/1 has its own timer for heads, but neither it nor the
/// choice of protocol has one for a client that sends nothing at all.
pub(super) struct Watch<'a> {
    limits: &'a Limits,
    activity: &'a Activity,
    seen: Seen,
    timer: Pin<Box<time::Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Requests(usize),
    ToldToFinish,
}

pub(super) enum Verdict {
    Stay,
    Finish,
    Close,
}

impl<'a> Watch<'a> {
    pub(super) fn new(limits: &'a Limits, activity: &'a Activity) -> Self {
        let timer = Box::pin(time::sleep(limits.head));
        Self {
            limits,
            activity,
            seen: Seen::Nothing,
            timer,
        }
    }

    pub(super) async fn next(&mut self) -> Verdict {
        self.timer.as_mut().await;
        self.timer.set(time::sleep(self.limits.idle));
        let started = self.activity.started.load(Ordering::Relaxed);
        let running = self.activity.running.load(Ordering::Relaxed);
        match self.seen {
            Seen::Nothing if started == 0 => Verdict::Close,
            Seen::Requests(before) if before == started && running == 0 => {
                self.seen = Seen::ToldToFinish;
                Verdict::Finish
            }
            Seen::ToldToFinish if running == 0 => Verdict::Close,
            Seen::ToldToFinish => Verdict::Stay,
            Seen::Nothing | Seen::Requests(_) => {
                self.seen = Seen::Requests(started);
                Verdict::Stay
            }
        }
    }
}
