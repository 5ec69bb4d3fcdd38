//! `dev.json`: what `keymoot dev` says of its cluster to scripts and tests.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::RigError;

/// The file.
#[derive(Deserialize)]
pub struct DevFile {
    /// In the order of their ids.
    pub nodes: Vec<DevNode>,
    /// The demo account.
    pub account: DevAccount,
}

/// A node.
#[derive(Deserialize)]
pub struct DevNode {
    /// Its number in the cluster.
    pub id: u64,
    /// A base URL on loopback.
    pub api: String,
    /// Its process.
    pub pid: u32,
    /// Its directory.
    pub dir: PathBuf,
}

/// An account.
#[derive(Deserialize)]
pub struct DevAccount {
    /// Its name.
    pub account_id: String,
    /// What its requests carry.
    pub ca_system: String,
    /// One for each scope.
    pub signing_keys: DevSigningKeys,
}

/// Signing keys, as text.
#[derive(Deserialize)]
pub struct DevSigningKeys {
    /// Opens the encryption endpoints.
    pub encryption: String,
    /// Opens the license endpoints.
    pub license: String,
}

/// Reads the file.
///
/// # Errors
/// When it is not there yet, or not as it is documented.
pub fn read(path: &Path) -> Result<DevFile, RigError> {
    let bytes = std::fs::read(path).map_err(RigError::at("read", path))?;
    // The parser's own words could repeat a signing key.
    serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        RigError::Answer(format!("{} is not as documented at {line}:{column}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_documented_is_read_and_another_is_refused_without_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.json");
        let text = r#"{"nodes":[{"id":1,"api":"http://127.0.0.1:1","pid":2,"dir":"node-1"}],"ca":"ca.pem",
            "account":{"account_id":"a","ca_system":"OVP","signing_keys":{"encryption":"SECRET","license":"l"}}}"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(&path).unwrap().nodes[0].pid, 2);
        std::fs::write(&path, text.replace("{\"encryption\":\"SECRET\",\"license\":\"l\"}", "\"SECRET\""))
            .unwrap();
        let error = read(&path).err().unwrap().to_string();
        assert!(error.contains("dev.json") && !error.contains("SECRET"), "{error}");
    }
}
