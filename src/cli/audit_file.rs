//! Checks of an exported log. Nothing here talks to a broker: whoever doubts it can check all the same.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::CliError;
use super::out::Out;
use crate::ledger::checkpoint::{BadNote, Checkpoint, CheckpointKey, UnverifiedNote};
use crate::ledger::export::Exported;
use crate::ledger::replay::{Replay, Replayed};
use crate::ledger::verify::{self, Trusted, Unverified, Verified, Vouched};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The export, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A checkpoint of this log that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The log's verifier key, known from elsewhere; may be repeated
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Vec<CheckpointKey>,
}

pub(super) fn verify(args: &CheckArgs, out: &mut Out) -> Result<(), CliError> {
    let verified =
        verify::verify(open(&args.file)?, &trusted(args)?).map_err(|error| unsound(args, error))?;
    report(&verified, None, out)
}

/// The fold runs beside the check of the tree; its word counts only once the tree was found whole.
pub(super) fn replay(args: &CheckArgs, out: &mut Out) -> Result<(), CliError> {
    let mut fold = Ok(Replay::default());
    let step = |entry: &Exported<'_>| {
        if let Ok(replay) = &mut fold
            && let Err(illegal) = replay.step(entry.index, entry.leaf)
        {
            fold = Err(illegal);
        }
    };
    let verified = verify::verify_each(open(&args.file)?, &trusted(args)?, step)
        .map_err(|error| unsound(args, error))?;
    let replay = fold.map_err(|illegal| {
        CliError::Unsound(format!(
            "{} is whole, but could not have been allowed: {illegal}",
            args.file.display()
        ))
    })?;
    report(&verified, Some(replay.finish()), out)
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
    }
    let opened = File::open(file).map_err(|source| unreadable(file, source))?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, opened)))
}

fn trusted(args: &CheckArgs) -> Result<Trusted, CliError> {
    let checkpoint = args.checkpoint.as_deref().map(kept).transpose()?;
    Ok(Trusted {
        keys: args.key.clone(),
        checkpoint,
    })
}

fn kept(file: &Path) -> Result<Checkpoint, CliError> {
    let text = fs::read_to_string(file).map_err(|source| unreadable(file, source))?;
    let read = UnverifiedNote::parse(&text).and_then(|note| note.trusted_as_kept());
    read.map_err(|error| CliError::Usage(format!("{} is no checkpoint: {error}", file.display())))
}

fn report(found: &Verified, replayed: Option<Replayed>, out: &mut Out) -> Result<(), CliError> {
    if out.is_json() {
        return out.line(&document(found, replayed).to_string());
    }
    out.lines(&sentences(found, replayed))
}

fn sentences(found: &Verified, replayed: Option<Replayed>) -> Vec<String> {
    let head = &found.checkpoint.head;
    let writers = match found.writers {
        1 => "1 writer".to_owned(),
        n => format!("{n} writers"),
    };
    let mut lines = vec![
        format!("sound: {} entries by {writers}", head.size),
        format!("root   {}", head.root),
        format!("signed {} by {}", found.checkpoint.at, found.key),
    ];
    lines.push(match found.vouched {
        Vouched::ByItself => {
            "caution: nothing from outside vouches for it; give --checkpoint or --key".to_owned()
        }
        Vouched::UpTo { size } => {
            format!("your checkpoint vouches for the first {size} entries")
        }
        Vouched::Whole => "what you gave vouches for all of it".to_owned(),
    });
    if let Some(Replayed {
        entries,
        credentials,
    }) = replayed
    {
        lines.push(format!(
            "replayed {entries} entries: each of the {credentials} credentials was allowed"
        ));
    }
    lines
}

fn document(found: &Verified, replayed: Option<Replayed>) -> Value {
    let (vouched, up_to) = match found.vouched {
        Vouched::ByItself => ("by_itself", 0),
        Vouched::UpTo { size } => ("up_to", size),
        Vouched::Whole => ("whole", found.checkpoint.head.size),
    };
    json!({
        "sound": true,
        "size": found.checkpoint.head.size,
        "root": found.checkpoint.head.root.to_string(),
        "signed_at": found.checkpoint.at.to_string(),
        "key": found.key.to_string(),
        "writers": found.writers,
        "vouched": vouched,
        "vouched_size": up_to,
        "replayed_credentials": replayed.map(|r| r.credentials),
    })
}

fn unsound(args: &CheckArgs, error: Unverified) -> CliError {
    match error {
        Unverified::Fault(fault) => CliError::Unsound(format!("{}: {fault}", args.file.display())),
        Unverified::Unreadable(source) => unreadable(&args.file, source),
    }
}

fn unreadable(file: &Path, source: io::Error) -> CliError {
    CliError::Io {
        what: format!("{} cannot be read", file.display()),
        source,
    }
}

fn key(text: &str) -> Result<CheckpointKey, BadNote> {
    text.parse()
}

const BUFFER: usize = 1024 * 1024;
