//! A request to add an operator, and the certificate that answers it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use keymoot_model::{Fingerprint, OperatorName, Role};

/// How long an operator's certificate is good, where nobody says: 90 days.
pub const OPERATOR_CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long it is good at most: 366 days.
pub const OPERATOR_CERTIFICATE_LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// An operator to be added, who has made a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEnrolment {
    pub name: OperatorName,
    pub roles: Vec<Role>,
    pub certificate: CertificateWish,
}

/// A certificate to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateWish {
    /// The cluster signs it.
    Sign {
        /// The certificate request in DER. Only its key counts, of which it holds a proof.
        request: Vec<u8>,
        /// For how long the certificate is to be good.
        life_s: u64,
    },
    /// It was issued already, by an authority that the nodes trust: this is it, in PEM.
    Register { certificate_pem: String },
}

/// A certificate that was signed and is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledCertificate {
    pub certificate_pem: String,
    /// The certificates of the authorities that the nodes' certificates may be of.
    pub authority_pem: String,
    pub fingerprint: Fingerprint,
    /// Its end: seconds since 1970 UTC.
    pub expires_at_s: u64,
}
