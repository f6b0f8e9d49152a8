//! Words: from the text to comparisons that nobody has looked at yet.

use std::str::FromStr;

use super::clause::Test;
use super::{BadCondition, MOST_BYTES, RawCondition};

/// A comparison as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawClause {
    pub(super) field: String,
    pub(super) test: Test,
    pub(super) values: Vec<String>,
}

impl FromStr for RawCondition {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        if text.len() > MOST_BYTES {
            return Err(BadCondition::TooLong);
        }
        let mut rest = Rest(text);
        let mut clauses = vec![rest.clause()?];
        while !rest.skip().is_empty() {
            let word = rest.word();
            if !word.eq_ignore_ascii_case("and") {
                return Err(rest.wrong());
            }
            clauses.push(rest.clause()?);
        }
        Ok(Self(clauses))
    }
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn clause(&mut self) -> Result<RawClause, BadCondition> {
        self.skip();
        let field = self.word().to_owned();
        if field.is_empty() {
            return Err(self.wrong());
        }
        let test = self.test()?;
        let values = if test == Test::In {
            self.list()?
        } else {
            vec![self.value()?]
        };
        Ok(RawClause {
            field,
            test,
            values,
        })
    }

    fn test(&mut self) -> Result<Test, BadCondition> {
        self.skip();
        for (sign, test) in [
            ("!=", Test::IsNot),
            ("<=", Test::LessOrSame),
            (">=", Test::MoreOrSame),
            ("=", Test::Is),
            ("<", Test::Less),
            (">", Test::More),
        ] {
            if self.takes(sign) {
                return Ok(test);
            }
        }
        if self.word().eq_ignore_ascii_case("in") {
            return Ok(Test::In);
        }
        Err(self.wrong())
    }

    fn list(&mut self) -> Result<Vec<String>, BadCondition> {
        self.skip();
        if !self.takes("(") {
            return Err(self.wrong());
        }
        let mut values = vec![self.value()?];
        loop {
            self.skip();
            if self.takes(")") {
                return Ok(values);
            }
            if !self.takes(",") {
                return Err(self.wrong());
            }
            values.push(self.value()?);
        }
    }

    /// A word, or anything between quotes.
    fn value(&mut self) -> Result<String, BadCondition> {
        self.skip();
        for quote in ['\'', '"'] {
            if let Some(quoted) = self.0.strip_prefix(quote) {
                let (value, rest) = quoted.split_once(quote).ok_or_else(|| self.wrong())?;
                self.0 = rest;
                return Ok(value.to_owned());
            }
        }
        let plain = |c: char| !c.is_whitespace() && !"(),;=<>!'\"".contains(c);
        let value = self.while_is(plain);
        if value.is_empty() {
            return Err(self.wrong());
        }
        Ok(value.to_owned())
    }

    fn word(&mut self) -> &'a str {
        self.while_is(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    }

    fn while_is(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !fits(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        self.0
    }

    fn wrong(&self) -> BadCondition {
        BadCondition::Syntax(self.0.chars().take(40).collect())
    }
}
