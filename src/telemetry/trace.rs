//! How a request's spans come about. What is under way stands in a task-local: a stage that is not in a
//! traced request finds nothing there, and does its work as if tracing did not exist.
//!
//! What must stay true: nobody waits for a trace. Spans of a request are kept until it is done and then
//! offered to a bounded queue; what the queue does not take is dropped and counted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use tokio::sync::mpsc;

use super::settings::Sampling;
use super::span::{Mark, Role, Span, SpanId, TraceId};
use super::traceparent::Parent;
use crate::domain::time::Timestamp;
use crate::seams::{Clock, Entropy};

tokio::task_local! {
    /// The span that work is being done for.
    static HERE: Open;
}

/// Decides which requests are traced, and hands on what was seen of them.
pub struct Tracer {
    sampling: Sampling,
    queue: mpsc::Sender<Vec<Span>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What all spans of one request share.
struct Trace {
    id: TraceId,
    /// Ids of spans count up from a random one.
    next: AtomicU64,
    /// One moment on both clocks: civil time may step while a request runs.
    began: (Timestamp, Duration),
    done: Mutex<Vec<Span>>,
    tracer: Arc<Tracer>,
}

/// A span that is under way; it is done when it is dropped.
pub struct Open {
    trace: Arc<Trace>,
    id: SpanId,
    parent: Option<SpanId>,
    role: Role,
    name: Cow<'static, str>,
    began: Duration,
    marks: RefCell<Vec<Mark>>,
}

/// Why spans were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// One request had more than are kept.
    TooMany,
    /// More came than the collector took.
    QueueFull,
    /// The collector could not be reached, or did not answer as one.
    Unsent,
    /// The collector said that it did not take them.
    Rejected,
}

impl Tracer {
    /// A tracer, and the other end of its queue. The queue ends when the tracer and all requests are gone.
    pub fn new(
        sampling: Sampling,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> (Arc<Self>, mpsc::Receiver<Vec<Span>>) {
        let (queue, taken) = mpsc::channel(ROOM);
        let tracer = Self {
            sampling,
            queue,
            clock,
            entropy,
        };
        (Arc::new(tracer), taken)
    }

    /// The span of a request, if it is one of those that are traced.
    ///
    /// A caller names the trace to continue, and can have its request left out, as its own part is. It
    /// cannot have it traced: the lot is drawn here, and neither from the caller's id nor from its flag.
    pub fn request(
        self: &Arc<Self>,
        parent: Option<Parent>,
        name: String,
        marks: Vec<Mark>,
    ) -> Option<Open> {
        if parent.is_some_and(|parent| !parent.recorded) {
            return None;
        }
        let mut drawn = [0; 28];
        self.entropy.fill(&mut drawn);
        let (lot, ids) = drawn.split_first_chunk::<4>()?;
        if !self.sampling.takes(u32::from_be_bytes(*lot)) {
            return None;
        }
        let (own, first) = ids.split_first_chunk::<16>()?;
        let began = self.clock.elapsed();
        let trace = Trace {
            id: parent.map_or(TraceId(*own), |parent| parent.trace),
            next: AtomicU64::new(u64::from_be_bytes(first.try_into().ok()?)),
            began: (self.clock.now(), began),
            done: Mutex::new(Vec::new()),
            tracer: Arc::clone(self),
        };
        Some(Open {
            id: trace.next_id(),
            trace: Arc::new(trace),
            parent: parent.map(|parent| parent.span),
            role: Role::Server,
            name: Cow::Owned(name),
            began,
            marks: RefCell::new(marks),
        })
    }

    fn offer(&self, spans: Vec<Span>) {
        let count = spans.len();
        if self.queue.try_send(spans).is_err() {
            dropped(Lost::QueueFull, count);
        }
    }
}

/// Does `work` as a request; what it does is below this span. `end` says how it ended.
pub fn request<F: Future>(
    span: Open,
    work: F,
    end: impl FnOnce(&F::Output) -> Mark,
) -> impl Future<Output = F::Output> {
    HERE.scope(span, work.inspect(|outcome| mark(|| end(outcome))))
}

/// Does `work` as a span of its own below the one that is under way.
pub fn within<F: Future>(name: &'static str, work: F) -> impl Future<Output = F::Output> {
    told(Role::Internal, name, Vec::new, work, |_| Vec::new())
}

/// As [`within`], with what is known of the work before, and what of its end.
pub fn told<F: Future>(
    role: Role,
    name: &'static str,
    begin: impl FnOnce() -> Vec<Mark>,
    work: F,
    end: impl FnOnce(&F::Output) -> Vec<Mark>,
) -> impl Future<Output = F::Output> {
    let Some(span) = here(|open| open.below(role, name)) else {
        return Either::Left(work);
    };
    *span.marks.borrow_mut() = begin();
    let work = work.inspect(move |outcome| {
        here(|open| open.marks.borrow_mut().extend(end(outcome)));
    });
    Either::Right(HERE.scope(span, work))
}

/// A stretch of work that waits for nothing: it is done when this is dropped.
pub fn stage(name: &'static str) -> Option<Open> {
    here(|open| open.below(Role::Internal, name))
}

/// Says something of the span that is under way.
pub fn mark(mark: impl FnOnce() -> Mark) {
    here(|open| open.marks.borrow_mut().push(mark()));
}

/// The trace that this is in, for whoever will look for it.
pub fn id() -> Option<TraceId> {
    here(|open| open.trace.id)
}

/// What a call out names as its parent.
pub fn parent() -> Option<Parent> {
    here(|open| Parent {
        trace: open.trace.id,
        span: open.id,
        recorded: true,
    })
}

/// Counts spans that nobody will see.
pub fn dropped(why: Lost, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("writ_trace_spans_dropped_total", "reason" => why.as_str()).increment(count);
}

impl Lost {
    pub const ALL: [Self; 4] = [Self::TooMany, Self::QueueFull, Self::Unsent, Self::Rejected];

    const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::QueueFull => "queue_full",
            Self::Unsent => "unsent",
            Self::Rejected => "rejected",
        }
    }
}

fn here<T>(look: impl FnOnce(&Open) -> T) -> Option<T> {
    HERE.try_with(look).ok()
}

impl Open {
    fn below(&self, role: Role, name: &'static str) -> Self {
        Self {
            trace: Arc::clone(&self.trace),
            id: self.trace.next_id(),
            parent: Some(self.id),
            role,
            name: Cow::Borrowed(name),
            began: self.trace.tracer.clock.elapsed(),
            marks: RefCell::new(Vec::new()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let trace = &self.trace;
        trace.keep(Span {
            trace: trace.id,
            id: self.id,
            parent: self.parent,
            role: self.role,
            name: std::mem::take(&mut self.name),
            began: trace.nanos(self.began),
            ended: trace.nanos(trace.tracer.clock.elapsed()),
            marks: self.marks.take(),
        });
    }
}

impl Trace {
    fn next_id(&self) -> SpanId {
        SpanId(self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    }

    fn keep(&self, span: Span) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.len() < MOST_SPANS || span.role == Role::Server {
            done.push(span);
        } else {
            dropped(Lost::TooMany, 1);
        }
    }

    /// Nanoseconds since the Unix epoch.
    fn nanos(&self, elapsed: Duration) -> u64 {
        let (civil, began) = self.began;
        let micros = u64::try_from(civil.micros()).unwrap_or(0);
        let since = elapsed.saturating_sub(began).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        micros.saturating_mul(1_000).saturating_add(since)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.tracer.offer(std::mem::take(done));
    }
}

/// Requests whose spans may wait to be sent: at most some ten megabytes.
const ROOM: usize = 512;

/// A request that calls out more often than this is told of in part.
const MOST_SPANS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::{ManualClock, SystemEntropy};

    fn tracer(share: f64) -> (Arc<Tracer>, mpsc::Receiver<Vec<Span>>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(5_000_000)));
        let sampling = Sampling::new(share).unwrap();
        let own = Arc::clone(&clock);
        let (tracer, queue) = Tracer::new(sampling, own, Arc::new(SystemEntropy));
        (tracer, queue, clock)
    }

    fn parent(recorded: bool) -> Parent {
        Parent {
            trace: TraceId([7; 16]),
            span: SpanId([9; 8]),
            recorded,
        }
    }

    fn start(tracer: &Arc<Tracer>, parent: impl Into<Option<Parent>>) -> Option<Open> {
        tracer.request(parent.into(), "POST /x".to_owned(), Vec::new())
    }

    #[tokio::test]
    async fn spans_hang_from_the_work_that_they_are_part_of_even_side_by_side() {
        let (tracer, mut queue, clock) = tracer(1.0);
        let read = |by: Duration| {
            let clock = Arc::clone(&clock);
            within("read", async move {
                tokio::task::yield_now().await;
                clock.advance(by);
                within("call", async {}).await;
            })
        };
        let work = async {
            within("observe", async {
                tokio::join!(
                    read(Duration::from_millis(1)),
                    read(Duration::from_millis(2))
                );
            })
            .await;
            drop(stage("decide"));
            mark(|| Mark::Status(200));
        };
        let span = start(&tracer, parent(true)).unwrap();
        request(span, work, |()| Mark::Known(true)).await;
        let spans = queue.recv().await.unwrap();
        let find = |name: &str| -> Vec<_> { spans.iter().filter(|s| s.name == name).collect() };
        let root = find("POST /x")[0];
        assert_eq!(
            (root.trace, root.parent),
            (TraceId([7; 16]), Some(SpanId([9; 8])))
        );
        assert_eq!(root.marks, [Mark::Status(200), Mark::Known(true)]);
        assert_eq!(root.ended - root.began, 3_000_000);
        assert_eq!(root.began, 5_000_000_000);
        let observe = find("observe")[0];
        assert_eq!(observe.parent, Some(root.id));
        assert_eq!(find("decide")[0].parent, Some(root.id));
        let (reads, calls) = (find("read"), find("call"));
        assert!(reads.iter().all(|read| read.parent == Some(observe.id)));
        let mut parents: Vec<_> = calls.iter().map(|call| call.parent.unwrap().0).collect();
        let mut ids: Vec<_> = reads.iter().map(|read| read.id.0).collect();
        parents.sort_unstable();
        ids.sort_unstable();
        assert_eq!(parents, ids);
    }

    #[tokio::test]
    async fn work_that_is_given_up_is_told_of_all_the_same() {
        let (tracer, mut queue, _) = tracer(1.0);
        let work = async { within("observe", futures_util::future::pending::<()>()).await };
        let span = start(&tracer, None).unwrap();
        let mut whole = Box::pin(request(span, work, |()| Mark::Known(true)));
        assert!((&mut whole).now_or_never().is_none());
        drop(whole);
        let spans = queue.recv().await.unwrap();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["observe", "POST /x"]);
    }

    #[test]
    fn a_caller_can_have_itself_left_out_and_never_taken_in() {
        let (all, ..) = tracer(1.0);
        assert!(start(&all, parent(true)).is_some() && start(&all, None).is_some());
        assert!(start(&all, parent(false)).is_none());
        let (none, ..) = tracer(0.0);
        for _ in 0..1_000 {
            assert!(start(&none, parent(true)).is_none() && start(&none, None).is_none());
        }
    }

    #[tokio::test]
    async fn where_nothing_is_traced_work_is_only_done() {
        assert_eq!(within("observe", async { id() }).await, None);
        assert!(stage("decide").is_none() && super::parent().is_none());
        mark(|| unreachable!("nobody would hear it"));
    }

    #[tokio::test]
    async fn a_queue_that_nobody_empties_takes_no_more_than_it_has_room_for() {
        let (tracer, mut queue, _) = tracer(1.0);
        for _ in 0..ROOM * 2 {
            drop(start(&tracer, None));
        }
        drop(tracer);
        let mut taken = 0;
        while queue.recv().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, ROOM);
    }

    #[tokio::test]
    async fn a_request_that_never_ends_to_call_is_told_of_in_part() {
        let (tracer, mut queue, _) = tracer(1.0);
        let work = async {
            for _ in 0..MOST_SPANS * 2 {
                within("call", async {}).await;
            }
        };
        request(start(&tracer, None).unwrap(), work, |()| Mark::Known(true)).await;
        let spans = queue.recv().await.unwrap();
        assert_eq!(spans.len(), MOST_SPANS + 1);
        assert_eq!(spans.last().unwrap().role, Role::Server);
    }
}
