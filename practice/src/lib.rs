//! The practice world: what lies around a broker, played over real HTTP so that the demo, the
//! tests and the load generator meet it as they would meet the vendors. It is an OpenID Provider
//! that gives ID tokens to running jobs, GitHub's calls about runs and environments, and signed
//! webhooks; control calls move it and break it. Beside GitHub it plays GitLab, a
//! Kubernetes cluster, an issuer of agents' identities and a ticket desk.
//!
//! It shares no code with the broker, so that a misreading of a standard on one side is not
//! repeated on the other, and it is part of no release. It listens on loopback only.

mod agents;
mod claims;
pub mod client;
mod clock;
mod cluster;
mod control;
mod courier;
mod desk;
mod error;
mod faults;
mod github_api;
mod gitlab;
mod hooks;
mod job_payloads;
mod keys;
mod mint;
mod oidc;
mod payloads;
mod repo;
mod repo_payloads;
mod run;
mod server;
mod site;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use agents::Agents;
pub use cluster::{Cluster, Phase as PodPhase, Pod, PodSpec};
pub use courier::http_client;
pub use desk::{Desk, DeskCase, DeskHook, DeskSecret};
pub use error::WorldError;
pub use faults::{Fault, Faults, Mode, Requests, Target};
pub use gitlab::{
    Lab, LabHook, LabJob, LabProject, LabSecret, LabStatus, Protection, StartPipeline,
    StartedLabJob, StartedPipeline,
};
pub use hooks::{Delivery, Forgery, HookSettings, HookTarget, Hooks};
pub use keys::{Alg, KeyTurn, Keys};
pub use mint::{Mint, MintMany, SignatureForm};
pub use run::{CheckRunId, JobId, RunId};
pub use server::{Options, Running, World};
pub use site::{CreatedRepo, Site, StartedJob, StartedRun};
pub use spec::{
    BranchPolicy, Conclusion, EnvironmentSpec, NewRepo, Reviewer, ReviewerKind, Rules,
    RunnerEnvironment, StartJob, StartRun, SubjectForm, Visibility,
};
