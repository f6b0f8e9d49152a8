//! Who is an operator, and whether their roles reach a route. On the admin socket the kernel says who asks,
//! and whoever it lets in has every role; on the operators' own listener a token of the configured OpenID
//! Provider does. Nothing else in a request is looked at, and no handler runs before both are decided.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};

use super::failed::Failed;
use super::users::Users;
use crate::attest::operator::{KnownOperator, OperatorIssuer, unknown};
use crate::domain::role::{Role, Roles};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::seams::Clock;
use crate::surface::http::peer::Peer;

/// Those who may command at one listener.
#[derive(Clone)]
pub enum Operators {
    /// On the admin socket.
    Local(Users),
    /// On the operators' own listener.
    Remote(Arc<OperatorIssuer>),
}

/// What stands before every route.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) operators: Operators,
    pub(super) clock: Arc<dyn Clock>,
}

/// One of them, as the audit log names it: `uid:1000 (alice)`, or `oidc:ISSUER#SUB`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    name: String,
    roles: Roles,
    /// Until when they are known, where that ends.
    until: Option<Timestamp>,
}

impl Operators {
    /// Root, this process's own user and `further` ones.
    ///
    /// # Errors
    /// The table of local accounts cannot be read.
    pub fn of_this_machine(further: &BTreeSet<u32>) -> io::Result<Self> {
        Users::of_this_machine(further).map(Self::Local)
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// `operator_required` for whoever is known and no operator; for whoever is not known, what
    /// [`OperatorIssuer::identify`] says.
    async fn identify(
        &self,
        peer: Option<&Peer>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Operator, Error> {
        let refused = || Error::new(Code::OperatorRequired, "only operators may do this");
        match self {
            Self::Local(users) => {
                let operator = peer.and_then(|peer| Operator::local(users, peer));
                operator.ok_or_else(refused)
            }
            Self::Remote(issuer) => {
                let shown = bearer(headers).ok_or_else(|| unknown(&"no bearer token"))?;
                let known = issuer.identify(shown, now).await?;
                let KnownOperator { name, roles, until } = known;
                if roles.is_empty() {
                    let text = "this login has no role here";
                    return Err(Error::new(Code::OperatorRequired, text).with_internal(name));
                }
                Ok(Operator {
                    name,
                    roles,
                    until: Some(until),
                })
            }
        }
    }
}

impl Operator {
    /// A user of this machine: whoever may open the socket may do everything.
    pub(super) fn local(users: &Users, peer: &Peer) -> Option<Self> {
        Some(Self {
            name: users.at(peer)?,
            roles: Roles::all(),
            until: None,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

/// Lets operators through, with their name for the record, and nobody else.
pub(super) async fn require(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = gate.clock.now();
    let peer = request.extensions().get::<Peer>();
    let known = gate.operators.identify(peer, request.headers(), now);
    match known.await {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(refusal) => Failed::from(refusal).into_response(),
    }
}

/// Lets those through whose roles cover what a route takes.
pub(super) async fn reach(State(needed): State<Role>, request: Request, next: Next) -> Response {
    let operator = request.extensions().get::<Operator>();
    if operator.is_some_and(|operator| operator.roles.cover(needed)) {
        return next.run(request).await;
    }
    let held = operator.map_or_else(String::new, |o| format!(", and this login has {}", o.roles));
    let text = format!("this takes the role {needed}{held}");
    Failed::from(Error::new(Code::RoleRequired, text)).into_response()
}

/// The token of the one `Authorization` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (all.next()?, all.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Extension, Router, middleware};
    use http::{HeaderValue, Method, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::seams::ManualClock;
    use crate::surface::socket::Caller;

    const PASSWD: &str = "alice:x:1000:1000::/home/alice:/bin/sh\n";

    fn local(uid: u32) -> Peer {
        Peer::Unix(Caller {
            uid,
            gid: 0,
            pid: Some(1),
        })
    }

    /// What a route answers to whoever is at the other end.
    async fn asked(method: Method, path: &str, peer: Option<Peer>) -> (StatusCode, String) {
        let named = |Extension(by): Extension<Operator>| async move { by.as_str().to_owned() };
        let gate = Gate {
            operators: Operators::Local(Users::new(990, &BTreeSet::from([1000]), PASSWD)),
            clock: Arc::new(ManualClock::at(Timestamp::from_micros(0))),
        };
        let router = Router::new()
            .route("/orders", get(named).post(named))
            .layer(middleware::from_fn_with_state(gate, require));
        let mut request = Request::builder().method(method).uri(path);
        if let Some(peer) = peer {
            request = request.extension(peer);
        }
        let request = request.body(Body::from("forged")).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_stranger_gets_one_refusal_from_every_path_and_no_handler_runs() {
        let mut answers = Vec::new();
        for (method, path) in [
            (Method::GET, "/orders"),
            (Method::POST, "/orders"),
            (Method::DELETE, "/orders"),
            (Method::GET, "/nothing"),
        ] {
            for peer in [Some(local(1001)), None] {
                answers.push(asked(method.clone(), path, peer).await);
            }
        }
        let (status, body) = answers.first().unwrap();
        assert_eq!(*status, StatusCode::FORBIDDEN);
        assert!(body.contains("operator_required"), "{body}");
        assert!(
            answers.iter().all(|answer| answer == &answers[0]),
            "{answers:?}"
        );
    }

    #[tokio::test]
    async fn an_operator_is_known_to_the_handler_by_uid() {
        let (status, body) = asked(Method::POST, "/orders", Some(local(1000))).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::OK, "uid:1000 (alice)")
        );
    }

    fn shown(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn one_header_names_one_token() {
        assert_eq!(shown(&["bearer a.b.c"]).as_deref(), Some("a.b.c"));
        for none in [
            &[][..],
            &["Basic YTpi"],
            &["a.b.c"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(shown(none), None, "{none:?}");
        }
    }
}
