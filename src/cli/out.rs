//! Standard output. A reader that goes away (`| head`) ends the command quietly; what is for people
//! and not for pipes goes to standard error.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::de::DeserializeOwned;

use super::CliError;
use super::client::Answer;
use super::table::Table;

/// For eyes or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// Where a command's result goes.
pub(super) struct Out {
    sink: Box<dyn Write>,
    format: Format,
}

impl Out {
    pub(super) fn new(sink: impl Write + 'static, format: Format) -> Self {
        Self {
            sink: Box::new(sink),
            format,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints an answer: as it came, or as `show` makes it readable.
    pub(super) fn answer<T: DeserializeOwned>(
        &mut self,
        answer: &Answer,
        show: impl FnOnce(T) -> Vec<String>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => {
                self.bytes(&answer.body)?;
                self.bytes(b"\n")
            }
            Format::Table => self.lines(&show(answer.read()?)),
        }
    }

    pub(super) fn lines(&mut self, lines: &[String]) -> Result<(), CliError> {
        let mut text = lines.join("\n");
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), CliError> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.sink.write_all(bytes);
        written.and_then(|()| self.sink.flush()).map_err(unwritten)
    }
}

/// A table's lines, or the sentence that says that there is nothing.
pub(super) fn rows_or<const N: usize>(table: &Table<N>, nothing: &str) -> Vec<String> {
    let lines = table.lines();
    if lines.is_empty() {
        return vec![nothing.to_owned()];
    }
    lines
}

/// Says something to whoever sits at the terminal.
pub(super) fn complain(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

/// What a failed write means.
pub(super) fn unwritten(source: io::Error) -> CliError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        return CliError::NobodyReads;
    }
    CliError::Io {
        what: "the output cannot be written".to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_fault_and_a_full_disk_is() {
        let mut out = Out::new(Closed(io::ErrorKind::BrokenPipe), Format::Table);
        assert!(matches!(out.line("x"), Err(CliError::NobodyReads)));
        let mut out = Out::new(Closed(io::ErrorKind::StorageFull), Format::Table);
        assert!(matches!(out.line("x"), Err(CliError::Io { .. })));
    }
}
