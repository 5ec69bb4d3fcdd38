//! `dev.json`: the running cluster's addresses and keys for scripts. Its shape is public.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{DEMO_ACCOUNT, DEMO_CA_SYSTEM};
use keymoot_model::NodeId;

/// The file's content. It holds signing keys, so only its owner can read the file.
#[derive(Serialize)]
pub(super) struct Manifest<'a> {
    pub(super) nodes: Vec<ManifestNode<'a>>,
    pub(super) account: ManifestAccount<'a>,
    pub(super) ca: &'a Path,
}

/// A node as scripts see it.
#[derive(Serialize)]
pub(super) struct ManifestNode<'a> {
    pub(super) id: NodeId,
    pub(super) api: String,
    /// Where packagers ask that cannot sign; left out where they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) packager: Option<String>,
    pub(super) pid: u32,
    pub(super) dir: &'a Path,
}

/// The demo account.
#[derive(Serialize)]
pub(super) struct ManifestAccount<'a> {
    account_id: &'static str,
    ca_system: &'static str,
    signing_keys: SigningKeys<'a>,
}

#[derive(Serialize)]
struct SigningKeys<'a> {
    encryption: &'a str,
    license: &'a str,
}

impl<'a> ManifestAccount<'a> {
    /// The demo account with its two signing keys.
    pub(super) fn demo(encryption: &'a str, license: &'a str) -> Self {
        Self {
            account_id: DEMO_ACCOUNT,
            ca_system: DEMO_CA_SYSTEM,
            signing_keys: SigningKeys { encryption, license },
        }
    }
}

impl Manifest<'_> {
    /// Writes the file. A reader sees the old or the new content, never a part of it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = Zeroizing::new(serde_json::to_string_pretty(self)?);
        text.push('\n');
        let temporary: PathBuf = path.with_extension("json.new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_has_the_public_shape_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.json");
        let node = ManifestNode {
            id: 1,
            api: "http://127.0.0.1:8081".into(),
            packager: None,
            pid: 42,
            dir: Path::new("/d/node-1"),
        };
        let account = ManifestAccount::demo("e", "l");
        Manifest { nodes: vec![node], account, ca: Path::new("/d/ca.pem") }.write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "nodes": [{ "id": 1, "api": "http://127.0.0.1:8081", "pid": 42, "dir": "/d/node-1" }],
            "account": {
                "account_id": "demo",
                "ca_system": "OVP",
                "signing_keys": { "encryption": "e", "license": "l" },
            },
            "ca": "/d/ca.pem",
        });
        assert_eq!(read, expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
