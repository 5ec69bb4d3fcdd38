//! Which keys are paths, and what a relative one is relative to.
//!
//! A path in the file is relative to the file, so that a directory with its configuration can
//! be moved as a whole; a path in the environment is relative to the working directory.

use std::path::PathBuf;

use super::Config;

impl Config {
    /// Every path that is set, with its key.
    pub(super) fn paths_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        [
            ("node.data_dir", Some(&mut self.node.data_dir)),
            ("cluster.ca_file", Some(&mut self.cluster.ca_file)),
            ("cluster.cert_file", Some(&mut self.cluster.cert_file)),
            ("cluster.key_file", Some(&mut self.cluster.key_file)),
            ("cluster.founding_ca_key_file", self.cluster.founding_ca_key_file.as_mut()),
            ("http.tls_cert_file", self.http.tls_cert_file.as_mut()),
            ("http.tls_key_file", self.http.tls_key_file.as_mut()),
            ("http.tls_client_ca_file", self.http.tls_client_ca_file.as_mut()),
            ("http.metrics_token_file", self.http.metrics_token_file.as_mut()),
            ("audit.dir", self.audit.log.dir.as_mut()),
            ("license.entitlements_file", self.license.entitlements_file.as_mut()),
            ("license.ca_file", self.license.ca_file.as_mut()),
            ("admin.credential_file", self.admin.credential_file.as_mut()),
            ("packager.tls_cert_file", self.packager.tls_cert_file.as_mut()),
            ("packager.tls_key_file", self.packager.tls_key_file.as_mut()),
            ("packager.tls_client_ca_file", self.packager.tls_client_ca_file.as_mut()),
            ("keys.keyring_file", Some(&mut self.keys.keyring_file)),
            ("accounts.file", self.accounts.file.as_mut()),
        ]
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)))
        .chain(self.license_servers.secret_files_mut())
        .chain(
            self.audit
                .receiver
                .iter_mut()
                .flat_map(|receiver| receiver.paths_mut().map(|path| ("audit.receiver", path))),
        )
    }
}
