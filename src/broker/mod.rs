//! The verbs: issue, renew, check, exchange, revoke, observe, administer.

pub mod settings;
