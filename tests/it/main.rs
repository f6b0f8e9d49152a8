//! What the server does, seen from outside its modules: one binary, a folder per capability.

#![expect(
    unreachable_pub,
    reason = "the harness and its tests are one crate that nobody imports"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness that cannot go on fails its test by panicking"
)]
#![expect(
    clippy::too_many_lines,
    clippy::duration_suboptimal_units,
    clippy::similar_names,
    clippy::inconsistent_struct_constructor,
    clippy::wildcard_enum_match_arm,
    clippy::assertions_on_result_states,
    reason = "a story is told in one piece, and in the units of what it is about"
)]

mod api;
mod audit;
mod binary;
mod cases;
mod check;
mod ci;
mod context;
mod doctor;
mod dpop;
mod evidence;
mod exchange;
mod gitlab;
mod kubernetes;
mod login;
mod oidc;
mod operators;
mod peers;
mod permits;
mod pki;
mod policies;
mod preview;
mod proxied;
mod renewal;
mod revocation;
mod rules;
mod run;
mod scenarios;
mod secrets;
mod store;
mod story;
mod support;
mod svid;
mod tls;
mod traces;
mod trust;
mod x509;
