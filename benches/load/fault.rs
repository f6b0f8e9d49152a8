//! Why a run cannot go on. A path that answers anything but what it should is a fault of the run,
//! not a slower row: rates of refusals say nothing.

use std::io;

use writ_practice::WorldError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the practice world: {0}")]
    World(#[from] WorldError),
    #[error("answered {status}: {body}")]
    Answer { status: u16, body: String },
    #[error("the server: {why}\n{log}")]
    Server { why: String, log: String },
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// A fault that is told by its own text.
    pub(crate) fn of(why: impl std::fmt::Display) -> Self {
        Self::Other(why.to_string())
    }
}
