//! The files of Swagger UI, out of the archive of its release, which a crate of data carries.
//!
//! The archive stays packed in the program. A file is unpacked when it is asked for first, and kept:
//! nobody can make a node unpack again and again.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use actix_web::web::Bytes;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// The folder, below the only one at the top, that holds the page.
const PAGE_FOLDER: &str = "dist";
/// More than any file of the page has.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The files of the page by their names. What the archive does not have is not served.
static FILES: LazyLock<BTreeMap<&str, File>> =
    LazyLock::new(|| directory(SWAGGER_UI_VENDORED).unwrap_or_default());

/// A file of the archive does not unpack to what the archive says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the archive of the page is damaged")]
pub(super) struct DamagedArchive;

/// The file of this name; `None` when the page has none.
///
/// # Errors
/// [`DamagedArchive`], which the tests rule out.
pub(super) fn file(name: &str) -> Result<Option<Bytes>, DamagedArchive> {
    FILES.get(name).map(|file| file.unpacked()).transpose()
}

/// One file of the archive, as its entry describes it.
#[derive(Debug)]
struct File {
    method: u16,
    crc: u32,
    size: usize,
    packed: &'static [u8],
    unpacked: OnceLock<Result<Bytes, DamagedArchive>>,
}

impl File {
    fn unpacked(&self) -> Result<Bytes, DamagedArchive> {
        self.unpacked.get_or_init(|| self.unpack().ok_or(DamagedArchive)).clone()
    }

    fn unpack(&self) -> Option<Bytes> {
        const STORED: u16 = 0;
        const DEFLATED: u16 = 8;
        let bytes = match self.method {
            STORED => Bytes::from_static(self.packed),
            DEFLATED => {
                miniz_oxide::inflate::decompress_to_vec_with_limit(self.packed, FILE_BYTES_MAX).ok()?.into()
            }
            _ => return None,
        };
        (bytes.len() == self.size && crc32fast::hash(&bytes) == self.crc).then_some(bytes)
    }
}

/// The page's files in the directory at the end of a ZIP archive (APPNOTE.TXT, 4.3.6 and 4.4); `None`
/// when there is no such directory.
fn directory(archive: &'static [u8]) -> Option<BTreeMap<&'static str, File>> {
    const END: &[u8] = b"PK\x05\x06";
    let end = archive.windows(END.len()).rposition(|window| window == END)?;
    let entries = short(archive, end + 10)?;
    let mut at = long(archive, end + 16)?;
    let mut files = BTreeMap::new();
    for _ in 0..entries {
        let (path, file, next) = entry(archive, at)?;
        if let Some(name) = page_file(path) {
            files.insert(name, file);
        }
        at = next;
    }
    Some(files)
}

/// The entry at this place: its path, its file, and where the next one begins.
fn entry(archive: &'static [u8], at: usize) -> Option<(&'static str, File, usize)> {
    const ENTRY: &[u8] = b"PK\x01\x02";
    const ENTRY_BYTES: usize = 46;
    const FILE_HEADER_BYTES: usize = 30;
    if archive.get(at..)?.get(..ENTRY.len())? != ENTRY {
        return None;
    }
    let [name, extra, comment] = [28, 30, 32].map(|field| short(archive, at + field));
    let path = archive.get(at + ENTRY_BYTES..)?.get(..name?)?;
    // The file's own header repeats the name, but may have more or less of extra data.
    let header = long(archive, at + 42)?;
    let data = header + FILE_HEADER_BYTES + short(archive, header + 26)? + short(archive, header + 28)?;
    let file = File {
        method: u16::try_from(short(archive, at + 10)?).ok()?,
        crc: u32::try_from(long(archive, at + 16)?).ok()?,
        size: long(archive, at + 24)?,
        packed: archive.get(data..)?.get(..long(archive, at + 20)?)?,
        unpacked: OnceLock::new(),
    };
    Some((std::str::from_utf8(path).ok()?, file, at + ENTRY_BYTES + name? + extra? + comment?))
}

/// The name of a file of the page, if the path is one's. Maps are for developers of the page itself.
fn page_file(path: &'static str) -> Option<&'static str> {
    let (_release, below) = path.split_once('/')?;
    let name = below.strip_prefix(PAGE_FOLDER)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/') && !name.ends_with(".map")).then_some(name)
}

fn short(archive: &[u8], at: usize) -> Option<usize> {
    let bytes = archive.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes).into())
}

fn long(archive: &[u8], at: usize) -> Option<usize> {
    let bytes = archive.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_unpacks() {
        assert!(FILES.len() >= 10, "{:?}", FILES.keys());
        for name in FILES.keys() {
            assert!(!file(name).unwrap().unwrap().is_empty(), "{name}");
        }
        assert!(file("favicon-32x32.png").unwrap().unwrap().starts_with(b"\x89PNG"));
        assert_eq!(file("nothing"), Ok(None));
        assert_eq!(file(""), Ok(None));
    }

    #[test]
    fn a_file_that_unpacks_to_something_else_is_refused() {
        let packed = FILES["index.html"].packed;
        let (method, crc, size) =
            (FILES["index.html"].method, FILES["index.html"].crc, FILES["index.html"].size);
        let file = |crc, size, packed| File { method, crc, size, packed, unpacked: OnceLock::new() };
        assert!(file(crc, size, packed).unpacked().is_ok());
        assert_eq!(file(!crc, size, packed).unpacked(), Err(DamagedArchive));
        assert_eq!(file(crc, size + 1, packed).unpacked(), Err(DamagedArchive));
        assert_eq!(file(crc, size, &packed[1..]).unpacked(), Err(DamagedArchive));
    }

    #[test]
    fn what_is_no_archive_has_no_files() {
        let whole = SWAGGER_UI_VENDORED;
        for archive in [&b""[..], b"PK\x05\x06", &whole[..whole.len() / 2], &whole[1..]] {
            assert!(directory(archive).is_none());
        }
    }
}
