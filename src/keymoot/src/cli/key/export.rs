//! `keymoot key export` and `keymoot key recipient`: an account's keys in a file, sealed for whoever has
//! the recipient's private key. Nothing on the way sees a key in the clear, this program included.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use super::connection::{ConnectionArgs, failure};
use super::import_file::{Count, End, Head};
use crate::cli::operator::say;
use keymoot_client::KeyClient;
use keymoot_command::Failure;
use keymoot_crypto::{ExportKey, ExportRecipient};
use keymoot_model::ContentId;

/// `keymoot key export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The file to write, one JSON object on each line. It must not exist yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whom the keys are sealed for: the public key that `keymoot key recipient` prints.
    #[arg(long, value_name = "PUBLIC-KEY")]
    pub recipient: PublicKey,
    /// Export the keys of this content.
    #[arg(long, value_name = "CONTENT", conflicts_with = "all", required_unless_present = "all")]
    pub content: Option<ContentId>,
    /// Export all keys of the account.
    #[arg(long)]
    pub all: bool,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `keymoot key recipient`.
#[derive(Clone, Debug, Args)]
pub struct RecipientArgs {
    /// Where the private key goes; a secret file, mode 0600. It must not exist yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// A recipient's public key, as text base64 of 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct PublicKey([u8; 32]);

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<[u8; 32]> =
            STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes =
            bytes.ok_or("a public key is base64 of 32 bytes, as `keymoot key recipient` prints it")?;
        ExportRecipient::from_bytes(&bytes).map_err(|error| error.to_string())?;
        Ok(Self(bytes))
    }
}

/// Makes a recipient's key pair.
pub(super) fn make_recipient(args: &RecipientArgs) -> Result<(), Failure> {
    let public = ExportKey::generate_into(&args.file).map_err(Failure::usage)?;
    eprintln!("keymoot: the private key is in {}; give others this public key:", args.file.display());
    say(&(STANDARD.encode(public) + "\n"));
    Ok(())
}

/// Runs the command. The file appears under its name only when it is whole.
pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let (path, partial) = (&args.file, partial_of(&args.file));
    if path.exists() {
        return Err(Failure::because(format!("{} exists already and is not overwritten", path.display())));
    }
    let client = args.connection.client()?;
    let written = write_all(args, &client, &partial);
    args.connection.tell(&client);
    let placed = written.and_then(|keys| {
        std::fs::hard_link(&partial, path).map_err(|error| unwritable(path, &error))?;
        Ok(keys)
    });
    // The partial name goes either way; after a failure its removal is a courtesy.
    let _ = std::fs::remove_file(&partial);
    let (keys, seeds) = placed?;
    eprintln!("keymoot: {keys} keys, sealed, are in {}", path.display());
    if seeds > 0 {
        eprintln!(
            "keymoot: warning: {seeds} rotating schedules are not: the ids of the keys that are derived from them \
             are made with a key that stays in the cluster"
        );
    }
    Ok(())
}

fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    path.with_file_name(name)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot write {}: {error}", path.display()))
}

/// Writes every page; gives how many keys there were, and how many schedules had to stay behind.
fn write_all(args: &ExportArgs, client: &KeyClient, partial: &Path) -> Result<(usize, usize), Failure> {
    let failed = |error: std::io::Error| unwritable(partial, &error);
    // It holds no key that others could read, but the names of all contents.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(failed)?;
    let mut file = BufWriter::new(file);
    let json = |error: serde_json::Error| Failure::runtime(error);
    let head = Head { keymoot_export: 1, recipient: STANDARD.encode(args.recipient.0) };
    writeln!(file, "{}", serde_json::to_string(&head).map_err(json)?).map_err(failed)?;
    let (mut keys, mut seeds, mut after) = (0, 0, None::<String>);
    loop {
        let page = client
            .sealed_keys(&args.recipient.0, args.content.as_ref(), after.as_deref())
            .map_err(failure)?;
        for line in &page.lines {
            writeln!(file, "{line}").map_err(failed)?;
        }
        (keys, seeds) = (keys + page.lines.len(), seeds + page.seeds);
        match page.next {
            None => break,
            // A mark that does not move would go on for ever.
            next if next == after => return Err(Failure::because("the key server repeats a page")),
            next => after = next,
        }
        eprintln!("keymoot: {keys} keys so far");
    }
    if let Some(content) = args.content.as_ref().filter(|_| keys == 0) {
        return Err(Failure::because(format!("{content} has no stored key"))
            .hint("a content's name is exact, capitals included"));
    }
    let end = End { end: Count { keys } };
    writeln!(file, "{}", serde_json::to_string(&end).map_err(json)?).map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok((keys, seeds))
}
