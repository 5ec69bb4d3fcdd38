//! Files in TOML that people write: read whole, and a mistake named with its line.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why such a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TomlFileError {
    /// The file could not be read.
    #[error("cannot read the {what} {}", path.display())]
    Read {
        /// What the file is, such as `accounts file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what is expected.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
}

/// Reads a file, which errors call `what`.
///
/// # Errors
/// [`TomlFileError`], naming file and line.
pub fn read<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, TomlFileError> {
    parse(path, &text(path, what)?)
}

/// Reads the text of a file.
///
/// # Errors
/// [`TomlFileError::Syntax`], naming file and line.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, TomlFileError> {
    toml::from_str(text).map_err(|error| syntax(path, text, &error))
}

/// The text of a file, for who looks into it more than once.
///
/// # Errors
/// [`TomlFileError::Read`].
pub fn text(path: &Path, what: &'static str) -> Result<String, TomlFileError> {
    std::fs::read_to_string(path).map_err(|source| TomlFileError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

/// What the parser says of the text of a file.
pub fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> TomlFileError {
    let (line, problem) = (line_of(text, error), error.message().to_owned());
    TomlFileError::Syntax { path: path.to_owned(), line, problem }
}

/// The line of `text` at which an error is, from 1.
pub(super) fn line_of(text: &str, error: &toml::de::Error) -> usize {
    line_at(text, error.span().map_or(0, |span| span.start))
}

/// The line of `text` at this byte, from 1.
pub fn line_at(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_mistake_is_named_with_its_line_and_a_missing_file_with_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.toml");
        let read =
            || read::<BTreeMap<String, u32>>(&path, "list of numbers").map_err(|error| error.to_string());
        assert!(read().unwrap_err().starts_with("cannot read the list of numbers "));
        std::fs::write(&path, "one = 1\ntwo = 'b'\n").unwrap();
        let said = read().unwrap_err();
        assert!(said.contains("file.toml:2: ") && said.contains("invalid type"), "{said}");
        std::fs::write(&path, "one = 1\n").unwrap();
        assert_eq!(read().unwrap()["one"], 1);
    }
}
