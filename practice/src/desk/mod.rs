//! A ticket desk: cases with an assignee and an account, read by a REST API with tags, and told of by
//! signed webhooks.

mod api;
mod cases;
mod control;
mod hooks;

pub use cases::{Desk, DeskCase};
pub use hooks::{DeskHook, DeskSecret};

pub(crate) use api::routes;
