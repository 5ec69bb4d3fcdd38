//! The configuration of one node: one struct, every key with a default, every value with the
//! place it came from.
//!
//! Values come from the defaults, then the file, then the environment (`KEYMOOT__SECTION__KEY`);
//! the later wins. A key that is not known is refused, in the file as in the environment: a
//! misspelt security key must stop the boot. The configuration holds no secret, only paths of
//! secret files. `config/keymoot.toml` shows every key with its default; a test holds the two
//! together.

mod accounts;
mod entitlements;
mod error;
mod license_servers;
mod log_level;
mod path_keys;
mod profile;
mod sections;
mod server_url;
mod settings;
mod values;

mod validate;

pub use accounts::{AccountEntry, AccountsFileError, CredentialEntry, SigningKey, load_accounts};
pub use entitlements::{AdapterKind, EntitlementEntry, EntitlementsFileError, load_entitlements};
pub use error::{ConfigError, Problem};
pub use license_servers::LicenseServers;
pub use log_level::LogLevelError;
pub use profile::NetworkProfile;
pub use sections::{
    Accounts, Cluster, Config, Disk, Http, Keys, License, Limits, Log, LogFormat, Node, Packager, Raft, Store,
};
pub use server_url::{ServerUrl, ServerUrlError};
pub use settings::{ENV_PREFIX, Loaded, Origin, Setting};
pub use values::{
    PackagerAccount, PackagerAccountError, PeerAddress, PeerAddressError, WebOrigin, WebOriginError,
};
