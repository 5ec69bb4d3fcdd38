//! `keymoot cluster salvage`: seals what a stopped node's data directory holds into a file, and lists what
//! of it the cluster lacks, before the directory is emptied.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::args::{NodeConfigArg, OutputFormat};
use crate::cli::backup::output::Output;
use crate::cli::operator::{Operator, block_on, say};
use keymoot_cluster::backup::BackupFile;
use keymoot_cluster::salvage::{Comparison, Difference, How, Salvage, SalvageError, Sealed, compare};
use keymoot_command::Failure;
use keymoot_model::NodeId;

/// `keymoot cluster salvage`.
#[derive(Clone, Debug, Args)]
pub struct SalvageArgs {
    /// The data directory of a node that does not run.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The file to seal it into, mode 0600: a backup, in which keys stay wrapped under the master keys.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The configuration of one of the nodes, also of this one: a running member is asked with it what the
    /// cluster holds.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// Compare with what the member holds, without asking a quorum whether that is all.
    #[arg(long)]
    pub local: bool,
    /// Compare with a backup, or with the data directory of another node that does not run, and ask no member.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["local", "alone"])]
    pub against: Option<PathBuf>,
    /// Seal it, and compare it with nothing.
    #[arg(long, conflicts_with = "local")]
    pub alone: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// How to print what differs.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the directory cannot be read, the file not be written, or no member answers.
pub fn run(args: &SalvageArgs) -> Result<(), Failure> {
    let salvage = Salvage::take(&args.directory).map_err(failure)?;
    let members = salvage.members().map_err(failure)?;
    let own = salvage.identity().node;
    let sealed = seal(&salvage, &args.output, args.force)?;
    if matches!(args.format, OutputFormat::Table) {
        let mark = salvage.divergence().map_err(failure)?;
        say(&told(&salvage, &sealed, &args.output, mark.map(|mark| mark.reason).as_deref()));
    }
    drop(salvage);
    if args.alone {
        if matches!(args.format, OutputFormat::Json) {
            say(&format!("{:#}\n", as_json(&sealed, &args.output, None)));
        }
        return Ok(());
    }
    let there = Beside(beside(&args.output, "other"));
    let other = match &args.against {
        Some(path) if path.is_dir() => {
            seal(&Salvage::take(path).map_err(failure)?, &there.0, true)?;
            BackupFile::open(&there.0)
        }
        Some(path) => BackupFile::open(path),
        None => {
            block_on(download(args, own, &members, &there.0)).map_err(|failure| {
                failure.hint(format!(
                    "the directory is sealed into {}, and not compared: give --config of a node whose cluster runs, \
                     --local when it has no quorum, or --against a backup",
                    args.output.display()
                ))
            })?;
            BackupFile::open(&there.0)
        }
    };
    let (here, other) = (BackupFile::open(&args.output), other);
    list(args, &sealed, &here.map_err(Failure::runtime)?, &other.map_err(Failure::runtime)?)
}

/// A file that is removed when it is no longer needed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It may never have been made.
        let _removed = fs::remove_file(&self.0);
    }
}

fn beside(output: &Path, what: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default();
    output.with_file_name(format!(".{}.{}.{what}", name.display(), std::process::id()))
}

fn seal(salvage: &Salvage, path: &Path, force: bool) -> Result<Sealed, Failure> {
    let mut output = Output::begin(path, force)?;
    if matches!(output, Output::Stdout) {
        return Err(Failure::because("--output must name a file"));
    }
    let mut failed = None;
    let sealed = salvage.seal(&beside(path, "space"), &mut |bytes| {
        output.write(bytes).map_err(|failure| {
            failed = Some(failure);
            io::Error::other("see the failure")
        })
    });
    match (sealed, failed) {
        (_, Some(failure)) => Err(failure),
        (Err(error), None) => Err(failure(error)),
        (Ok(sealed), None) => output.finish(None).map(|_verified| sealed),
    }
}

/// Takes a backup of a running member, any of those that the directory or the configuration knows.
async fn download(
    args: &SalvageArgs,
    own: NodeId,
    members: &BTreeMap<NodeId, String>,
    to: &Path,
) -> Result<(), Failure> {
    let operator = Operator::by_keyring(args.config.config.as_deref())?;
    let configured = (operator.config.node.id, operator.config.cluster.peer_address().to_string());
    let mut candidates: Vec<(NodeId, String)> = std::iter::once(configured)
        .chain(members.iter().map(|(id, address)| (*id, address.clone())))
        .filter(|(id, _)| *id != own)
        .collect();
    candidates.dedup();
    let mut failures = Vec::new();
    for (id, address) in candidates {
        let client = operator.client(id, &address)?;
        match client.begin_backup(args.local).await {
            Err(error) => failures.push(format!("node {id} at {address}: {error}")),
            Ok((_, mut pieces)) => {
                let mut output = Output::begin(to, true)?;
                while let Some(piece) = pieces.next().await.map_err(Failure::runtime)? {
                    output.write(&piece)?;
                }
                return output.finish(None).map(drop);
            }
        }
    }
    if failures.is_empty() {
        failures.push("there is no other member to ask".to_owned());
    }
    Err(Failure::because(failures.join("; ")))
}

fn list(args: &SalvageArgs, sealed: &Sealed, here: &BackupFile, other: &BackupFile) -> Result<(), Failure> {
    let mut records = Vec::new();
    let as_table = matches!(args.format, OutputFormat::Table);
    let comparison = compare(here, other, |difference| {
        if as_table {
            say(&line(&difference));
        } else {
            records.push(json!({ "only_here": difference.how == How::OnlyHere, "record": difference.name }));
        }
    });
    let comparison = comparison.map_err(Failure::runtime)?;
    say(&if as_table {
        summary(&comparison, other)
    } else {
        let found = Some((&comparison, other, records));
        format!("{:#}\n", as_json(sealed, &args.output, found))
    });
    Ok(())
}

fn line(difference: &Difference) -> String {
    let how = match difference.how {
        How::OnlyHere => "only here",
        How::Differs => "differs  ",
    };
    format!("  {how}  {}\n", difference.name)
}

fn told(salvage: &Salvage, sealed: &Sealed, output: &Path, mark: Option<&str>) -> String {
    let (owner, header) = (salvage.identity(), &sealed.header);
    let mut text = format!(
        "node {} of cluster {}, as of entry {}: {} records, {} content keys, sealed into {}\n",
        owner.node,
        owner.cluster,
        header.applied.index,
        header.record_count(),
        header.key_count(),
        output.display(),
    );
    if let Some(reason) = mark {
        text.push_str(&format!("no node starts from it: {reason}\n"));
    }
    let from_log = header.applied.index.saturating_sub(sealed.applied_index);
    if from_log > 0 {
        text.push_str(&format!(
            "{from_log} entries are from its log: the node had not applied them, and they may never have been committed\n"
        ));
    }
    if let Some(kept) = &sealed.wrong_digest {
        text.push_str(&format!(
            "its records are not those that were written: it kept the digest {kept} of others\n"
        ));
    }
    if let Some(why) = &sealed.log_unread {
        text.push_str(&format!("entries of its log are missing in the file: {why}\n"));
    }
    text
}

fn summary(comparison: &Comparison, other: &BackupFile) -> String {
    let header = other.header();
    let with = format!("node {} as of entry {}", header.node, header.applied.index);
    if comparison.holds_nothing_else() {
        return format!("compared with {with}: it holds nothing that is not there\n");
    }
    let mut text = format!("compared with {with}:\n");
    for (kind, (only_here, differs)) in &comparison.named {
        text.push_str(&format!("  {kind}: {only_here} only here, {differs} different\n"));
    }
    text.push_str("how to bring single keys back: docs/disks.md\n");
    text
}

fn as_json(
    sealed: &Sealed,
    output: &Path,
    found: Option<(&Comparison, &BackupFile, Vec<serde_json::Value>)>,
) -> serde_json::Value {
    let header = &sealed.header;
    json!({
        "file": output,
        "node": header.node,
        "cluster": header.cluster,
        "applied_index": sealed.applied_index,
        "sealed_index": header.applied.index,
        "content_keys": header.key_count(),
        "wrong_digest": sealed.wrong_digest,
        "log_unread": sealed.log_unread,
        "compared": found.map(|(comparison, other, records)| json!({
            "node": other.header().node,
            "index": other.header().applied.index,
            "records": records,
            "other_records": comparison.other,
            "only_there": comparison.only_there,
        })),
    })
}

fn failure(error: SalvageError) -> Failure {
    match error {
        SalvageError::Empty { .. } => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}
