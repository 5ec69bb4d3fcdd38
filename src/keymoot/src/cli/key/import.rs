//! `keymoot key import`: the items of a file, sent some at a time, each with a result of its own.
//!
//! It may be run again after whatever happened: what is done stays as it is.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::connection::{ConnectionArgs, failure};
use super::import_file::{Entry, ImportFile};
use crate::cli::operator::say;
use keymoot_client::{ItemResult, KeyClient};
use keymoot_command::Failure;
use keymoot_crypto::ExportKey;
use keymoot_model::{ContentId, TrackName};
use keymoot_protocol::BulkBody;

/// Items in one request.
const CHUNK_ITEMS: usize = 500;
const _: () = assert!(CHUNK_ITEMS <= BulkBody::ITEMS_MAX);
/// About the most bytes in one request.
const CHUNK_BYTES: usize = 512 * 1024;

/// `keymoot key import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The file: one JSON object on each line. Plain items have content_id and may have track, key and
    /// key_id, replace, period and aux; files of `keymoot key export` hold sealed keys.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The private key that opens sealed keys; a secret file, made by `keymoot key recipient`.
    #[arg(long, value_name = "FILE")]
    pub recipient_key: Option<PathBuf>,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// What is printed for each item.
#[derive(Serialize)]
struct PrintedImport<'a> {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<u64>,
}

/// Runs the command.
pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let key = args.recipient_key.as_deref().map(ExportKey::read).transpose().map_err(Failure::usage)?;
    let mut file = ImportFile::open(&args.file, key.as_ref())?;
    if file.is_sealed() {
        // Every key is opened before any is sent: nothing of a damaged file gets in.
        file.try_for_each(|entry| entry.map(drop))?;
    }
    let client = args.connection.client()?;
    let mut job = Job::default();
    for entry in ImportFile::open(&args.file, key.as_ref())? {
        job.take(entry?);
        if job.chunk.len() >= CHUNK_ITEMS || job.bytes >= CHUNK_BYTES {
            job.send(&client)?;
            eprintln!("keymoot: {} items done, {} of them failed", job.items, job.errors);
        }
    }
    let sent = job.send(&client);
    args.connection.tell(&client);
    sent?;
    eprintln!("keymoot: {} items: {} imported, {} failed", job.items, job.items - job.errors, job.errors);
    if job.errors == 0 {
        return Ok(());
    }
    Err(Failure::because(format!("{} of {} items failed", job.errors, job.items))
        .hint("standard output says why, line by line; the same command again does what is missing"))
}

/// What was read and is not sent yet, and how it went so far.
#[derive(Default)]
struct Job {
    chunk: Vec<Entry>,
    bytes: usize,
    items: usize,
    errors: usize,
    /// Tracks whose item failed: later versions must not take the place of what is there.
    failed: HashSet<(ContentId, TrackName)>,
}

impl Job {
    fn take(&mut self, mut entry: Entry) {
        if let Ok(item) = &entry.item {
            if self.failed.contains(&(item.content.clone(), item.track.clone())) {
                let message = "not sent, because an item before failed for the same track";
                entry.item = Err(message.to_owned());
            } else {
                self.bytes += item.text.len();
            }
        }
        self.chunk.push(entry);
    }

    fn send(&mut self, client: &KeyClient) -> Result<(), Failure> {
        let (chunk, _) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.bytes));
        let mut entries = chunk;
        let mut texts = Vec::with_capacity(entries.len());
        for entry in &mut entries {
            if let Ok(item) = &mut entry.item {
                texts.push(std::mem::take(&mut item.text));
            }
        }
        let results = if texts.is_empty() { Vec::new() } else { client.bulk(&texts).map_err(failure)? };
        let mut results = results.iter();
        for entry in &entries {
            let result = if entry.item.is_ok() { results.next() } else { None };
            self.report(entry, result);
        }
        Ok(())
    }

    fn report(&mut self, entry: &Entry, result: Option<&ItemResult>) {
        let item = entry.item.as_ref().ok();
        let done = result.is_some_and(ItemResult::is_ok);
        self.items += 1;
        if !done {
            self.errors += 1;
            self.failed.extend(item.map(|item| (item.content.clone(), item.track.clone())));
        }
        let default = TrackName::default_track();
        let printed = PrintedImport {
            line: entry.line,
            content_id: item.map(|item| item.content.as_str()),
            track: item.filter(|item| item.track != default).map(|item| item.track.as_str()),
            status: if done { "ok" } else { "error" },
            key_id: result.and_then(|result| result.key_id.as_deref()),
            version: result.and_then(|result| result.version),
            message: result.and_then(|result| result.message.as_deref()).or(entry
                .item
                .as_ref()
                .err()
                .map(String::as_str)),
            reference: result.and_then(|result| result.reference),
        };
        // Texts and numbers always serialise.
        say(&(serde_json::to_string(&printed).unwrap_or_default() + "\n"));
    }
}
