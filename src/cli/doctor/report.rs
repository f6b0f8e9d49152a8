//! What an examination found: each line says what was looked at, how it stands, and what mends it.

use serde_json::{Value, json};

use super::super::CliError;
use super::super::out::Out;
use super::super::text::plain;

/// The findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(in crate::cli) struct Report(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    check: String,
    state: State,
    told: String,
    mend: Option<String>,
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sound,
    /// It works, and had better be otherwise.
    Unwise,
    /// It does not work, for a reason on this machine.
    Here,
    /// It does not work, for a reason elsewhere.
    There,
}

impl Report {
    pub(in crate::cli) fn sound(&mut self, check: &str, told: impl Into<String>) {
        self.add(check, State::Sound, told.into(), None);
    }

    pub(in crate::cli) fn unwise(&mut self, check: &str, told: impl Into<String>, mend: &str) {
        self.add(check, State::Unwise, told.into(), Some(mend));
    }

    /// A fault of this machine, or of what is written on it.
    pub(in crate::cli) fn here(&mut self, check: &str, told: impl Into<String>, mend: &str) {
        self.add(check, State::Here, told.into(), Some(mend));
    }

    /// A fault of the other side, or of the way there.
    pub(in crate::cli) fn there(&mut self, check: &str, told: impl Into<String>, mend: &str) {
        self.add(check, State::There, told.into(), Some(mend));
    }

    fn add(&mut self, check: &str, state: State, told: String, mend: Option<&str>) {
        self.0.push(Finding {
            check: check.to_owned(),
            state,
            told,
            mend: mend.map(str::to_owned),
        });
    }

    /// Prints it. 1 where something on this machine is broken, 2 where only the other side is.
    pub(in crate::cli) fn end(self, out: &mut Out) -> Result<(), CliError> {
        if out.is_json() {
            out.line(&self.document().to_string())?;
        } else {
            out.lines(&self.lines())?;
        }
        let broken = |wanted: State| self.0.iter().filter(|f| f.state == wanted).count();
        let (here, there) = (broken(State::Here), broken(State::There));
        let told = format!("{} of {} checks failed", here + there, self.0.len());
        match (here, there) {
            (0, 0) => Ok(()),
            (0, _) => Err(CliError::Unanswered(told)),
            (_, _) => Err(CliError::Unsound(told)),
        }
    }

    fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|f| f.check.chars().count()).max();
        let width = width.unwrap_or_default();
        let mut lines = Vec::new();
        for finding in &self.0 {
            let (word, check) = (finding.state.word(), plain(&finding.check));
            let told = plain(&finding.told);
            lines.push(format!("{word:<5} {check:<width$}  {told}"));
            if let Some(mend) = &finding.mend {
                lines.push(format!("      {:<width$}  mend: {}", "", plain(mend)));
            }
        }
        lines
    }

    fn document(&self) -> Value {
        let checks = self.0.iter().map(|finding| {
            json!({
                "check": finding.check,
                "state": finding.state.word().to_lowercase(),
                "told": finding.told,
                "mend": finding.mend,
            })
        });
        let sound = |f: &Finding| matches!(f.state, State::Sound | State::Unwise);
        json!({
            "sound": self.0.iter().all(sound),
            "checks": checks.collect::<Vec<_>>(),
        })
    }
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Sound => "ok",
            Self::Unwise => "warn",
            Self::Here | Self::There => "FAIL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::Format;

    fn ended(report: Report) -> Result<(), CliError> {
        report.end(&mut Out::new(std::io::sink(), Format::Table))
    }

    #[test]
    fn what_is_broken_here_is_told_from_what_is_broken_there() {
        let mut report = Report::default();
        report.sound("a", "is well");
        report.unwise("b", "is odd", "change it");
        ended(report).unwrap();
        let mut report = Report::default();
        report.there("c", "is away", "wait");
        assert!(matches!(ended(report), Err(CliError::Unanswered(_))));
        let mut report = Report::default();
        report.there("c", "is away", "wait");
        report.here("d", "is wrong", "mend it");
        assert!(matches!(ended(report), Err(CliError::Unsound(_))));
    }

    #[test]
    fn every_line_that_is_not_well_has_its_mend_and_nothing_moves_the_terminal() {
        let mut report = Report::default();
        report.here("a", "x\u{1b}[2J", "do this");
        let lines = report.lines();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("mend: do this"));
        assert!(!lines.concat().contains('\u{1b}'));
        assert_eq!(report.document()["sound"], false);
        assert_eq!(report.document()["checks"][0]["state"], "fail");
    }
}
