//! What the viewer sees: each request and answer as it went over the wire, tokens shortened and
//! secrets hidden, and at the end one table.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::call::{Answer, Call};
use crate::operator::Done;

/// Writes to standard output, coloured where a terminal reads it.
pub(crate) struct Teller {
    coloured: bool,
}

/// One line of the table: which change did what, how soon.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) change: String,
    pub(crate) effect: String,
    pub(crate) after: String,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
}

impl Teller {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            coloured: wanted && io::stdout().is_terminal(),
        }
    }

    pub(crate) fn title(&self, text: &str) -> io::Result<()> {
        let line = "─".repeat(text.chars().count());
        line_out(&format!(
            "\n{}\n{}",
            self.paint(Colour::Bold, text),
            self.paint(Colour::Dim, &line)
        ))
    }

    pub(crate) fn say(&self, text: &str) -> io::Result<()> {
        line_out(&format!("{} {text}", self.paint(Colour::Bold, "•")))
    }

    pub(crate) fn exchange(&self, call: &Call, answer: &Answer) -> io::Result<()> {
        let prompt = self.paint(Colour::Cyan, ">");
        line_out(&format!(
            "  {prompt} {} {}",
            call.method,
            shortened(&call.url)
        ))?;
        let headers = call.headers.iter();
        let headers = headers.map(|(name, value)| format!("{name}: {}", shortened(value)));
        lines_out(&wrapped(headers))?;
        let fields = call.form.iter().map(|(name, value)| member(name, value));
        lines_out(&wrapped(fields))?;
        self.answer(answer)
    }

    /// A command with all that it said.
    pub(crate) fn command(&self, done: &Done) -> io::Result<()> {
        self.command_head(done, usize::MAX)
    }

    /// A command with the first lines of what it said.
    pub(crate) fn command_head(&self, done: &Done, count: usize) -> io::Result<()> {
        let prompt = self.paint(Colour::Cyan, "$");
        line_out(&format!("  {prompt} {}", shortened(done.command())))?;
        let told = if done.status == Some(0) {
            done.text()
        } else {
            done.ending()
        };
        let lines = told.lines().take(count).map(str::to_owned);
        lines_out(&lines.collect::<Vec<_>>())
    }

    pub(crate) fn table(&self, outcomes: &[Outcome]) -> io::Result<()> {
        let head = Outcome {
            change: "what changed".to_owned(),
            effect: "what it did".to_owned(),
            after: "after".to_owned(),
        };
        let all = || std::iter::once(&head).chain(outcomes);
        let width = |column: fn(&Outcome) -> &str| {
            all().map(|o| column(o).chars().count()).max().unwrap_or(0)
        };
        let (first, second) = (width(|o| &o.change), width(|o| &o.effect));
        self.title("How soon it bit")?;
        for (n, o) in all().enumerate() {
            let row = format!("  {:first$}  {:second$}  {}", o.change, o.effect, o.after);
            let colour = if n == 0 { Colour::Dim } else { Colour::Bold };
            line_out(&self.paint(colour, row.trim_end()))?;
        }
        Ok(())
    }

    pub(crate) fn held(&self) -> io::Result<()> {
        line_out(&format!(
            "\n{}",
            self.paint(Colour::Green, "Every step held.")
        ))
    }

    fn answer(&self, answer: &Answer) -> io::Result<()> {
        let colour = if answer.status < 400 {
            Colour::Green
        } else {
            Colour::Red
        };
        let status = self.paint(colour, &format!("< {}", answer.status));
        line_out(&format!("  {status}"))?;
        let Value::Object(members) = &answer.body else {
            return lines_out(&[shortened(&answer.body.to_string())]);
        };
        let told = members.iter().map(|(name, value)| match value {
            Value::String(text) => member(name, text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => member(name, &value.to_string()),
        });
        lines_out(&wrapped(told))
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Cyan => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn line_out(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn lines_out(lines: &[String]) -> io::Result<()> {
    lines
        .iter()
        .try_for_each(|line| line_out(format!("      {line}").trim_end()))
}

/// `name=value`. A secret is only counted; an ID token also comes as `value`, and is cut.
fn member(name: &str, value: &str) -> String {
    if name == "value" && !value.starts_with("eyJ") {
        return format!("value=•••••• ({} bytes)", value.len());
    }
    format!("{name}={}", shortened(value))
}

/// The text with every long run of token characters cut to its two ends, and the common prefix of
/// OAuth's names left out.
fn shortened(text: &str) -> String {
    let text = text.replace("urn:ietf:params:oauth:", "…:");
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "._-+=~".contains(c) {
            run.push(c);
            continue;
        }
        out.push_str(&cut(&run));
        run.clear();
        out.push(c);
    }
    out.push_str(&cut(&run));
    out
}

fn cut(run: &str) -> String {
    match (
        run.get(..HEAD),
        run.len().checked_sub(TAIL).and_then(|at| run.get(at..)),
    ) {
        (Some(head), Some(tail)) if run.len() >= LONG => format!("{head}…{tail}"),
        _ => run.to_owned(),
    }
}

/// The members on as few lines as fit.
fn wrapped(members: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for member in members {
        let width = member.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + width <= WIDTH => {
                line.push_str("  ");
                line.push_str(&member);
            }
            Some(_) | None => lines.push(member),
        }
    }
    lines
}

/// Ids stay whole, so that they can be followed through the output; keys, digests and tokens are
/// longer.
const LONG: usize = 43;
const HEAD: usize = 8;
const TAIL: usize = 4;
const WIDTH: usize = 94;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_token_nor_a_secret_is_shown_whole() {
        let token = format!("eyJhbGci.{}.{}", "a".repeat(60), "b".repeat(60));
        let shown = shortened(&format!("DPoP {token}"));
        assert!(!shown.contains(&token));
        assert_eq!(shown, "DPoP eyJhbGci…bbbb");
        assert!(!member("value", "hunter2").contains("hunter2"));
    }

    #[test]
    fn an_audience_keeps_its_issuer_and_an_id_stays_whole() {
        let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        assert_eq!(
            shortened(&format!("http://127.0.0.1:1/jkt/{jkt}")),
            "http://127.0.0.1:1/jkt/0ZcOCORZ…uA4I"
        );
        let id = "task_0192f0c1-aaaa-7bbb-8ccc-0123456789ab";
        assert_eq!(shortened(id), id);
    }

    #[test]
    fn lines_are_filled_and_none_is_too_wide() {
        let lines = wrapped((0..20).map(|n| format!("member{n}=value{n}")));
        assert!(lines.len() < 20);
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }
}
