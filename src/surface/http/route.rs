//! A route and what it says of itself: who is let in, what it takes, what it answers. The public listener
//! serves what its table has (`public::table`), and that of operators what theirs has (`admin::table`); the
//! `OpenAPI` documents describe the same tables (`openapi`), and tests ask every row of them for its refusals,
//! so that none of the three can have a route too many.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use http::{Method, StatusCode};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::role::Role;
use crate::surface::http::public::Public;

#[must_use]
pub struct Route<S = Arc<Public>> {
    pub method: Method,
    /// Below the issuer's own path, unless it is `well_known`.
    pub path: &'static str,
    /// RFC 8414 §3.1 puts the well-known part before the issuer's own path.
    pub well_known: bool,
    /// What generated clients call it.
    pub name: &'static str,
    pub about: &'static str,
    pub caller: Caller,
    /// What may stand behind the `?` of its URL.
    pub query: &'static [Parameter],
    pub takes: Takes,
    /// Whether a `DPoP` header is looked at (RFC 9449 §4).
    pub proof: bool,
    /// Whether an `Idempotency-Key` is: what is asked is carried out once under it.
    pub once: Option<Need>,
    /// What an answer that is no refusal has for a status, and its body.
    pub status: StatusCode,
    pub answer: Content,
    pub refuses: Refuses,
    /// Refusals of its own; those that any request may get are in `openapi`.
    pub refused: &'static [u16],
    pub(super) handler: MethodRouter<S>,
}

/// By what a caller is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Anybody,
    /// Evidence or a handle, in the form.
    Evidence,
    /// An access token, with the proof that it is bound to.
    AccessToken,
    /// The same, or a certificate of this broker in the handshake.
    AccessTokenOrCertificate,
    /// A registered resource server, by its id and secret or by the certificate of its workload.
    ResourceServer,
    /// The same of a gateway, beside what the request that it holds shows of its sender.
    Gateway,
    /// The very token that it is about.
    Holder,
    /// What a source signs its deliveries with.
    Source,
    /// An operator who has the role.
    Operator(Role),
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Takes {
    Nothing,
    Form(&'static [Parameter]),
    Json(Shape),
    /// JSON, or no body at all.
    JsonOrNothing(Shape),
    /// A value, byte for byte: what it is.
    Bytes(&'static str),
    /// What another system sends, in its own form.
    Delivery,
}

/// A parameter of a form or a query.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub need: Need,
    /// The largest, where it is a number from one on.
    pub most: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// Optional, and may come several times.
    Repeatable,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub enum Content {
    Nothing,
    /// JSON of a type of this program.
    Json(Shape),
    /// JSON whose members another standard has: named where the route says what it is.
    Object,
    /// A file of this media type.
    File(&'static str),
}

/// The schema of a type, and of those in it.
#[derive(Debug, Clone)]
pub struct Shape {
    pub name: String,
    pub schemas: Vec<(String, Value)>,
}

/// In which form refusals are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuses {
    /// RFC 6749 §5.2.
    OAuth,
    /// RFC 9457.
    Problem,
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    pub fn get<H, T>(path: &'static str, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::GET, path, name, routing::get(handler))
    }

    pub fn post<H, T>(path: &'static str, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::POST, path, name, routing::post(handler))
    }

    pub fn put<H, T>(path: &'static str, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::PUT, path, name, routing::put(handler))
    }

    pub fn delete<H, T>(path: &'static str, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, name, routing::delete(handler))
    }

    fn new(
        method: Method,
        path: &'static str,
        name: &'static str,
        handler: MethodRouter<S>,
    ) -> Self {
        Self {
            method,
            path,
            well_known: false,
            name,
            about: "",
            caller: Caller::Anybody,
            query: &[],
            takes: Takes::Nothing,
            proof: false,
            once: None,
            status: StatusCode::OK,
            answer: Content::Nothing,
            refuses: Refuses::Problem,
            refused: &[],
            handler,
        }
    }

    /// One sentence.
    pub const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    pub const fn well_known(mut self) -> Self {
        self.well_known = true;
        self
    }

    pub const fn by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    pub const fn asks(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    pub fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    pub const fn with_proof(mut self) -> Self {
        self.proof = true;
        self
    }

    pub const fn once(mut self) -> Self {
        self.once = Some(Need::Optional);
        self
    }

    /// What is asked here is carried out once, under the key that it has to come with.
    pub const fn only_once(mut self) -> Self {
        self.once = Some(Need::Required);
        self
    }

    pub fn answers(mut self, status: StatusCode, content: Content) -> Self {
        self.status = status;
        self.answer = content;
        self
    }

    pub const fn refuses(mut self, how: Refuses, refused: &'static [u16]) -> Self {
        self.refuses = how;
        self.refused = refused;
        self
    }
}

impl Parameter {
    pub const fn required(name: &'static str, about: &'static str) -> Self {
        Self::new(name, about, Need::Required, None)
    }

    pub const fn optional(name: &'static str, about: &'static str) -> Self {
        Self::new(name, about, Need::Optional, None)
    }

    pub const fn repeatable(name: &'static str, about: &'static str) -> Self {
        Self::new(name, about, Need::Repeatable, None)
    }

    /// Optional, and a number from one to `most`.
    pub const fn number(name: &'static str, about: &'static str, most: u32) -> Self {
        Self::new(name, about, Need::Optional, Some(most))
    }

    const fn new(name: &'static str, about: &'static str, need: Need, most: Option<u32>) -> Self {
        Self {
            name,
            about,
            need,
            most,
        }
    }
}

impl Content {
    pub fn json<T: ToSchema>() -> Self {
        Self::Json(Shape::of::<T>())
    }
}

impl Shape {
    pub fn of<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        let plain = |(name, schema)| {
            let schema = serde_json::to_value(schema);
            (name, schema.unwrap_or_default())
        };
        let schemas = schemas.into_iter().map(plain).collect();
        Self { name, schemas }
    }
}
