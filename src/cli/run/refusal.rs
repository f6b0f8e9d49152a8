//! What a refused renewal does to the command. Whatever it is, the credential is not renewed any more.

use std::str::FromStr;
use std::time::Duration;

use rustix::process::Signal;

/// What was asked for with `--on-refusal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnRefusal {
    /// Say it, and let the command find out.
    Ignore,
    /// SIGTERM at once.
    Terminate,
    /// SIGINT, and SIGTERM if it still runs so long after.
    Interrupt(Duration),
}

/// One step against the command, with what waits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) signal: Signal,
    /// The signal to send if the command still runs after this time.
    pub(super) then: Option<(Duration, Signal)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one of: ignore, term, int:DURATION as in int:120s")]
pub(super) struct BadAction;

impl OnRefusal {
    pub(super) const fn step(self) -> Option<Step> {
        match self {
            Self::Ignore => None,
            Self::Terminate => Some(Step {
                signal: Signal::TERM,
                then: None,
            }),
            Self::Interrupt(patience) => Some(Step {
                signal: Signal::INT,
                then: Some((patience, Signal::TERM)),
            }),
        }
    }
}

impl FromStr for OnRefusal {
    type Err = BadAction;

    fn from_str(text: &str) -> Result<Self, BadAction> {
        match text.split_once(':') {
            None if text == "ignore" => Ok(Self::Ignore),
            None if text == "term" => Ok(Self::Terminate),
            Some(("int", patience)) => humantime::parse_duration(patience)
                .map(Self::Interrupt)
                .map_err(|_| BadAction),
            None | Some(_) => Err(BadAction),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_command_has_its_time_before_it_is_terminated() {
        let action: OnRefusal = "int:120s".parse().unwrap();
        let step = action.step().unwrap();
        assert_eq!(step.signal, Signal::INT);
        assert_eq!(step.then, Some((Duration::from_mins(2), Signal::TERM)));
    }

    #[test]
    fn ignoring_sends_nothing_and_terminating_waits_for_nothing() {
        assert_eq!("ignore".parse::<OnRefusal>().unwrap().step(), None);
        let term = "term".parse::<OnRefusal>().unwrap().step().unwrap();
        assert_eq!((term.signal, term.then), (Signal::TERM, None));
    }

    #[test]
    fn an_action_that_is_none_is_refused_before_anything_starts() {
        for bad in ["", "kill", "term:5s", "int", "int:", "int:soon", "ignore:"] {
            assert_eq!(bad.parse::<OnRefusal>(), Err(BadAction), "{bad}");
        }
    }
}
