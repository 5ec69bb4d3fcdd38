//! `dev.json`: the description of its cluster that `keymoot dev` writes for scripts and tests.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::RigError;

#[derive(Deserialize)]
pub struct DevFile {
    /// The nodes in the order of their ids.
    pub nodes: Vec<DevNode>,
    pub account: DevAccount,
}

#[derive(Deserialize)]
pub struct DevNode {
    /// The node's id in the cluster.
    pub id: u64,
    /// A base URL on loopback.
    pub api: String,
    /// Its process id.
    pub pid: u32,
    pub dir: PathBuf,
}

#[derive(Deserialize)]
pub struct DevAccount {
    pub account_id: String,
    /// The `ca_system` of its requests.
    pub ca_system: String,
    /// One signing key per scope.
    pub signing_keys: DevSigningKeys,
}

/// Signing keys, as text.
#[derive(Deserialize)]
pub struct DevSigningKeys {
    /// The key for encryption endpoints.
    pub encryption: String,
    /// The key for license endpoints.
    pub license: String,
}

/// Reads the file.
///
/// # Errors
/// When it does not exist yet, or does not have its documented shape.
pub fn read(path: &Path) -> Result<DevFile, RigError> {
    let bytes = std::fs::read(path).map_err(RigError::at("read", path))?;
    // The parser's message could repeat a signing key, so it is not used.
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
