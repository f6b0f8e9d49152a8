//! Checks an export of the audit log, in bounded memory, and names what is wrong first.
//!
//! What is found, and how exactly:
//!
//! - A changed, missing, added or moved line is **named**: an entry's line must hold the next index,
//!   the next number of its writer and the hash of its own bytes.
//! - An entry that was edited together with its hash is narrowed down to the entries since the last
//!   running root that fits. Whoever recomputes those roots too is **found, not located**: the root
//!   is not the one that was signed.
//! - Whoever also signs anew with a key of their own passes, unless the key is pinned or an older
//!   checkpoint is at hand: see [`Trusted`]. Without either, a file vouches only for itself.
//! - A log that was cut back to an older, truly signed checkpoint is found only by a checkpoint kept
//!   elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead};

use crate::domain::position::{Position, WriterId};
use crate::ledger::checkpoint::{BadNote, Checkpoint, CheckpointKey, UnverifiedNote};
use crate::ledger::export::{
    Exported, Header, Line, Lines, ROOT_EVERY, read_end, read_running_root,
};
use crate::ledger::tree::{Frontier, TreeHead, leaf_hash};

/// What is known from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// The log's keys; when there are any, no other key is taken.
    pub keys: Vec<CheckpointKey>,
    /// A checkpoint that was kept off the broker's host.
    pub checkpoint: Option<Checkpoint>,
}

/// An export without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub checkpoint: Checkpoint,
    /// The key that signed it.
    pub key: CheckpointKey,
    /// How many process starts wrote the entries.
    pub writers: usize,
    pub vouched: Vouched,
}

/// How far something from outside the file vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// Not at all: the key that signed the file stands in the file.
    ByItself,
    /// For the first `size` entries, by a checkpoint kept elsewhere.
    UpTo { size: u64 },
    /// For all of it.
    Whole,
}

/// Why an export was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the export cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {place}: {what}")]
pub struct Fault {
    /// Counted from 1.
    pub line: u64,
    pub place: Place,
    pub what: What,
}

/// Where in the log a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Header,
    /// The entry with this index, counted from 0.
    Entry(u64),
    /// One of the entries from `first` to `last`.
    Among {
        first: u64,
        last: u64,
    },
    End,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    #[error("not the header of an export")]
    Header,
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] BadNote),
    #[error("the key that signed the checkpoint is not one of the log's")]
    ForeignKey,
    #[error("the log ended at {have} entries and had {had} when the known checkpoint was signed")]
    RolledBack { have: u64, had: u64 },
    #[error("the line is not as it was written")]
    Line,
    #[error("the export ends before the {size} entries that were signed")]
    Truncated { size: u64 },
    #[error("the line says entry {found}")]
    Index { found: u64 },
    #[error("the bytes are not those that the hash was taken over")]
    Hash,
    #[error("writer {} continues with its number {found}, not {expected}", .writer.0)]
    Sequence {
        writer: WriterId,
        expected: u64,
        found: u64,
    },
    #[error("more writers than any log has")]
    TooManyWriters,
    #[error("the running root does not fit the entries")]
    RunningRoot,
    #[error("the entries are not those of the checkpoint that was kept elsewhere")]
    OtherHistory,
    #[error("the entries are not those that were signed")]
    SignedRoot,
    #[error("there is more after the end")]
    Overlong,
}

/// Checks a whole export.
pub fn verify<R: BufRead>(reader: R, trusted: &Trusted) -> Result<Verified, Unverified> {
    verify_each(reader, trusted, |_| {})
}

/// Checks a whole export and shows each entry as it goes by. What was shown is the log's only if the
/// answer is [`Verified`].
pub fn verify_each<R: BufRead>(
    reader: R,
    trusted: &Trusted,
    mut each: impl FnMut(&Exported<'_>),
) -> Result<Verified, Unverified> {
    let mut lines = Lines::new(reader);
    let (checkpoint, key) = header(&mut lines, trusted)?;
    let mut log = Log::new(&checkpoint, trusted.checkpoint.as_ref());
    let mut leaf = Vec::new();
    log.anchor()
        .map_err(|what| fault(&lines, Place::Header, what))?;
    while log.frontier.size() < checkpoint.head.size {
        let place = Place::Entry(log.frontier.size());
        let line = lines.next()?;
        let entry = log
            .entry(line, &mut leaf)
            .map_err(|what| fault(&lines, place, what))?;
        each(&entry);
        let since = log.vouched;
        log.anchor()
            .map_err(|what| fault(&lines, log.among(since), what))?;
        if log.frontier.size().is_multiple_of(ROOT_EVERY) {
            let line = lines.next()?;
            let since = log.fitting;
            log.running_root(line)
                .map_err(|what| fault(&lines, log.among(since), what))?;
        }
    }
    let since = log.vouched;
    log.signed_root()
        .map_err(|what| fault(&lines, log.among(since), what))?;
    let line = lines.next()?;
    log.end(line)
        .map_err(|what| fault(&lines, Place::End, what))?;
    if lines.next()? != Line::None {
        return Err(fault(&lines, Place::End, What::Overlong).into());
    }
    Ok(Verified {
        vouched: vouched(trusted, &checkpoint),
        writers: log.writers.len(),
        checkpoint,
        key,
    })
}

/// The header's checkpoint, if a key that may sign it did.
fn header<R: BufRead>(
    lines: &mut Lines<R>,
    trusted: &Trusted,
) -> Result<(Checkpoint, CheckpointKey), Unverified> {
    let header = match lines.next()? {
        Line::Whole(line) => Header::read(line),
        Line::Broken | Line::None => None,
    };
    header
        .ok_or(What::Header)
        .and_then(|header| signed(&header, trusted))
        .map_err(|what| fault(lines, Place::Header, what).into())
}

fn signed(header: &Header, trusted: &Trusted) -> Result<(Checkpoint, CheckpointKey), What> {
    let key: CheckpointKey = header.key.parse()?;
    if !trusted.keys.is_empty() && !trusted.keys.contains(&key) {
        return Err(What::ForeignKey);
    }
    let note = UnverifiedNote::parse(&header.checkpoint)?;
    // A signature that cannot be checked here could be changed unseen.
    if note.signatures() != 1 {
        return Err(What::Header);
    }
    let checkpoint = note.verify(std::slice::from_ref(&key))?;
    if let Some(known) = &trusted.checkpoint {
        if known.origin != checkpoint.origin {
            return Err(What::OtherHistory);
        }
        if known.head.size > checkpoint.head.size {
            return Err(What::RolledBack {
                have: checkpoint.head.size,
                had: known.head.size,
            });
        }
    }
    Ok((checkpoint, key))
}

fn vouched(trusted: &Trusted, checkpoint: &Checkpoint) -> Vouched {
    let known = trusted.checkpoint.as_ref().map(|known| known.head.size);
    match known {
        _ if !trusted.keys.is_empty() => Vouched::Whole,
        Some(size) if size == checkpoint.head.size => Vouched::Whole,
        Some(size) => Vouched::UpTo { size },
        None => Vouched::ByItself,
    }
}

const fn fault<R: BufRead>(lines: &Lines<R>, place: Place, what: What) -> Fault {
    Fault {
        line: lines.number(),
        place,
        what,
    }
}

/// The log as far as it was read.
struct Log {
    signed: TreeHead,
    known: Option<TreeHead>,
    frontier: Frontier,
    writers: HashMap<WriterId, u64>,
    /// As many entries as the last running root that fits covers.
    fitting: u64,
    /// As many entries as a checkpoint kept elsewhere covers.
    vouched: u64,
}

impl Log {
    fn new(checkpoint: &Checkpoint, known: Option<&Checkpoint>) -> Self {
        Self {
            signed: checkpoint.head,
            known: known.map(|known| known.head),
            frontier: Frontier::default(),
            writers: HashMap::new(),
            fitting: 0,
            vouched: 0,
        }
    }

    fn entry<'a>(&mut self, line: Line<'_>, leaf: &'a mut Vec<u8>) -> Result<Exported<'a>, What> {
        let truncated = What::Truncated {
            size: self.signed.size,
        };
        let line = match line {
            Line::Whole(line) if read_end(line).is_some() => return Err(truncated),
            Line::Whole(line) => line,
            Line::Broken => return Err(What::Line),
            Line::None => return Err(truncated),
        };
        let entry = Exported::read(line, leaf).ok_or(What::Line)?;
        if entry.index != self.frontier.size() {
            return Err(What::Index { found: entry.index });
        }
        if leaf_hash(entry.position, entry.leaf) != entry.hash {
            return Err(What::Hash);
        }
        self.follows(entry.position)?;
        self.frontier.append(entry.hash);
        Ok(entry)
    }

    /// Each writer numbers its entries 1, 2, 3 …: a gap is a lost entry, a repetition a planted one.
    fn follows(&mut self, position: Position) -> Result<(), What> {
        if self.writers.len() >= MAX_WRITERS {
            return Err(What::TooManyWriters);
        }
        let last = self.writers.entry(position.writer).or_insert(0);
        let expected = last.saturating_add(1);
        if position.n != expected {
            return Err(What::Sequence {
                writer: position.writer,
                expected,
                found: position.n,
            });
        }
        *last = expected;
        Ok(())
    }

    /// Compares with the checkpoint kept elsewhere, where that one ends.
    fn anchor(&mut self) -> Result<(), What> {
        match self.known {
            Some(known) if known.size == self.frontier.size() => {
                if known.root != self.frontier.root() {
                    return Err(What::OtherHistory);
                }
                self.vouched = known.size;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn running_root(&mut self, line: Line<'_>) -> Result<(), What> {
        let head = line.read(read_running_root).ok_or(What::Line)?;
        if head != self.frontier.head() {
            return Err(What::RunningRoot);
        }
        self.fitting = head.size;
        Ok(())
    }

    fn signed_root(&self) -> Result<(), What> {
        if self.frontier.head() == self.signed {
            return Ok(());
        }
        Err(What::SignedRoot)
    }

    fn end(&self, line: Line<'_>) -> Result<(), What> {
        match line.read(read_end) {
            Some(head) if head == self.signed => Ok(()),
            Some(_) | None => Err(What::Line),
        }
    }

    /// The entries after the first `since`.
    fn among(&self, since: u64) -> Place {
        let last = self.frontier.size().saturating_sub(1);
        Place::Among {
            first: since.min(last),
            last,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Among { first, last } if first == last => write!(f, "entry {first}"),
            Self::Among { first, last } => write!(f, "one of the entries {first} to {last}"),
            Self::End => f.write_str("end"),
        }
    }
}

/// A writer is one start of one process; what is remembered of each is the only thing here that
/// grows with the log.
const MAX_WRITERS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::key::Digest;
    use crate::domain::time::Timestamp;
    use crate::ledger::checkpoint::testing::Signer;
    use crate::ledger::export::ExportWriter;

    const ORIGIN: &str = "writ.example.org/audit";
    const SIZE: u64 = 230;

    type Entries = Vec<(Position, Vec<u8>)>;
    type Tamper = fn(&mut Entries);

    /// A log of three interleaved writers with leaves of many lengths.
    fn log(size: u64) -> Entries {
        let mut next = [0_u64; 3];
        let place = |i: u64| {
            let writer = usize::try_from(i * 7 % 11 % 3).unwrap();
            next[writer] += 1;
            let position = Position {
                writer: WriterId(u32::try_from(writer).unwrap() + 1),
                n: next[writer],
            };
            let leaf = (0..i * 13 % 97).map(|b| (b * i % 251) as u8).collect();
            (position, leaf)
        };
        (0..size).map(place).collect()
    }

    fn checkpoint(entries: &[(Position, Vec<u8>)]) -> Checkpoint {
        let mut frontier = Frontier::default();
        for (position, leaf) in entries {
            frontier.append(leaf_hash(*position, leaf));
        }
        Checkpoint {
            origin: ORIGIN.parse().unwrap(),
            head: frontier.head(),
            at: Timestamp::from_micros(1),
        }
    }

    /// The export of `entries` under a checkpoint over `signed`.
    fn export(signed: &Checkpoint, key: u8, entries: &[(Position, Vec<u8>)]) -> String {
        let note = signed.sign(&Signer(key)).unwrap();
        let mut out = Vec::new();
        let mut writer = ExportWriter::start(&mut out, &note, &Signer(key).key(ORIGIN)).unwrap();
        for (index, (position, leaf)) in (0..).zip(entries) {
            let entry = Exported {
                index,
                position: *position,
                hash: leaf_hash(*position, leaf),
                leaf,
            };
            writer.push(&entry).unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn honest(size: u64) -> String {
        let entries = log(size);
        export(&checkpoint(&entries), 1, &entries)
    }

    fn fault(text: impl AsRef<[u8]>, trusted: &Trusted) -> Fault {
        match verify(text.as_ref(), trusted) {
            Err(Unverified::Fault(fault)) => fault,
            other => panic!("no fault was found: {other:?}"),
        }
    }

    fn found(text: impl AsRef<[u8]>) -> Fault {
        fault(text, &Trusted::default())
    }

    /// What stands on each line of an export of [`SIZE`] entries.
    fn places() -> Vec<Place> {
        let mut places = vec![Place::Header];
        for index in 0..SIZE {
            places.push(Place::Entry(index));
            if (index + 1) % ROOT_EVERY == 0 {
                let first = index + 1 - ROOT_EVERY;
                places.push(Place::Among { first, last: index });
            }
        }
        places.push(Place::End);
        places
    }

    fn line_of(index: u64) -> usize {
        let at = |place: &Place| *place == Place::Entry(index);
        places().iter().position(at).unwrap()
    }

    fn newlines(bytes: &[u8]) -> usize {
        bytes.split(|b| *b == b'\n').count() - 1
    }

    static HONEST: LazyLock<String> = LazyLock::new(|| honest(SIZE));

    #[test]
    fn an_honest_export_of_any_size_passes_and_vouches_only_for_itself() {
        for size in [0, 1, 63, 64, 65, 128, 200, SIZE] {
            let mut seen = 0;
            let verified = verify_each(honest(size).as_bytes(), &Trusted::default(), |entry| {
                assert_eq!(entry.index, seen);
                seen += 1;
            })
            .unwrap();
            assert_eq!((seen, verified.checkpoint.head.size), (size, size));
            assert_eq!(verified.vouched, Vouched::ByItself);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_changed_byte_is_named_by_its_line(pick in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = HONEST.clone().into_bytes();
            let at = pick.index(bytes.len());
            let line = newlines(&bytes[..at]);
            bytes[at] ^= flip;
            let fault = found(&bytes);
            prop_assert_eq!(fault.place, places()[line], "{}", fault);
        }

        #[test]
        fn a_dropped_or_doubled_or_moved_line_is_named(pick in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let lines: Vec<&str> = HONEST.split_inclusive('\n').collect();
            let (from, to) = (pick.index(lines.len()), to.index(lines.len()));
            let places = places();

            let mut dropped = lines.clone();
            dropped.remove(from);
            prop_assert_eq!(found(dropped.concat()).place, places[from]);

            let mut doubled = lines.clone();
            doubled.insert(from, lines[from]);
            let expected = *places.get(from + 1).unwrap_or(&Place::End);
            prop_assert_eq!(found(doubled.concat()).place, expected);

            if from != to {
                let mut swapped = lines;
                swapped.swap(from, to);
                prop_assert_eq!(found(swapped.concat()).place, places[from.min(to)]);
            }
        }

        #[test]
        fn an_export_that_was_cut_anywhere_is_refused(pick in any::<prop::sample::Index>()) {
            let bytes = HONEST.as_bytes();
            let at = pick.index(bytes.len());
            prop_assert_eq!(found(&bytes[..at]).place, places()[newlines(&bytes[..at])]);
        }
    }

    #[test]
    fn a_log_whose_tail_was_cut_before_the_export_is_truncated() {
        let entries = log(SIZE);
        let short = export(&checkpoint(&entries), 1, &entries[..150]);
        let fault = found(short);
        assert_eq!(fault.place, Place::Entry(150));
        assert_eq!(fault.what, What::Truncated { size: SIZE });
    }

    /// The lines of an export with the entry at `index` changed and its hash taken anew.
    fn rehashed(index: u64) -> Vec<String> {
        let mut entries = log(SIZE);
        let signed = checkpoint(&entries);
        entries[usize::try_from(index).unwrap()].1 = b"edited".to_vec();
        let edited = export(&signed, 1, &entries);
        let mut lines: Vec<String> = HONEST.split_inclusive('\n').map(str::to_owned).collect();
        lines[line_of(index)] = edited
            .split_inclusive('\n')
            .nth(line_of(index))
            .unwrap()
            .to_owned();
        lines
    }

    #[test]
    fn an_edit_with_its_hash_is_narrowed_down_to_the_entries_between_two_roots() {
        let fault = found(rehashed(100).concat());
        let between = Place::Among {
            first: 64,
            last: 127,
        };
        assert_eq!((fault.place, fault.what), (between, What::RunningRoot));
    }

    #[test]
    fn an_edit_with_every_root_is_found_against_what_was_signed() {
        let mut entries = log(SIZE);
        let signed = checkpoint(&entries);
        entries[100].1 = b"edited".to_vec();
        let all = Place::Among {
            first: 0,
            last: SIZE - 1,
        };
        let fault = found(export(&signed, 1, &entries));
        assert_eq!((fault.place, fault.what), (all, What::SignedRoot));
    }

    #[test]
    fn a_number_told_twice_or_skipped_is_a_fault_even_in_a_log_that_was_signed_so() {
        let tampered: [(Tamper, u64); 4] = [
            (|log| log[40] = log[39].clone(), 40),
            (|log| log[0].0.n = 2, 0),
            (|log| log.iter_mut().skip(50).for_each(|e| e.0.n += 1), 50),
            (|log| log.iter_mut().skip(50).for_each(|e| e.0.n -= 1), 50),
        ];
        for (tamper, index) in tampered {
            let mut entries = log(SIZE);
            tamper(&mut entries);
            let fault = found(export(&checkpoint(&entries), 1, &entries));
            assert_eq!(fault.place, Place::Entry(index), "{fault}");
            assert!(matches!(fault.what, What::Sequence { .. }), "{fault}");
        }
    }

    #[test]
    fn a_log_signed_anew_passes_unless_the_key_is_pinned() {
        let mut entries = log(SIZE);
        entries[100].1 = b"edited".to_vec();
        let forged = export(&checkpoint(&entries), 2, &entries);
        let own = verify(forged.as_bytes(), &Trusted::default()).unwrap();
        assert_eq!(own.vouched, Vouched::ByItself);

        let pinned = Trusted {
            keys: vec![Signer(1).key(ORIGIN)],
            checkpoint: None,
        };
        let fault = fault(&forged, &pinned);
        assert_eq!((fault.place, fault.what), (Place::Header, What::ForeignKey));
        let honest = verify(HONEST.as_bytes(), &pinned).unwrap();
        assert_eq!(honest.vouched, Vouched::Whole);
    }

    #[test]
    fn a_checkpoint_kept_elsewhere_finds_what_was_signed_anew_or_rolled_back() {
        let entries = log(SIZE);
        let kept = |size: usize| Trusted {
            keys: Vec::new(),
            checkpoint: Some(checkpoint(&entries[..size])),
        };
        for (size, vouched) in [
            (0, Vouched::UpTo { size: 0 }),
            (150, Vouched::UpTo { size: 150 }),
            (230, Vouched::Whole),
        ] {
            let verified = verify(HONEST.as_bytes(), &kept(size)).unwrap();
            assert_eq!(verified.vouched, vouched);
        }

        let rolled_back = export(&checkpoint(&entries[..150]), 1, &entries[..150]);
        let had = fault(&rolled_back, &kept(200));
        assert_eq!(
            had.what,
            What::RolledBack {
                have: 150,
                had: 200
            }
        );

        let mut forged = entries.clone();
        forged[100].1 = b"edited".to_vec();
        let forged = export(&checkpoint(&forged), 2, &forged);
        let other = fault(&forged, &kept(150));
        let before = Place::Among {
            first: 0,
            last: 149,
        };
        assert_eq!((other.place, other.what), (before, What::OtherHistory));

        let mut elsewhere = checkpoint(&entries);
        elsewhere.origin = "other.example.org/audit".parse().unwrap();
        let trusted = Trusted {
            keys: Vec::new(),
            checkpoint: Some(elsewhere),
        };
        assert_eq!(fault(&*HONEST, &trusted).what, What::OtherHistory);
    }

    #[test]
    fn what_a_kept_checkpoint_vouches_for_is_not_suspected() {
        let mut entries = log(SIZE);
        let signed = checkpoint(&entries);
        let trusted = Trusted {
            keys: Vec::new(),
            checkpoint: Some(checkpoint(&entries[..150])),
        };
        entries[200].1 = b"edited".to_vec();
        let fault = fault(export(&signed, 1, &entries), &trusted);
        let after = Place::Among {
            first: 150,
            last: SIZE - 1,
        };
        assert_eq!((fault.place, fault.what), (after, What::SignedRoot));
    }

    #[test]
    fn a_line_without_end_is_refused_in_bounded_memory() {
        let header = HONEST.split_inclusive('\n').next().unwrap();
        let endless = header.as_bytes().chain(io::repeat(b'1').take(1 << 30));
        let refused = verify(io::BufReader::new(endless), &Trusted::default());
        let Err(Unverified::Fault(fault)) = refused else {
            panic!("no fault was found: {refused:?}");
        };
        assert_eq!((fault.place, fault.what), (Place::Entry(0), What::Line));
    }

    #[test]
    fn another_spelling_of_the_same_is_a_changed_line() {
        let lines: Vec<&str> = HONEST.split_inclusive('\n').collect();
        let upper = |line: &str| {
            let (before, rest) = line.split_once(r#""h":""#).unwrap();
            let (hash, after) = rest.split_at(64);
            format!(r#"{before}"h":"{}{after}"#, hash.to_uppercase())
        };
        let entry = lines[1];
        for bad in [
            entry.replacen(r#""i":0"#, r#""i":00"#, 1),
            entry.replacen(r#""i":0"#, r#""i": 0"#, 1),
            entry.replacen(r#""n":1"#, r#""n":+1"#, 1),
            entry.replacen('\n', "\r\n", 1),
            upper(entry),
        ] {
            assert_ne!(bad, entry);
            let fault = found(HONEST.replacen(entry, &bad, 1));
            assert_eq!((fault.place, fault.what), (Place::Entry(0), What::Line));
        }
        let end = lines[lines.len() - 1];
        let other = format!("{{\"size\":{SIZE},\"root\":\"{}\"}}\n", "0".repeat(64));
        let fault = found(HONEST.replacen(end, &other, 1));
        assert_eq!((fault.place, fault.what), (Place::End, What::Line));
    }

    #[test]
    fn a_header_that_says_more_or_less_is_refused() {
        let (header, rest) = HONEST.split_once('\n').unwrap();
        let kept = Digest::from_bytes([0; 32]);
        for bad in [
            header.replace("writ-audit-1", "writ-audit-2"),
            header.replacen('{', "{ ", 1),
            header.replacen('{', &format!(r#"{{"note":"{kept}","#), 1),
            header.replace(
                "\\n\",\"key",
                "\\n\u{2014} witness.example AAAAAAAA\\n\",\"key",
            ),
        ] {
            assert_ne!(bad, header);
            let fault = found(format!("{bad}\n{rest}"));
            assert_eq!((fault.place, fault.what), (Place::Header, What::Header));
        }
    }
}
