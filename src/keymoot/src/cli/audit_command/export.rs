//! `keymoot audit export`: the logs of all nodes, with what they are verified by.
//!
//! A folder for each log, `NODE-LOG`: `events.jsonl` with the events as they are on disk, a line each; `first` with the
//! number of the first of them and the hashes of what was deleted before; `checkpoints` with the signed notes. Beside
//! them `keys.txt` and `cosigners.txt`, the public keys of all logs.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use keymoot_cluster::{HeldLog, KnownLog};

use super::args::ExportArgs;
use super::logs::{logs_of, unknown, without_quorum};
use super::verify::events;
use crate::cli::Failure;
use crate::cli::operator::{Operator, say};

/// Runs the command.
pub(super) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let logs = logs_of(&operator).await?;
    let failed = |error| Failure::because(format!("cannot write to {}: {error}", args.out.display()));
    // What is there stays as it is.
    fs::DirBuilder::new().mode(0o700).create(&args.out).map_err(|error| {
        failed(error).hint("name a directory that does not exist yet, in one that does, with --out DIR")
    })?;
    let keys = |key: fn(&KnownLog) -> &str| {
        logs.logs.iter().map(|log| format!("{}\n", key(log))).collect::<String>()
    };
    write(&args.out.join("keys.txt"), &keys(|log| &log.key)).map_err(failed)?;
    write(&args.out.join("cosigners.txt"), &keys(|log| &log.cosigner_key)).map_err(failed)?;
    let mut missing = Vec::new();
    for log in &logs.logs {
        let folder = args.out.join(format!("{}-{}", log.name.node, log.name.log));
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let notes: Vec<&str> = log.checkpoints.iter().map(|checkpoint| checkpoint.note.as_str()).collect();
        write(&folder.join("checkpoints"), &notes.join("\n")).map_err(failed)?;
        match (&log.held, &log.not_held) {
            (Some(held), _) => {
                match copy(&operator, held, &folder).await {
                    Ok(count) => say(&format!("audit log {}: {count} events\n", log.name)),
                    // A damaged log that ended hides none of the others.
                    Err(failure) if held.ended => missing.push(format!(
                        "audit log {} with {} events is not whole in the copy: {}",
                        log.name,
                        held.size,
                        failure.message()
                    )),
                    Err(failure) => return Err(failure),
                }
            }
            (None, why) => missing.push(format!(
                "audit log {} with {} events is not in the copy: {}",
                log.name,
                log.known_size(),
                why.as_deref().unwrap_or("nobody has it")
            )),
        }
    }
    for warning in missing.iter().cloned().chain(unknown(&logs)).chain(without_quorum(&logs)) {
        eprintln!("keymoot: warning: {warning}");
    }
    Ok(())
}

/// Copies the events of a log. Gives their number.
async fn copy(operator: &Operator, held: &HeldLog, folder: &Path) -> Result<u64, Failure> {
    let failed = |error| Failure::because(format!("cannot write to {}: {error}", folder.display()));
    let mut file = BufWriter::new(create(&folder.join("events.jsonl")).map_err(failed)?);
    let (mut next, mut first) = (0, None);
    while next < held.size {
        let page = events(operator, held, next).await?;
        if page.events.is_empty() || page.from < next {
            break;
        }
        let (from, frontier) = (page.from, page.frontier);
        if first.is_none() {
            let hashes: String = frontier.iter().map(|hash| format!("{hash}\n")).collect();
            write(&folder.join("first"), &format!("{from}\n{hashes}")).map_err(failed)?;
            first = Some(from);
        }
        next = from;
        for event in page.events {
            file.write_all(event.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
            next += 1;
        }
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok(next - first.unwrap_or(next))
}

fn create(path: &Path) -> std::io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
