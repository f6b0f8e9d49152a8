//! X.509-SVIDs and what their verifiers need.

pub mod pem;
