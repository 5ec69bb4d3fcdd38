//! Why a configuration is refused. Every message names the file or variable, and the key.

use std::fmt;

use keymoot_crypto::toml_file::TomlFileError;

use super::settings::Origin;

/// Why there is no configuration. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read, or is not TOML.
    #[error(transparent)]
    File(#[from] TomlFileError),
    /// A section or key that does not exist.
    #[error("{origin}: unknown key `{key}`{}", suggestion(.near))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key, with its section.
        key: String,
        /// An existing key that it resembles.
        near: Option<String>,
    },
    /// An environment variable that is not UTF-8.
    #[error("environment variable {variable} is not UTF-8 text")]
    NotText {
        /// The variable's name.
        variable: String,
    },
    /// Values that cannot be used, all of them.
    #[error("{}", joined(.0))]
    Invalid(Vec<Problem>),
}

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from.
    pub origin: Origin,
    /// The key, with its section.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.problem)
    }
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
