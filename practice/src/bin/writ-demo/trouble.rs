//! Why a demonstration stops: something did not hold, or could not be tried.

use std::io;

use writ_practice::WorldError;
use writ_practice::client::KeyError;

/// The first thing that went wrong; nothing after it is played.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("{what}\n  expected: {expected}\n  got:      {got}")]
    Unmet {
        what: String,
        expected: String,
        got: String,
    },
    #[error("cannot {doing}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
    #[error("no answer to {asked}")]
    Unanswered {
        asked: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the practice world refused")]
    World(#[from] WorldError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the system gave no randomness")]
    Random,
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Trouble {
    pub(crate) fn unmet(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Unmet {
            what: what.into(),
            expected: expected.into(),
            got: got.into(),
        }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
