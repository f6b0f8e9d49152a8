//! `writ run`, the real binary, between the real broker and a command: what the command gets, what
//! becomes of it, and what stays behind.

mod child;
mod cloud;
mod denied;
mod lineage;
mod refusal;
mod secrets;
mod stage;
mod svid;
mod tls;
mod token;
