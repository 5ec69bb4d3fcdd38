//! The configuration of one node: one struct, every key with a default, every value with the
//! place it came from.
//!
//! Values come from the defaults, then the file, then the environment (`KEYMOOT__SECTION__KEY`);
//! the later wins. A key that is not known is refused, in the file as in the environment: a
//! misspelt security key must stop the boot. The configuration holds no secret, only paths of
//! secret files. `config/keymoot.toml` shows every key with its default; a test holds the two
//! together.

mod error;
mod log_level;
mod path_keys;
mod sections;
mod settings;
mod validate;

pub use error::{ConfigError, Problem};
pub use log_level::LogLevelError;
pub use sections::{
    ANY_AUTHORITY, Accounts, Config, Keys, LIST_AUTHORITIES, License, Limits, Log, LogFormat,
};
pub use settings::{ENV_PREFIX, Loaded, Origin, Setting};
