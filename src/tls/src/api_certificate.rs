//! What a certificate that a node made for its API listener says: whether it is still the one wanted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;

use super::config::{Validity, validity};
use super::node_key::NodeKey;

/// A certificate of an API listener, followed by that of the authority that signed it.
#[derive(Debug)]
pub struct ApiCertificate {
    /// Its DNS names and addresses.
    names: BTreeSet<String>,
    validity: Validity,
    public_key: Vec<u8>,
    authority: CertificateDer<'static>,
}

impl ApiCertificate {
    /// Reads both from PEM; `None` when the text holds anything else.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
        let [own, authority] = <[_; 2]>::try_from(chain).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&own).ok()?;
        let alternatives = parsed.subject_alternative_name().ok()??;
        let names = alternatives.value.general_names.iter().map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        });
        Some(Self {
            names: names.collect::<Option<_>>()?,
            validity: validity(&own)?,
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            authority,
        })
    }

    /// Whether it stands for these names beside those of this host, and for no others.
    pub fn is_for(&self, names: &[&str]) -> bool {
        let canonical = |name: &str| name.parse::<IpAddr>().map_or(name.to_owned(), |it| it.to_string());
        let wanted: BTreeSet<String> =
            names.iter().copied().chain(["localhost", "127.0.0.1", "::1"]).map(canonical).collect();
        self.names == wanted
    }

    /// Whether it belongs to this key.
    pub fn is_of(&self, key: &NodeKey) -> bool {
        self.public_key == key.public_key()
    }

    /// Whether this authority, in PEM, signed it.
    pub fn is_signed_by(&self, authority_pem: &str) -> bool {
        CertificateDer::from_pem_slice(authority_pem.as_bytes()).is_ok_and(|it| it == self.authority)
    }

    /// Whether clients believe it at `now_s`, seconds since 1970 UTC.
    pub fn is_valid(&self, now_s: i64) -> bool {
        (self.validity.not_before_s..self.validity.not_after_s).contains(&now_s)
    }

    /// Whether a third of its life or less is left at `now_s`.
    pub fn is_due(&self, now_s: i64) -> bool {
        let Validity { not_before_s, not_after_s } = self.validity;
        let life_s = not_after_s.saturating_sub(not_before_s);
        !self.is_valid(now_s) || not_after_s.saturating_sub(now_s) <= life_s / 3
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterCa, NodeRequest};
    use keymoot_model::ClusterName;

    const DAY_S: i64 = 86_400;

    #[test]
    fn it_is_due_in_the_last_third_of_its_life_and_when_anything_about_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("key.pem")).unwrap();
        let ca = || ClusterCa::generate(&ClusterName::new("moot").unwrap()).unwrap();
        let (own, other) = (ca(), ca());
        let request = NodeRequest::from_der(&key.request().unwrap()).unwrap();
        let names = ["km1.example.net", "fd00:0::1", "10.1.2.3"];
        let pem = own.issue_api_for(&names, 90, &request).unwrap() + own.certificate_pem();
        let made = ApiCertificate::from_pem(pem.as_bytes()).unwrap();
        assert!(made.is_for(&names) && !made.is_for(&names[..2]) && !made.is_for(&[]));
        let another = NodeKey::load_or_create(&dir.path().join("another.pem")).unwrap();
        assert!(made.is_of(&key) && !made.is_of(&another));
        assert!(made.is_signed_by(own.certificate_pem()) && !made.is_signed_by(other.certificate_pem()));
        let now_s = time::OffsetDateTime::now_utc().unix_timestamp();
        let due = |days: i64| (made.is_valid(now_s + days * DAY_S), made.is_due(now_s + days * DAY_S));
        assert_eq!((due(0), due(58), due(61)), ((true, false), (true, false), (true, true)));
        assert_eq!((due(91), due(-2)), ((false, true), (false, true)), "ended, and not begun yet");
        assert!(ApiCertificate::from_pem(own.certificate_pem().as_bytes()).is_none());
    }
}
