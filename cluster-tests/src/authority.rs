//! A certificate authority of the rig, and the certificates it has issued, as files.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use crate::{RigError, secret_file};

/// An authority in a directory of its own, whose certificate is `ca.pem`.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Errors
    /// When its directory cannot be written.
    pub fn new() -> Result<Self, RigError> {
        let key = KeyPair::generate().map_err(refused)?;
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(refused)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let dir = TempDir::with_prefix("keymoot-ca-").map_err(RigError::io("cannot make a directory"))?;
        // A name of its own: OpenSSL takes a certificate whose issuer has its subject's name for self-signed.
        let name =
            dir.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        params.distinguished_name.push(DnType::CommonName, name);
        let own = params.self_signed(&key).map_err(refused)?;
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, own.pem()).map_err(RigError::at("write", &path))?;
        Ok(Self { dir, issuer: Issuer::new(params, key) })
    }

    /// Issues a certificate for a DNS name or address, and writes `NAME.pem` and `NAME.key`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn issue(&self, name: &str) -> Result<(), RigError> {
        let key = KeyPair::generate().map_err(refused)?;
        let params = CertificateParams::new([name.to_owned()]).map_err(refused)?;
        let made = params.signed_by(&key, &self.issuer).map_err(refused)?;
        let path = self.path(&format!("{name}.pem"));
        std::fs::write(&path, made.pem()).map_err(RigError::at("write", &path))?;
        secret_file::write(&self.path(&format!("{name}.key")), &key.serialize_pem())
    }

    /// The directory of all files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The path of the file with this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same path as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn refused(error: rcgen::Error) -> RigError {
    RigError::Program(format!("no certificate could be made: {error}"))
}
