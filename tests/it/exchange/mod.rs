//! The exchange: which profile, which audience and scope, which lineage, how often.

mod issuers;
mod limits;
mod parallel;
mod profile;
mod replay;
mod target;
