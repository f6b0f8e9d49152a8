//! `writ audit`: the log as a file, and checks of it that need no broker and trust none.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::CliError;
use super::audit_file::{self, CheckArgs};
use super::client::{Admin, Call};
use super::out::{Out, complain};
use crate::surface::http::admin::audit::CheckpointView;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Write the whole log out, up to its newest checkpoint
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
    /// Print the newest checkpoint: keep it away from the broker's host
    #[command(after_help = "Example:\n  writ audit checkpoint > checkpoint-2026-03-01.txt")]
    Checkpoint,
    /// Check an export: every edit, removal and reordering is found
    #[command(after_help = VERIFY)]
    Verify(CheckArgs),
    /// Check an export, and derive again that each credential in it was allowed
    #[command(after_help = "Example:\n  writ audit replay log.jsonl")]
    Replay(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Write here instead of standard output; the name appears only once the export is whole
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(
    command: AuditCommand,
    admin: &Admin,
    out: &mut Out,
) -> Result<(), CliError> {
    match command {
        AuditCommand::Export(ExportArgs { file: Some(file) }) => to_file(&file, admin).await,
        AuditCommand::Export(ExportArgs { file: None }) => {
            let call = Call::get("/api/v1/audit/export");
            admin.stream(call, |bytes| out.bytes(bytes)).await
        }
        AuditCommand::Checkpoint => {
            let answer = admin.ask(Call::get("/api/v1/audit/checkpoint")).await?;
            if out.is_json() {
                return out.answer(&answer, |_: CheckpointView| Vec::new());
            }
            let view: CheckpointView = answer.read()?;
            out.bytes(view.note.as_bytes())
        }
        AuditCommand::Verify(args) => audit_file::verify(&args, out),
        AuditCommand::Replay(args) => audit_file::replay(&args, out),
    }
}

/// Exports beside the file and renames: half an export never has its name.
async fn to_file(file: &Path, admin: &Admin) -> Result<(), CliError> {
    let part = PathBuf::from(format!("{}.part", file.display()));
    let failed = |source| CliError::Io {
        what: format!("{} cannot be written", file.display()),
        source,
    };
    let mut sink = BufWriter::new(File::create(&part).map_err(failed)?);
    let call = Call::get("/api/v1/audit/export");
    let streamed = admin
        .stream(call, |bytes| sink.write_all(bytes).map_err(failed))
        .await;
    if let Err(error) = streamed {
        // The export's own failure is the one to tell.
        fs::remove_file(&part).ok();
        return Err(error);
    }
    let whole = sink
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    whole.sync_all().map_err(failed)?;
    fs::rename(&part, file).map_err(failed)?;
    complain(&format!("exported to {}", file.display())).ok();
    Ok(())
}

const EXPORT: &str = "\
Examples:
  writ audit export --file log.jsonl
  writ audit export | zstd > log.jsonl.zst";

const VERIFY: &str = "\
Examples:
  writ audit verify log.jsonl
  zstd -dc log.jsonl.zst | writ audit verify - --checkpoint checkpoint-2026-03-01.txt

An export is signed by a key that stands in it. Only a checkpoint that was kept elsewhere, or the \
log's key from elsewhere, shows that the whole log was not written anew.";
