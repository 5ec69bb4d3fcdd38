//! The two kinds of files that `keymoot key import` reads, line by line: plain items, and sealed keys as
//! `keymoot key export` writes them.
//!
//! In a plain file a bad line is that item's own failure. In a file of sealed keys any line that is not
//! sound is a failure of the whole file: it was altered, cut off, or is somebody else's.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use keymoot_command::Failure;
use keymoot_crypto::{ExportKey, Sealed};
use keymoot_model::{AccountId, ContentId, KeyPath, Kid, Period, TrackName};
use keymoot_protocol::BulkItem;

/// The first line of a file of sealed keys.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    /// The version of the format: 1.
    pub(super) keymoot_export: u32,
    /// Base64 of the public key that they are sealed for.
    pub(super) recipient: String,
}

/// The last line of such a file.
#[derive(Serialize, Deserialize)]
pub(super) struct End {
    pub(super) end: Count,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Count {
    /// How many keys stand before it.
    pub(super) keys: usize,
}

/// A line with a sealed key, as the server writes it.
#[derive(Deserialize)]
struct SealedLine {
    account_id: String,
    content_id: String,
    track: String,
    version: u32,
    key_id: String,
    period: Option<SealedPeriod>,
    aux: Option<serde_json::Value>,
    enc: String,
    ciphertext: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct SealedPeriod {
    length_s: u32,
    index: u32,
}

/// The item that a sealed key becomes.
#[derive(Serialize)]
struct ItemLine<'a> {
    content_id: &'a str,
    track: &'a str,
    key: &'a str,
    key_id: &'a str,
    replace: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<SealedPeriod>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<&'a serde_json::Value>,
}

/// A line of the file.
pub(super) struct Entry {
    /// Its number, from 1.
    pub(super) line: usize,
    /// The item to send, or what is wrong with it.
    pub(super) item: Result<Item, String>,
}

/// An item that can be sent.
pub(super) struct Item {
    /// The content.
    pub(super) content: ContentId,
    /// The track.
    pub(super) track: TrackName,
    /// The line as `POST /bulk` takes it; it may hold a key.
    pub(super) text: Zeroizing<String>,
}

/// A file that is being read.
pub(super) struct ImportFile<'k> {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    /// A line that was read to find out which kind of file it is.
    first: Option<Zeroizing<String>>,
    line: usize,
    sealed: Option<SealedFile<'k>>,
}

/// Where the reading of sealed keys is.
struct SealedFile<'k> {
    key: &'k ExportKey,
    keys: usize,
    /// The track of the key before: what follows for it is its next version.
    before: Option<KeyPath>,
    has_ended: bool,
}

impl<'k> ImportFile<'k> {
    /// Opens a file; sealed keys are opened with `key`.
    pub(super) fn open(path: &Path, key: Option<&'k ExportKey>) -> Result<Self, Failure> {
        let unreadable =
            |error: std::io::Error| Failure::because(format!("cannot read {}: {error}", path.display()));
        let mut lines = BufReader::new(File::open(path).map_err(unreadable)?).lines();
        let first = Zeroizing::new(lines.next().transpose().map_err(unreadable)?.unwrap_or_default());
        let head = serde_json::from_str::<Head>(&first).ok();
        let mut file = Self { path: path.to_owned(), lines, first: None, line: 1, sealed: None };
        match (head, key) {
            (None, None) => (file.first, file.line) = (Some(first), 0),
            (None, Some(_)) => {
                return Err(file
                    .failure("this is no head of a file of sealed keys")
                    .hint("a file of plain items is imported without --recipient-key"));
            }
            (Some(_), None) => {
                return Err(file.failure("the keys are sealed for a recipient").hint(
                    "open them with --recipient-key FILE, the file that `keymoot key recipient` made",
                ));
            }
            (Some(head), Some(key)) => {
                if head.keymoot_export != 1 {
                    return Err(file.failure("the file is of a version that this program does not know"));
                }
                if STANDARD.decode(&head.recipient).ok().as_deref() != Some(&key.public()[..]) {
                    return Err(
                        file.failure("the keys are sealed for another recipient than --recipient-key")
                    );
                }
                file.sealed = Some(SealedFile { key, keys: 0, before: None, has_ended: false });
            }
        }
        Ok(file)
    }

    /// Whether its keys are sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// A failure at the line that was read last.
    fn failure(&self, what: &str) -> Failure {
        Failure::because(format!("{}, line {}: {what}", self.path.display(), self.line))
    }

    fn next_line(&mut self) -> Result<Option<Zeroizing<String>>, Failure> {
        loop {
            let text = match self.first.take() {
                Some(first) => first,
                None => match self.lines.next() {
                    None => return Ok(None),
                    Some(Ok(text)) => Zeroizing::new(text),
                    Some(Err(error)) => return Err(self.failure(&error.to_string())),
                },
            };
            self.line += 1;
            if !text.trim().is_empty() {
                return Ok(Some(text));
            }
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Failure> {
        let Some(text) = self.next_line()? else {
            return match &self.sealed {
                Some(sealed) if !sealed.has_ended => Err(self.failure("the file ends here: it was cut off")),
                _ => Ok(None),
            };
        };
        let line = self.line;
        let Some(sealed) = &mut self.sealed else {
            let item = plain_item(text).map_err(|error| error.to_string());
            return Ok(Some(Entry { line, item }));
        };
        match sealed.read(&text) {
            Ok(Some(item)) => Ok(Some(Entry { line, item: Ok(item) })),
            Ok(None) => self.next_entry(),
            Err(what) => Err(self.failure(&what).hint(
                "nothing of a file that is not whole is imported; take the file again from where it was written",
            )),
        }
    }
}

impl Iterator for ImportFile<'_> {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

fn plain_item(text: Zeroizing<String>) -> Result<Item, keymoot_protocol::CustomDataError> {
    let read = BulkItem::parse(text.as_bytes())?;
    Ok(Item { content: read.content.clone(), track: read.track.clone(), text })
}

impl SealedFile<'_> {
    /// The item of a line; none for the last.
    fn read(&mut self, text: &str) -> Result<Option<Item>, String> {
        if self.has_ended {
            return Err("there is more behind the last line".to_owned());
        }
        if let Ok(end) = serde_json::from_str::<End>(text) {
            self.has_ended = true;
            let keys = end.end.keys;
            return match keys == self.keys {
                true => Ok(None),
                false => Err(format!("the file should have {keys} keys, and has {}", self.keys)),
            };
        }
        // The parser's own words could repeat what it read.
        let sealed: SealedLine =
            serde_json::from_str(text).map_err(|_| "this is no sealed key".to_owned())?;
        self.keys += 1;
        let id = |error: keymoot_model::IdError| error.to_string();
        let place = KeyPath {
            account: AccountId::new(sealed.account_id.as_str()).map_err(id)?,
            content: ContentId::new(sealed.content_id.as_str()).map_err(id)?,
            track: TrackName::new(sealed.track.as_str()).map_err(id)?,
        };
        self.open(&sealed, place).map(Some)
    }

    fn open(&mut self, sealed: &SealedLine, place: KeyPath) -> Result<Item, String> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| "this is no sealed key".to_owned());
        let kid = Kid::from_base64(&sealed.key_id).map_err(|error| error.to_string())?;
        let period = sealed.period.map(|period| Period { length_s: period.length_s, index: period.index });
        let what = Sealed { place: &place, version: sealed.version, kid: &kid, period };
        let key = self.key.open(&bytes(&sealed.enc)?, &bytes(&sealed.ciphertext)?, what);
        let key = key.map_err(|error| error.to_string())?.to_base64();
        // A track's versions stand in their order: each takes the place of the one before.
        let replace = period.is_none() && self.before.as_ref() == Some(&place);
        let line = ItemLine {
            content_id: place.content.as_str(),
            track: place.track.as_str(),
            key: &key,
            key_id: &sealed.key_id,
            replace,
            period: sealed.period,
            aux: sealed.aux.as_ref(),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *text, &line).map_err(|error| error.to_string())?;
        let item = plain_item(Zeroizing::new(String::from_utf8_lossy(&text).into_owned()));
        if period.is_none() {
            self.before = Some(place);
        }
        item.map_err(|error| error.to_string())
    }
}
