//! The keyring file: TOML text with `active` and a list of `[[key]]`.
//!
//! Unknown keys are refused, so that a misspelt `active` cannot silently change which key wraps. Errors name
//! the file and the id of the key, and never repeat the file's content. The text, and every copy of a secret
//! made from it, is zeroized.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::secret_file::{self, SecretFileError};
use super::{RandomError, toml_file};
use keymoot_model::MasterKeyId;

/// The length of a master key.
const SECRET_BYTES: usize = 32;
/// A master key in the clear, on the heap, so that moving it leaves no copy behind.
pub(super) type MasterSecret = Box<Zeroizing<[u8; SECRET_BYTES]>>;
/// The longest id of a master key. Bounded, because every wrapped record holds one.
const ID_BYTES_MAX: usize = 32;

/// Why a keyring file was not read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// The file could not be read or made.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// No master key could be drawn.
    #[error(transparent)]
    Random(RandomError),
    /// Not the expected TOML. The error does not repeat the text, which may be part of a secret.
    #[error("{}: line {line}: {problem}", path.display())]
    Syntax {
        path: PathBuf,
        /// The line of the file, from 1.
        line: usize,
        problem: String,
    },
    /// A key whose id cannot be used.
    #[error("{}: key number {number}: id must be 1 to {ID_BYTES_MAX} letters, digits, `.`, `_` or `-`", path.display())]
    Id {
        path: PathBuf,
        /// The number of the `[[key]]`, from 1.
        number: usize,
    },
    /// Two keys have the same id.
    #[error("{}: master key `{id}` is there twice", path.display())]
    Duplicate { path: PathBuf, id: MasterKeyId },
    /// A secret that is not 32 bytes in base64.
    #[error("{}: master key `{id}`: secret must be standard base64 of exactly {SECRET_BYTES} bytes", path.display())]
    Secret { path: PathBuf, id: MasterKeyId },
    /// A reloaded file lacks a key that is in use.
    #[error("{} does not open what this cluster has wrapped; what was read before stays in use", path.display())]
    Unfit {
        path: PathBuf,
        #[source]
        source: super::UnwrapError,
    },
    /// There is no key of that id.
    #[error("{} holds no master key `{id}`", path.display())]
    NoSuchKey { path: PathBuf, id: MasterKeyId },
    /// The key wraps new secrets.
    #[error("{}: master key `{id}` is the active one; activate another first", path.display())]
    StillActive { path: PathBuf, id: MasterKeyId },
    /// An id that cannot be used.
    #[error("a master key's id is 1 to {ID_BYTES_MAX} letters, digits, `.`, `_` or `-`")]
    BadId,
    /// `active` names no key of the file.
    #[error("{}: `active` names a master key that the file does not hold", path.display())]
    NoActiveKey { path: PathBuf },
}

/// A keyring file's content, parsed and checked.
pub(super) struct KeyringFile {
    pub(super) active: MasterKeyId,
    pub(super) keys: Vec<KeyEntry>,
}

/// One master key of the file.
pub(super) struct KeyEntry {
    pub(super) id: MasterKeyId,
    /// When the key was made; informative only.
    pub(super) created: String,
    pub(super) secret: MasterSecret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    active: String,
    #[serde(default, rename = "key")]
    keys: Vec<KeyText>,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyText {
    id: String,
    // When the key was made; informative only.
    #[serde(default)]
    created: String,
    secret: String,
}

/// Reads and checks a keyring file.
pub(super) fn read(path: &Path) -> Result<KeyringFile, KeyringFileError> {
    parse(secret_file::read(path)?.expose(), path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<KeyringFile, KeyringFileError> {
    let syntax = |line, problem: &str| KeyringFileError::Syntax {
        path: path.to_owned(),
        line,
        problem: problem.to_owned(),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| syntax(1, "the file is not UTF-8 text"))?;
    let file: FileText = toml::from_str(text)
        .map_err(|error| syntax(toml_file::line_of(text, &error), safe_problem(error.message())))?;
    let mut keys: Vec<KeyEntry> = Vec::with_capacity(file.keys.len());
    for (index, key) in file.keys.iter().enumerate() {
        if !is_id(&key.id) {
            return Err(KeyringFileError::Id { path: path.to_owned(), number: index + 1 });
        }
        let id = MasterKeyId(key.id.clone());
        if keys.iter().any(|earlier| earlier.id == id) {
            return Err(KeyringFileError::Duplicate { path: path.to_owned(), id });
        }
        let secret = decode(&key.secret)
            .ok_or_else(|| KeyringFileError::Secret { path: path.to_owned(), id: id.clone() })?;
        keys.push(KeyEntry { id, created: key.created.clone(), secret });
    }
    Ok(KeyringFile { active: MasterKeyId(file.active.clone()), keys })
}

/// Maps the parser's message to a fixed text, because the message can quote the file.
fn safe_problem(message: &str) -> &'static str {
    if message.starts_with("unknown field") {
        "unknown key; a keyring holds `active` and `[[key]]` with `id`, `created`, `secret`"
    } else if message.starts_with("missing field") {
        "a key is missing; a keyring holds `active` and `[[key]]` with `id`, `created`, `secret`"
    } else {
        "not valid TOML, or a value that is not a text in quotes"
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn decode(text: &str) -> Option<MasterSecret> {
    // The decoder needs space for the longest result: 44 digits decode to 31 to 33 bytes.
    let mut decoded = Zeroizing::new([0_u8; SECRET_BYTES + 1]);
    let length = (text.len() == 44).then(|| STANDARD.decode_slice(text, decoded.as_mut_slice()).ok())??;
    let mut secret = MasterSecret::default();
    let decoded = decoded.get(..length).filter(|bytes| bytes.len() == secret.len())?;
    secret.copy_from_slice(decoded);
    Some(secret)
}

/// The text of a new keyring file with one key.
pub(super) fn text_of(id: &MasterKeyId, secret: &MasterSecret) -> Zeroizing<String> {
    let mut text = head(id);
    push_key(&mut text, id, &now(), secret);
    text
}

/// The text of a keyring file.
pub(super) fn text_of_file(file: &KeyringFile) -> Zeroizing<String> {
    let mut text = head(&file.active);
    for KeyEntry { id, created, secret } in &file.keys {
        push_key(&mut text, id, created, secret);
    }
    text
}

/// The current time, in the form of `created`.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    now.format(&Rfc3339).unwrap_or_default()
}

fn head(active: &MasterKeyId) -> Zeroizing<String> {
    // Large enough not to grow: growing would leave a copy of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    text.push_str(&format!(
        "# Keymoot master keys. Every node of the cluster needs the same file, and nobody else.\n\
         # Without it no content key of the cluster can be opened: keep a copy in a safe place.\n\
         active = \"{active}\"\n"
    ));
    text
}

fn push_key(text: &mut Zeroizing<String>, id: &MasterKeyId, created: &str, secret: &MasterSecret) {
    let encoded = Zeroizing::new(STANDARD.encode(secret.as_slice()));
    text.push_str(&format!("\n[[key]]\nid = \"{id}\"\ncreated = {created:?}\nsecret = \""));
    text.push_str(&encoded);
    text.push_str("\"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "active = \"mk2\"\n[[key]]\nid = \"mk1\"\ncreated = \"2026-01-01T00:00:00Z\"\n\
        secret = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n[[key]]\nid = \"mk2\"\n\
        secret = \"HxwdHhsYGRoXFBUWExAREg8MDQ4LCAkKBwQFBgMAAQI=\"\n";

    fn problem(text: &str) -> String {
        parse(text.as_bytes(), Path::new("ring.toml")).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_ring_of_two_keys_parses() {
        let file = parse(GOOD.as_bytes(), Path::new("ring.toml")).unwrap();
        assert_eq!(file.active.0, "mk2");
        assert_eq!(file.keys.len(), 2);
        assert_eq!(file.keys[0].secret[..4], [0, 1, 2, 3]);
    }

    #[test]
    fn the_text_of_a_new_ring_parses() {
        let secret = Box::new(Zeroizing::new([7; 32]));
        let text = text_of(&MasterKeyId("mk1".to_owned()), &secret);
        let file = parse(text.as_bytes(), Path::new("ring.toml")).unwrap();
        assert_eq!(**file.keys[0].secret, [7; 32]);
    }

    #[test]
    fn the_example_that_ships_parses() {
        let example = include_str!("../../../config/keyring.example.toml");
        let file = parse(example.as_bytes(), Path::new("ring.toml")).unwrap();
        assert_eq!(file.active, file.keys[0].id);
        assert!(file.keys[0].secret.starts_with(b"exampleexample"));
    }

    #[test]
    fn errors_name_file_and_key_and_never_the_secret() {
        let short = GOOD.replace("HxwdHhsYGRoXFBUWExAREg8MDQ4LCAkKBwQFBgMAAQI=", "SGVsbG8=");
        assert_eq!(
            problem(&short),
            "ring.toml: master key `mk2`: secret must be standard base64 of exactly 32 bytes"
        );
        let twice = GOOD.replace("id = \"mk2\"", "id = \"mk1\"");
        assert_eq!(problem(&twice), "ring.toml: master key `mk1` is there twice");
        assert!(
            problem(&GOOD.replace("id = \"mk1\"", "id = \"m k\"")).starts_with("ring.toml: key number 1:")
        );
        for broken in [
            GOOD.replace("active", "activ"),
            GOOD.replace("secret = \"AAEC", "secret = AAEC"),
            GOOD.replace("Hh8=\"", "Hh8="),
            GOOD.replace("secret = \"AAEC", "sekret = \"AAEC"),
        ] {
            let said = problem(&broken);
            assert!(said.starts_with("ring.toml: line "), "{said}");
            assert!(!said.contains("AAEC") && !said.contains("Hh8"), "{said}");
        }
    }

    #[test]
    fn an_active_key_that_is_not_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.toml");
        secret_file::create(&path, GOOD.replace("active = \"mk2\"", "active = \"mk3\"").as_bytes()).unwrap();
        let error = crate::Keyring::load(&path).unwrap_err();
        assert!(matches!(error, KeyringFileError::NoActiveKey { .. }));
    }
}
