//! What the broker talks about: ids, identities, tasks, lineages, grants, context records and the
//! arithmetic of lifetimes. Types only, no I/O; a value that exists here is well-formed.

pub mod action;
pub mod case;
pub mod condition;
pub mod constraint;
pub mod context;
pub mod credential;
pub mod details;
pub mod freeze;
pub mod grant;
pub mod host;
pub mod identity;
pub mod ids;
pub mod key;
pub mod lineage;
pub mod name;
pub mod place;
pub mod position;
pub mod profile;
pub mod reservation;
pub mod role;
pub mod secret;
pub mod session;
pub mod standing;
pub mod task;
pub mod time;
pub mod url;
pub mod validity;
pub mod x509;
