//! A Kubernetes cluster: pods, the projected tokens of their service accounts, `TokenReview`, and the
//! call that shows a pod.

mod api;
mod control;
mod pods;

pub use pods::{Cluster, Phase, Pod, PodSpec};

pub(crate) use api::routes;
