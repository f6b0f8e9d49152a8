//! The audit log as a file: JSON lines that anybody can check without the broker.
//!
//! ```text
//! {"format":"writ-audit-1","checkpoint":"<signed note>","key":"<verifier key>"}
//! {"i":0,"w":1,"n":1,"h":"<hash, hex>","leaf":"<bytes, base64>"}      one per entry
//! {"upto":64,"root":"<hex>"}                                         after every 64 entries
//! {"size":100,"root":"<hex>"}                                        the end
//! ```
//!
//! Everything in the file is derived from something signed, and every line has one spelling, so a
//! changed byte is a fault. The writer tells what the store holds, faults included: finding them is
//! [`crate::ledger::verify`]'s.

use std::io::{self, BufRead, Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::domain::key::Digest;
use crate::domain::position::{Position, WriterId};
use crate::ledger::checkpoint::CheckpointKey;
use crate::ledger::tree::{Frontier, TreeHead};

/// An entry as it stands in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported<'a> {
    pub index: u64,
    pub position: Position,
    /// The hash that the sequencer recorded.
    pub hash: Digest,
    pub leaf: &'a [u8],
}

/// Writes an export, line by line, in the tree's order.
#[derive(Debug)]
pub struct ExportWriter<W> {
    out: W,
    frontier: Frontier,
    leaf: String,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ledger) struct Header {
    pub(in crate::ledger) format: String,
    pub(in crate::ledger) checkpoint: String,
    pub(in crate::ledger) key: String,
}

impl<W: Write> ExportWriter<W> {
    /// Starts an export of the log up to a checkpoint: its signed note, and the key that signed it.
    pub fn start(mut out: W, note: &str, key: &CheckpointKey) -> io::Result<Self> {
        let header = Header {
            format: FORMAT.to_owned(),
            checkpoint: note.to_owned(),
            key: key.to_string(),
        };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        Ok(Self {
            out,
            frontier: Frontier::default(),
            leaf: String::new(),
        })
    }

    /// Writes one entry. A leaf that is too long for a line to be read back is refused.
    pub fn push(&mut self, entry: &Exported<'_>) -> io::Result<()> {
        if entry.leaf.len() > MAX_LEAF {
            return Err(io::Error::other("the leaf is too long for an export"));
        }
        self.leaf.clear();
        STANDARD.encode_string(entry.leaf, &mut self.leaf);
        writeln!(
            self.out,
            r#"{{"i":{},"w":{},"n":{},"h":"{}","leaf":"{}"}}"#,
            entry.index, entry.position.writer.0, entry.position.n, entry.hash, self.leaf,
        )?;
        self.frontier.append(entry.hash);
        if self.frontier.size().is_multiple_of(ROOT_EVERY) {
            let TreeHead { size, root } = self.frontier.head();
            writeln!(self.out, r#"{{"upto":{size},"root":"{root}"}}"#)?;
        }
        Ok(())
    }

    /// Writes the end, and says what was written.
    pub fn finish(mut self) -> io::Result<TreeHead> {
        let head = self.frontier.head();
        let TreeHead { size, root } = head;
        writeln!(self.out, r#"{{"size":{size},"root":"{root}"}}"#)?;
        self.out.flush()?;
        Ok(head)
    }
}

impl Header {
    /// Reads the first line; `None` when it is not exactly as it would be written.
    pub(in crate::ledger) fn read(line: &[u8]) -> Option<Self> {
        let header: Self = serde_json::from_slice(line).ok()?;
        let same = serde_json::to_vec(&header).is_ok_and(|written| written == line);
        (same && header.format == FORMAT).then_some(header)
    }
}

impl<'a> Exported<'a> {
    /// Reads an entry's line, its leaf into `leaf`; `None` when it is not exactly as it would be
    /// written.
    pub(in crate::ledger) fn read(line: &[u8], leaf: &'a mut Vec<u8>) -> Option<Self> {
        let mut scan = Scan(line);
        scan.skip(br#"{"i":"#)?;
        let index = scan.number()?;
        scan.skip(br#","w":"#)?;
        let writer = WriterId(u32::try_from(scan.number()?).ok()?);
        scan.skip(br#","n":"#)?;
        let n = scan.number()?;
        scan.skip(br#","h":""#)?;
        let hash = scan.digest()?;
        scan.skip(br#"","leaf":""#)?;
        let encoded = scan.0.strip_suffix(br#""}"#)?;
        leaf.clear();
        STANDARD.decode_vec(encoded, leaf).ok()?;
        Some(Self {
            index,
            position: Position { writer, n },
            hash,
            leaf,
        })
    }
}

/// Reads the running root after every [`ROOT_EVERY`] entries.
pub(in crate::ledger) fn read_running_root(line: &[u8]) -> Option<TreeHead> {
    read_head(line, br#"{"upto":"#)
}

/// Reads the last line.
pub(in crate::ledger) fn read_end(line: &[u8]) -> Option<TreeHead> {
    read_head(line, br#"{"size":"#)
}

fn read_head(line: &[u8], opening: &[u8]) -> Option<TreeHead> {
    let mut scan = Scan(line);
    scan.skip(opening)?;
    let size = scan.number()?;
    scan.skip(br#","root":""#)?;
    let root = scan.digest()?;
    scan.skip(br#""}"#)?;
    scan.0.is_empty().then_some(TreeHead { size, root })
}

/// Lines of bounded length.
pub(in crate::ledger) struct Lines<R> {
    reader: R,
    number: u64,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Line<'a> {
    /// Without its newline.
    Whole(&'a [u8]),
    /// Without a newline, or too long.
    Broken,
    None,
}

impl<R: BufRead> Lines<R> {
    pub(in crate::ledger) const fn new(reader: R) -> Self {
        Self {
            reader,
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The number of the line that was read last, from 1.
    pub(in crate::ledger) const fn number(&self) -> u64 {
        self.number
    }

    pub(in crate::ledger) fn next(&mut self) -> io::Result<Line<'_>> {
        self.buffer.clear();
        self.number += 1;
        (&mut self.reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.buffer)?;
        Ok(match self.buffer.split_last() {
            None => Line::None,
            Some((b'\n', line)) => Line::Whole(line),
            Some(_) => Line::Broken,
        })
    }
}

impl Line<'_> {
    pub(in crate::ledger) fn read<T>(self, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        match self {
            Line::Whole(line) => read(line),
            Line::Broken | Line::None => None,
        }
    }
}

/// Reads a line of a fixed shape from its front. A JSON parser would take many spellings of it.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn skip(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        if number.starts_with(b"0") && number.len() > 1 {
            return None;
        }
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn digest(&mut self) -> Option<Digest> {
        let (text, rest) = self.0.split_at_checked(64)?;
        if text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        self.0 = rest;
        Some(Digest::from_bytes(bytes))
    }
}

const FORMAT: &str = "writ-audit-1";
/// How often a root stands between the entries: what an edit can be narrowed down to, when it was
/// made with its line's hash recomputed.
pub(in crate::ledger) const ROOT_EVERY: u64 = 64;
/// A leaf holds one change, which a request's own limits keep far below this.
const MAX_LEAF: usize = 4 << 20;
/// A line with the longest leaf, in base64, and the rest of it.
const MAX_LINE: u64 = (MAX_LEAF as u64 / 3 + 1) * 4 + 512;
