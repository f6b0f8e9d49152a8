//! The one table of operators' routes: each has its method, its path and the role that it takes, and there is
//! no other way to a handler.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use axum::{Router, middleware};
use http::Method;

use super::{AdminState, gate};
use crate::domain::role::Role;

/// A route and the role that it takes.
#[derive(Debug)]
pub struct Row {
    pub method: Method,
    pub path: &'static str,
    pub role: Role,
    handler: MethodRouter<Arc<AdminState>>,
}

/// All routes of one API.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    pub(super) fn get<H, T>(self, role: Role, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<AdminState>>,
        T: 'static,
    {
        self.with(Method::GET, role, path, routing::get(handler))
    }

    pub(super) fn post<H, T>(self, role: Role, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<AdminState>>,
        T: 'static,
    {
        self.with(Method::POST, role, path, routing::post(handler))
    }

    pub(super) fn put<H, T>(self, role: Role, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<AdminState>>,
        T: 'static,
    {
        self.with(Method::PUT, role, path, routing::put(handler))
    }

    pub(super) fn delete<H, T>(self, role: Role, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<AdminState>>,
        T: 'static,
    {
        self.with(Method::DELETE, role, path, routing::delete(handler))
    }

    fn with(
        mut self,
        method: Method,
        role: Role,
        path: &'static str,
        handler: MethodRouter<Arc<AdminState>>,
    ) -> Self {
        self.0.push(Row {
            method,
            path,
            role,
            handler,
        });
        self
    }

    /// The routes, each behind its role.
    pub(super) fn router(self) -> Router<Arc<AdminState>> {
        self.0.into_iter().fold(Router::new(), |routes, row| {
            let reach = middleware::from_fn_with_state(row.role, gate::reach);
            routes.route(row.path, row.handler.route_layer(reach))
        })
    }
}
