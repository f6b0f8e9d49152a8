//! The form of the table of operators' routes: each route has the role that it takes, and there is no other
//! way to a handler.

use std::sync::Arc;

use axum::{Router, middleware};

use super::{AdminState, gate};
use crate::domain::role::Role;
use crate::surface::http::route::{Caller, Route};

/// A route of operators, as its handler sees it.
pub type OperatorRoute = Route<Arc<AdminState>>;

/// All routes of one API, each with its role.
#[derive(Default)]
#[must_use]
pub struct Table {
    roles: Vec<Role>,
    routes: Vec<OperatorRoute>,
}

impl Table {
    pub fn routes(&self) -> &[OperatorRoute] {
        &self.routes
    }

    /// Each route with the role that it takes.
    pub fn rows(&self) -> impl Iterator<Item = (Role, &OperatorRoute)> {
        self.roles.iter().copied().zip(&self.routes)
    }

    pub(super) fn with(mut self, role: Role, route: OperatorRoute) -> Self {
        self.roles.push(role);
        self.routes.push(route.by(Caller::Operator(role)));
        self
    }

    /// The routes, each behind its role.
    pub(super) fn router(self) -> Router<Arc<AdminState>> {
        let rows = self.roles.into_iter().zip(self.routes);
        rows.fold(Router::new(), |router, (role, route)| {
            let reach = middleware::from_fn_with_state(role, gate::reach);
            router.route(route.path, route.handler.route_layer(reach))
        })
    }
}
