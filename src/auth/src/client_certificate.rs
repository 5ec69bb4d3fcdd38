//! The certificate that a client showed when it connected, and which credential it fits.
//!
//! TLS has checked by then that the certificate is of the configured authority and that the client
//! holds its key. A credential names the certificate by its SHA-256 fingerprint, which fits one
//! certificate for ever, or by a subject alternative name, which fits its successors too.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// How many marks are described.
const MARKS_DESCRIBED_MAX: usize = 4;

/// What is known of a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// `sha256:` and lower-case hexadecimal digits, then each name: `dns:`, `uri:` or `email:`.
    marks: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate in DER; `None` when it is none.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let fingerprint = format!("sha256:{}", base16ct::lower::encode_string(digest(&SHA256, der).as_ref()));
        let mut marks = vec![fingerprint];
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            marks.extend(names.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(format!("dns:{}", name.to_ascii_lowercase())),
                GeneralName::URI(uri) => Some(format!("uri:{uri}")),
                GeneralName::RFC822Name(email) => Some(format!("email:{email}")),
                _ => None,
            }));
        }
        Some(Self { marks })
    }

    /// The fingerprint, as a credential states it.
    pub fn fingerprint(&self) -> &str {
        self.marks.first().map_or("", String::as_str)
    }

    /// Its marks, for the log: that of the certificate itself and the first of its names.
    pub(super) fn described(&self) -> String {
        self.marks.iter().take(MARKS_DESCRIBED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether a credential's mark is one of the certificate's. None of it is secret.
    pub(super) fn bears(&self, mark: &[u8]) -> bool {
        self.marks.iter().any(|own| own.as_bytes() == mark)
    }

    /// Puts a mark into the one form that is compared; `None` when it is no mark.
    pub fn mark(text: &str) -> Option<String> {
        match text.split_once(':')? {
            ("sha256", digits) => {
                let digits: String = digits.chars().filter(|c| *c != ':').collect();
                let is_digest = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                is_digest.then(|| format!("sha256:{}", digits.to_ascii_lowercase()))
            }
            ("dns", name) if !name.is_empty() => Some(format!("dns:{}", name.to_ascii_lowercase())),
            ("uri" | "email", name) if !name.is_empty() => Some(text.to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate for this DNS name.
    pub(crate) fn certificate(name: &str) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        ClientCertificate::parse(made.der()).unwrap()
    }

    #[test]
    fn a_certificate_bears_its_fingerprint_and_its_names_and_no_others() {
        let one = certificate("Packager.example.net");
        let two = certificate("packager.example.net");
        assert!(one.bears(b"dns:packager.example.net") && one.bears(one.fingerprint().as_bytes()));
        assert!(!one.bears(two.fingerprint().as_bytes()));
        assert!(!one.bears(b"packager.example.net") && !one.bears(b""));
    }

    #[test]
    fn marks_are_written_in_one_form() {
        let digits = "AB:".repeat(31) + "cd";
        assert_eq!(
            ClientCertificate::mark(&format!("sha256:{digits}")).unwrap(),
            format!("sha256:{}cd", "ab".repeat(31))
        );
        assert_eq!(ClientCertificate::mark("dns:A.b").as_deref(), Some("dns:a.b"));
        for bad in ["", "sha256:ab", "dns:", "name", "sha1:ab"] {
            assert_eq!(ClientCertificate::mark(bad), None, "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_none() {
        assert_eq!(ClientCertificate::parse(b"no"), None);
    }
}
