//! Secret files, and the data directory's owner.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::config::Config;
use keymoot_command::Failure;
use keymoot_crypto::{Keyring, secret_file};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let credential = config.admin.credential_file.as_deref();
    let secrets = [
        ("cluster.key_file", Some(config.cluster.key_file.as_path())),
        ("admin.credential_file", credential.filter(|file| file.exists())),
        ("http.tls_key_file", config.http.tls_key_file.as_deref()),
        ("http.metrics_token_file", config.http.metrics_token_file.as_deref()),
        ("packager.tls_key_file", config.packager.tls_key_file.as_deref()),
    ];
    let secrets = secrets.into_iter().filter_map(|(key, path)| Some(secret(key, path?)));
    let mut findings: Vec<Finding> = secrets.collect();
    if let Some(file) = credential.filter(|file| !file.exists()) {
        findings.push(Finding::ok(
            "admin.credential_file",
            format!(
                "{} is not there: commands prove the keyring until an operator's credential is",
                file.display()
            ),
        ));
    }
    for receiver in &config.audit.receiver {
        let key = format!("audit receiver {}", receiver.name);
        findings.extend(receiver.secret_files().map(|path| secret(&key, path)));
    }
    let mut servers = config.license_servers.clone();
    findings.extend(servers.secret_files_mut().map(|(key, path)| secret(key, path)));
    findings.push(keyring(config));
    findings.push(data_directory(&config.node.data_dir));
    findings
}

fn secret(key: &str, path: &Path) -> Finding {
    match secret_file::read(path) {
        Ok(_) => Finding::ok(key, format!("{} is there, and its owner's alone", path.display())),
        Err(error) => {
            let fix = format!(
                "put the file there, owned by the user that runs the node: chmod 600 {}",
                path.display()
            );
            Finding::fail(key, Failure::runtime(error).message(), fix)
        }
    }
}

fn keyring(config: &Config) -> Finding {
    const KEY: &str = "keys.keyring_file";
    let path = &config.keys.keyring_file;
    if config.node.witness {
        return match path.exists() {
            false => Finding::ok(KEY, "a witness has no keyring, and none is here"),
            true => Finding::fail(KEY, format!("{} is on a witness", path.display()), "remove the file"),
        };
    }
    match Keyring::load(path) {
        Ok(keyring) => {
            let saw = format!("{} master keys, {} is active", keyring.fingerprints().len(), keyring.active());
            Finding::ok(KEY, saw)
        }
        Err(error) => {
            let fix = format!("copy the keyring of the other nodes there: chmod 600 {}", path.display());
            Finding::fail(KEY, Failure::runtime(error).message(), fix)
        }
    }
}

fn data_directory(path: &Path) -> Finding {
    const CHECK: &str = "data directory";
    let found = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            let saw = format!("{} is a file", path.display());
            return Finding::fail(CHECK, saw, "name a directory in node.data_dir");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(CHECK, format!("{} is made at the first start", path.display()));
        }
        Err(error) => {
            let saw = format!("cannot look at {}: {error}", path.display());
            return Finding::fail(CHECK, saw, "give it to the user that runs the node");
        }
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let saw = format!("{} has mode {mode:04o}", path.display());
        return Finding::warn(
            CHECK,
            saw,
            format!("chmod 700 {}; the node does so when it starts", path.display()),
        );
    }
    Finding::ok(CHECK, format!("{} is its owner's alone", path.display()))
}
