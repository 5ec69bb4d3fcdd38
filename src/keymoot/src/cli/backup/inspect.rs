//! `keymoot backup inspect` and `verify`: what is in a file, and whether it is worth anything.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::{BackupInspectArgs, BackupVerifyArgs};
use super::failure;
use super::growth::{Growth, Surroundings};
use crate::cli::args::OutputFormat;
use crate::cli::operator::say;
use keymoot_cluster::backup::{BackupError, BackupFile, BackupHeader, OpenedSecrets};
use keymoot_command::{Column, Failure, Table};
use keymoot_crypto::Keyring;

/// Shows the header. The rest of the file is not read.
pub(super) fn inspect(args: &BackupInspectArgs) -> Result<(), Failure> {
    let header = BackupFile::inspect(&args.file).map_err(failure)?;
    say(&match args.output {
        OutputFormat::Table => table(&header),
        OutputFormat::Json => format!("{:#}\n", as_json(&header)),
    });
    Ok(())
}

/// Checks everything; fails when anything is wrong, a key does not open, or a cluster restored with the
/// given certificates could not grow.
pub(super) fn verify(args: &BackupVerifyArgs) -> Result<(), Failure> {
    let surroundings = Surroundings::of(args)?;
    let file = BackupFile::open(&args.file).map_err(failure)?;
    let keyring = surroundings.keyring.as_ref();
    let opened = keyring.map(|ring| file.open_secrets(ring)).transpose().map_err(failure)?;
    let growth = surroundings.growth(&file);
    let signature = Signature::of(&file, keyring);
    say(&match args.output {
        OutputFormat::Table => verdict(&file, opened.as_ref(), &signature) + &growth.text(),
        OutputFormat::Json => format!("{:#}\n", verdict_json(&file, opened.as_ref(), (&growth, &signature))),
    });
    let unsigned = matches!(signature, Signature::Missing) && keyring.is_some() && !args.unsigned;
    if opened.is_some_and(|opened| !opened.is_complete()) {
        return Err(Failure::because("the keyring does not open every key")
            .hint("restoring needs a keyring with all of the master keys that are named above"));
    }
    match (signature, growth) {
        (Signature::Refused(error), _) => Err(failure(error).at_runtime()),
        _ if unsigned => Err(failure(BackupError::Unsigned { path: args.file.clone() }).at_runtime()),
        (_, Growth::Impossible(failure)) => Err(failure.at_runtime()),
        _ => Ok(()),
    }
}

/// What a keyring says of a backup's signature.
enum Signature {
    /// There is none.
    Missing,
    /// No keyring was given.
    Unchecked,
    Right,
    Refused(BackupError),
}

impl Signature {
    fn of(file: &BackupFile, keyring: Option<&Keyring>) -> Self {
        match (&file.header().signed_under, keyring) {
            (None, _) => Self::Missing,
            (Some(_), None) => Self::Unchecked,
            (Some(_), Some(keyring)) => {
                file.check_signature(keyring, false).map_or_else(Self::Refused, |()| Self::Right)
            }
        }
    }

    /// For scripts.
    const fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unchecked => "unchecked",
            Self::Right => "right",
            Self::Refused(_) => "wrong",
        }
    }

    /// For people.
    fn text(&self, header: &BackupHeader) -> String {
        let id = header.signed_under.as_ref().map_or("", |id| &id.0);
        match self {
            Self::Missing => {
                "not signed: nothing shows that it is as the cluster wrote it; restoring it takes --unsigned\n".to_owned()
            }
            Self::Unchecked => format!(
                "signed under master key `{id}`; the signature was NOT CHECKED: --keyring FILE or --config FILE checks it\n"
            ),
            Self::Right => format!("signed by this cluster, under master key `{id}`\n"),
            Self::Refused(_) => "its signature is REFUSED\n".to_owned(),
        }
    }
}

fn table(header: &BackupHeader) -> String {
    let mut table = Table::new([Column::Left(""); 2]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("cluster", header.cluster.to_string());
    line("fence", header.fence.to_string());
    line("entry", format!("{} of term {}", header.applied.index, header.applied.term));
    line("made", format!("{} on node {}, by version {}", made_at(header), header.node, header.program));
    line("digest", header.digest.clone());
    line(
        "signed",
        header.signed_under.as_ref().map_or("no".to_owned(), |id| format!("under master key {id}")),
    );
    for (id, count) in &header.master_keys {
        line("master key", format!("{id}: {count} secrets"));
    }
    for (name, count) in header.tables.iter().filter(|(_, count)| *count > 0) {
        line("table", format!("{name}: {count} records"));
    }
    table.to_string()
}

fn verdict(file: &BackupFile, opened: Option<&OpenedSecrets>, signature: &Signature) -> String {
    let header = file.header();
    let mut text = format!(
        "sound: {} bytes, {} records, {} content keys, cluster {} as of entry {}\n",
        file.byte_count(),
        header.record_count(),
        header.key_count(),
        header.cluster,
        header.applied.index,
    );
    text.push_str(&signature.text(header));
    let Some(opened) = opened else { return text };
    text.push_str(&format!("{} secrets open\n", opened.opened));
    for (id, count) in &opened.missing {
        text.push_str(&format!("{count} secrets stand under master key `{id}`, which the keyring lacks\n"));
    }
    if opened.refused > 0 {
        let refused = opened.refused;
        text.push_str(&format!("{refused} secrets do not open: the keyring has another key of that id\n"));
    }
    text
}

fn as_json(header: &BackupHeader) -> Value {
    let map = |pairs: &[(String, u64)]| {
        pairs.iter().map(|(name, count)| (name.clone(), json!(count))).collect::<serde_json::Map<_, _>>()
    };
    json!({
        "cluster": header.cluster,
        "fence": header.fence,
        "node": header.node,
        "index": header.applied.index,
        "term": header.applied.term,
        "made_at": made_at(header),
        "version": header.program,
        "digest": header.digest,
        "signed_under": header.signed_under.as_ref().map(|id| &id.0),
        "content_keys": header.key_count(),
        "master_keys": map(&header.master_keys),
        "tables": map(&header.tables),
    })
}

fn verdict_json(
    file: &BackupFile,
    opened: Option<&OpenedSecrets>,
    (growth, signature): (&Growth, &Signature),
) -> Value {
    let missing = |opened: &OpenedSecrets| {
        let pairs = opened.missing.iter().map(|(id, count)| (id.0.clone(), json!(count)));
        pairs.collect::<serde_json::Map<_, _>>()
    };
    json!({
        "sound": true,
        "bytes": file.byte_count(),
        "header": as_json(file.header()),
        "keyring": opened.map(|opened| json!({
            "opened": opened.opened,
            "missing": missing(opened),
            "refused": opened.refused,
        })),
        "signature": signature.name(),
        "growth": growth.as_json(),
    })
}

fn made_at(header: &BackupHeader) -> String {
    let nanos = i128::from(header.made_at_ms) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    at.and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()).unwrap_or_else(|| "unknown".into())
}
