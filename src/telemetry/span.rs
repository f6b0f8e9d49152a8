//! All that a span can say. A value gets into a trace only as one of these types, none of which holds a
//! secret, a token, a path or a query as it was sent.

use std::borrow::Cow;
use std::fmt;

use crate::domain::context::RecordKind;
use crate::domain::name::{ProfileName, SourceName, TaskName};
use crate::error::{Code, Kind};

/// One trace: a request, through every service that it passes. Never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub(super) [u8; 16]);

/// One span in a trace. Never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub(super) [u8; 8]);

/// A stretch of work that is done.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub role: Role,
    pub name: Cow<'static, str>,
    /// Nanoseconds since the Unix epoch.
    pub began: u64,
    pub ended: u64,
    pub marks: Vec<Mark>,
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Internal,
    Server,
    Client,
}

/// What is told of a span beside its name and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    Method(&'static str),
    /// The template that the request fitted. The path itself may name a secret.
    Route(String),
    Scheme(&'static str),
    Status(u16),
    /// The peer of a call out, as it is configured.
    Host(String),
    Port(u16),
    /// Why a call out has no answer.
    Failure(&'static str),
    Task(TaskName),
    Profile(ProfileName),
    /// How a verb ended; none where it did what was asked.
    Outcome(Option<Code>),
    Denial(String),
    Source(SourceName),
    Record(RecordKind),
    /// Whether this request itself had to ask for it.
    Cached(bool),
    /// Whether there was an answer that could be understood.
    Known(bool),
}

/// The value of a mark, as collectors tell types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Number(u16),
}

impl Span {
    /// Whether this went wrong. A refusal did not: it is what the broker is for.
    pub fn failed(&self) -> bool {
        self.marks.iter().any(|mark| match mark {
            // HTTP semantic conventions: a server has no part in a client's error.
            Mark::Status(status) if self.role == Role::Server => *status >= 500,
            Mark::Status(status) => *status >= 400,
            Mark::Outcome(Some(code)) => matches!(code.kind(), Kind::Undetermined | Kind::Internal),
            Mark::Failure(_) | Mark::Known(false) => true,
            Mark::Method(_)
            | Mark::Route(_)
            | Mark::Scheme(_)
            | Mark::Host(_)
            | Mark::Port(_)
            | Mark::Task(_)
            | Mark::Profile(_)
            | Mark::Outcome(None)
            | Mark::Denial(_)
            | Mark::Source(_)
            | Mark::Record(_)
            | Mark::Cached(_)
            | Mark::Known(true) => false,
        })
    }
}

impl Mark {
    /// The attribute's name: the semantic conventions' where they have one.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Method(_) => "http.request.method",
            Self::Route(_) => "http.route",
            Self::Scheme(_) => "url.scheme",
            Self::Status(_) => "http.response.status_code",
            Self::Host(_) => "server.address",
            Self::Port(_) => "server.port",
            Self::Failure(_) => "error.type",
            Self::Task(_) => "writ.task",
            Self::Profile(_) => "writ.profile",
            Self::Outcome(_) => "writ.outcome",
            Self::Denial(_) => "writ.denial_id",
            Self::Source(_) => "writ.source",
            Self::Record(_) => "writ.record",
            Self::Cached(_) => "writ.cached",
            Self::Known(_) => "writ.known",
        }
    }

    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Method(text) | Self::Scheme(text) | Self::Failure(text) => Value::Text(text),
            Self::Route(text) | Self::Host(text) | Self::Denial(text) => Value::Text(text),
            Self::Status(number) | Self::Port(number) => Value::Number(*number),
            Self::Task(name) => Value::Text(name.as_str()),
            Self::Profile(name) => Value::Text(name.as_str()),
            Self::Outcome(code) => Value::Text(code.map_or("ok", Code::as_str)),
            Self::Source(name) => Value::Text(name.as_str()),
            Self::Record(kind) => Value::Text(kind.as_str()),
            Self::Cached(yes) | Self::Known(yes) => Value::Bool(*yes),
        }
    }
}

impl TraceId {
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SpanId {
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
