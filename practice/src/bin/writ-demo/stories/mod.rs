//! The stories. Each starts runs or cases of its own, so that none rests on another's end.

pub(crate) mod cancelled;
pub(crate) mod case;
pub(crate) mod changed;
pub(crate) mod revoked;

/// Where the operator keeps what the pipeline deploys with.
const SECRET_PATH: &str = "ci/prod/database-url";
