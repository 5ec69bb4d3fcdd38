//! A credential that is being made: nothing is asked for before its file can be written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::CertificateOutput;
use crate::cli::Failure;
use crate::cli::clock::instant;
use crate::cli::operator::say;
use keymoot_cluster::{CertificateWish, EnrolledCertificate};
use keymoot_crypto::secret_file;
use keymoot_tls::OperatorKey;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// A credential without a registered certificate yet.
pub(super) struct NewCredential {
    file: PathBuf,
    key: Holder,
    life: Duration,
}

/// Who holds the key, and what there is of the certificate.
enum Holder {
    Here(Box<OperatorKey>),
    /// Another one, who sent this request in PEM.
    Requested(String),
    /// Another one, who has this certificate in PEM.
    Issued(String),
}

impl NewCredential {
    /// Makes the key, or reads what another one has.
    pub(super) fn begin(output: &CertificateOutput, name: &str) -> Result<Self, Failure> {
        let file = output.out.clone().unwrap_or_else(|| format!("{name}.pem").into());
        let key = match (&output.request, &output.issued) {
            (Some(request), _) => Holder::Requested(read(request)?),
            (None, Some(issued)) => Holder::Issued(certificate_in(issued)?),
            (None, None) => Holder::Here(Box::new(new_key()?)),
        };
        if !matches!(key, Holder::Issued(_)) && file.exists() {
            return Err(Failure::misuse(format!("{} exists and is not overwritten", file.display()))
                .hint("name another file with --out"));
        }
        Ok(Self { file, key, life: output.life.0 })
    }

    /// The certificate request and the certificate, both in PEM: one of them is there.
    pub(super) fn pems(&self) -> Result<(Option<String>, Option<String>), Failure> {
        Ok(match &self.key {
            Holder::Here(key) => (Some(key.request_pem().map_err(Failure::runtime)?), None),
            Holder::Requested(request) => (Some(request.clone()), None),
            Holder::Issued(certificate) => (None, Some(certificate.clone())),
        })
    }

    /// The same as the peer port takes it.
    pub(super) fn wish(&self) -> Result<CertificateWish, Failure> {
        if let Holder::Issued(certificate_pem) = &self.key {
            return Ok(CertificateWish::Register { certificate_pem: certificate_pem.clone() });
        }
        let pem = self.pems()?.0.unwrap_or_default();
        let request = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Failure::misuse("the certificate request must be PKCS #10 in PEM"))?;
        Ok(CertificateWish::Sign { request: request.to_vec(), life_s: self.life.as_secs() })
    }

    /// Writes the file.
    pub(super) fn finish(self, signed: &EnrolledCertificate) -> Result<(), Failure> {
        let EnrolledCertificate { certificate_pem, authority_pem, .. } = signed;
        match self.key {
            Holder::Here(key) => {
                let text = key.credential(certificate_pem, authority_pem);
                secret_file::create(&self.file, text.as_bytes()).map_err(Failure::runtime)?;
            }
            Holder::Requested(_) => {
                let text = format!("{}\n{}\n", certificate_pem.trim(), authority_pem.trim());
                secret_file::create_public(&self.file, text.as_bytes()).map_err(Failure::runtime)?;
            }
            Holder::Issued(_) => {
                say(&format!("registered {}\n", told(signed)));
                return Ok(());
            }
        }
        say(&written(&self.file, signed));
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::misuse(format!("cannot read {}: {error}", path.display())))
}

/// The first certificate in a file. Nothing else of it leaves: the file may hold the key, too.
fn certificate_in(path: &Path) -> Result<String, Failure> {
    const MARKS: [&str; 2] = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"];
    let text = Zeroizing::new(read(path)?);
    let found = text.find(MARKS[0]).and_then(|begin| {
        let own = text.get(begin..)?;
        Some(own.get(..own.find(MARKS[1])? + MARKS[1].len())?.to_owned())
    });
    found.ok_or_else(|| Failure::misuse(format!("{} holds no certificate in PEM", path.display())))
}

/// A new key.
pub(super) fn new_key() -> Result<OperatorKey, Failure> {
    OperatorKey::generate().map_err(Failure::runtime)
}

/// What is said of a file that was written.
pub(super) fn written(file: &Path, signed: &EnrolledCertificate) -> String {
    format!("wrote {}, {}\n", file.display(), told(signed))
}

fn told(signed: &EnrolledCertificate) -> String {
    format!(
        "good until {}, fingerprint {}",
        instant(signed.expires_at_s.saturating_mul(1000)),
        signed.fingerprint
    )
}
