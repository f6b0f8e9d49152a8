//! The first span of a request: which route, how it was answered. Of the path only the template is told, and
//! of the query nothing: a path may name a secret.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::Method;

use crate::surface::http::peer::Peer;
use crate::telemetry::span::Mark;
use crate::telemetry::trace::{self, Tracer};
use crate::telemetry::traceparent::Parent;

/// The routes, traced if there is a tracer. Without one they are what they were.
pub fn traced(router: Router, tracer: Option<&Arc<Tracer>>) -> Router {
    match tracer {
        Some(tracer) => router.layer(middleware::from_fn_with_state(Arc::clone(tracer), one)),
        None => router,
    }
}

async fn one(State(tracer): State<Arc<Tracer>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let (method, route) = (method(request.method()), route.map(MatchedPath::as_str));
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let mut marks = vec![Mark::Method(method), Mark::Scheme(scheme(&request))];
    marks.extend(route.map(|route| Mark::Route(route.to_owned())));
    let Some(span) = tracer.request(Parent::of(request.headers()), name, marks) else {
        return next.run(request).await;
    };
    trace::request(span, next.run(request), |response| {
        Mark::Status(response.status().as_u16())
    })
    .await
}

fn scheme(request: &Request) -> &'static str {
    match request.extensions().get::<Peer>() {
        Some(Peer::Tls { .. }) => "https",
        Some(Peer::Tcp { .. } | Peer::Unix(_)) | None => "http",
    }
}

/// The methods that there are. Anybody can make up another (HTTP semantic conventions: `_OTHER`).
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| method == *known);
    known.unwrap_or("_OTHER")
}
