//! A GitLab instance: ID tokens that a job gets once, when it starts; the calls about pipelines, jobs
//! and environments; and its webhooks, with a secret token or signed.

mod api;
mod claims;
mod control;
mod hooks;
mod lab;
mod payloads;
mod spec;
mod state;

pub use hooks::{LabHook, LabSecret};
pub use lab::{Lab, LabProject, StartedLabJob, StartedPipeline};
pub use spec::{LabJob, LabStatus, Protection, StartPipeline};

pub(crate) use api::routes;
pub(crate) use hooks::sign;
