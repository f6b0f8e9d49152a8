//! Collecting what is wrong with one file, and the steps that every check shares. A check goes on
//! after a problem, so that one run tells everything.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use super::problem::{Problem, Rule};
use super::raw::Text;
use crate::domain::key::Digest;

/// The problems of one file.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    base_dir: &'a Path,
    refused: Vec<Problem>,
    unwise: Vec<Problem>,
    /// The files that were read, for [`super::Marks`].
    files: BTreeMap<Digest, (usize, Digest)>,
}

/// The range of a setting, with what holds when it is not given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) key: &'static str,
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) default: Duration,
    pub(super) rule: Rule,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(file: &'a str, text: &'a str, base_dir: &'a Path) -> Self {
        Self {
            file,
            text,
            base_dir,
            refused: Vec::new(),
            unwise: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// Records a reason to refuse the file.
    pub(super) fn refuse(&mut self, at: Range<usize>, rule: Rule, what: impl Into<String>) {
        let problem = self.problem(&at, rule, what.into());
        self.refused.push(problem);
    }

    /// Records what the file may say but had better not.
    pub(super) fn warn(&mut self, at: Range<usize>, rule: Rule, what: impl Into<String>) {
        let problem = self.problem(&at, rule, what.into());
        self.unwise.push(problem);
    }

    /// Notes what a file held that the configuration names.
    pub(super) fn held(&mut self, name: &Text, content: &[u8]) {
        let line = self.line(name.span().start);
        let name = Digest::of(&[name.get_ref().as_bytes()]);
        self.files.insert(name, (line, Digest::of(&[content])));
    }

    pub(super) fn take_files(&mut self) -> BTreeMap<Digest, (usize, Digest)> {
        std::mem::take(&mut self.files)
    }

    pub(super) const fn count(&self) -> usize {
        self.refused.len()
    }

    /// The problems and the warnings, each in the order of the file.
    pub(super) fn into_parts(mut self) -> (Vec<Problem>, Vec<Problem>) {
        for list in [&mut self.refused, &mut self.unwise] {
            list.sort_by_key(|p| (p.line, p.column));
        }
        (self.refused, self.unwise)
    }

    /// A required setting of the top level.
    pub(super) fn given<T>(&mut self, value: Option<T>, key: &str) -> Option<T> {
        if value.is_none() {
            self.refuse(0..0, Rule::Missing, format!("`{key}` is missing"));
        }
        value
    }

    /// A text as the type that it stands for. The text itself is not repeated.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        text: &Text,
        rule: Rule,
    ) -> Option<T> {
        match text.get_ref().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(text.span(), rule, error.to_string());
                None
            }
        }
    }

    /// A text as one of the values of an enumeration.
    pub(super) fn choice<T: Copy>(
        &mut self,
        text: &Text,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(name, _)| name == text.get_ref());
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let what = format!("`{key}` is none of: {}", names.join(", "));
            self.refuse(text.span(), Rule::Value, what);
        }
        found.map(|(_, value)| *value)
    }

    /// A length of time inside its range, or its default.
    pub(super) fn duration(&mut self, text: Option<&Text>, bounds: &Bounds) -> Option<Duration> {
        let Some(text) = text else {
            return Some(bounds.default);
        };
        let Ok(value) = humantime::parse_duration(text.get_ref()) else {
            let what = format!("`{}` is not a length of time such as \"90s\"", bounds.key);
            self.refuse(text.span(), Rule::Value, what);
            return None;
        };
        if (bounds.least..=bounds.most).contains(&value) {
            return Some(value);
        }
        let (least, most) = (
            humantime::format_duration(bounds.least),
            humantime::format_duration(bounds.most),
        );
        let what = format!("`{}` is not between {least} and {most}", bounds.key);
        self.refuse(text.span(), bounds.rule, what);
        None
    }

    /// A whole number inside its range, or its default.
    pub(super) fn number(
        &mut self,
        value: Option<&Spanned<u32>>,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> Option<u32> {
        let Some(value) = value else {
            return Some(default);
        };
        if range.contains(value.get_ref()) {
            return Some(*value.get_ref());
        }
        let what = format!(
            "`{key}` is not between {} and {}",
            range.start(),
            range.end()
        );
        self.refuse(value.span(), Rule::OutOfRange, what);
        None
    }

    /// A path; one that is not absolute lies below the directory of the file.
    pub(super) fn path(&self, text: &Text) -> PathBuf {
        self.base_dir.join(text.get_ref())
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.bytes().filter(|b| *b == b'\n').count() + 1
    }

    fn problem(&self, at: &Range<usize>, rule: Rule, what: String) -> Problem {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let in_line = before.get(line_start..).map_or(0, |s| s.chars().count());
        Problem {
            file: self.file.to_owned(),
            line: self.line(at.start),
            column: in_line + 1,
            rule,
            what,
            mend: rule.mend(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_at_its_line_and_column() {
        let mut findings = Findings::new("writ.toml", "a = 1\nü = 2\n", Path::new("."));
        findings.refuse(9..10, Rule::Syntax, "x");
        let (refused, _) = findings.into_parts();
        let at = refused.iter().map(|p| (p.line, p.column)).next();
        assert_eq!(at, Some((2, 3)));
    }
}
