//! The workloads by name, and the systems that answer them.

use std::fmt;
use std::str::FromStr;

/// The system that answers a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Three nodes of Keymoot.
    Keymoot,
    /// The same behind TLS, with client certificates.
    KeymootTls,
    /// Three nodes of etcd.
    Etcd,
    /// This many processes of the bare actix-web server.
    Bare(usize),
}

/// The workloads. Figures use the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    BareOne,
    BareTwo,
    BareThree,
    BareLicense,
    BareDocument,
    Create,
    CreateAtLeader,
    CreateAtFollowers,
    EtcdPut,
    EtcdPutAtFollowers,
    Read,
    ReadAtLeader,
    ReadAtFollowers,
    ReadByPost,
    ReadByPostAtLeader,
    ReadByPostAtFollowers,
    EtcdGet,
    EtcdGetAtFollowers,
    Schedule,
    Widevine,
    WidevineCreate,
    License,
    Document,
    Mixed,
    TlsCreate,
    TlsRead,
}

impl Name {
    /// All workloads.
    pub const ALL: [Self; 26] = [
        Self::BareOne,
        Self::BareTwo,
        Self::BareThree,
        Self::BareLicense,
        Self::BareDocument,
        Self::Create,
        Self::EtcdPut,
        Self::CreateAtLeader,
        Self::CreateAtFollowers,
        Self::EtcdPutAtFollowers,
        Self::Read,
        Self::EtcdGet,
        Self::ReadAtLeader,
        Self::ReadAtFollowers,
        Self::EtcdGetAtFollowers,
        Self::ReadByPost,
        Self::ReadByPostAtLeader,
        Self::ReadByPostAtFollowers,
        Self::Schedule,
        Self::Widevine,
        Self::WidevineCreate,
        Self::License,
        Self::Document,
        Self::Mixed,
        Self::TlsCreate,
        Self::TlsRead,
    ];
    /// The workloads that the ratios need.
    pub const FOR_RATIOS: [Self; 12] = [
        Self::BareOne,
        Self::BareTwo,
        Self::BareLicense,
        Self::BareDocument,
        Self::Create,
        Self::EtcdPut,
        Self::Read,
        Self::EtcdGet,
        Self::ReadAtLeader,
        Self::ReadAtFollowers,
        Self::License,
        Self::Document,
    ];
    /// The workloads that compare Keymoot with etcd.
    pub const BESIDE_ETCD: [Self; 4] = [Self::Create, Self::EtcdPut, Self::Read, Self::EtcdGet];

    /// The name, the system, and a description of the requests.
    const fn row(self) -> (&'static str, System, &'static str) {
        use System::{Bare, Etcd, Keymoot, KeymootTls};
        match self {
            Self::BareOne => ("bare-1", Bare(1), "the answer of a read from one bare server"),
            Self::BareTwo => ("bare-2", Bare(2), "the same answer from two"),
            Self::BareThree => ("bare-3", Bare(3), "the same answer from three"),
            Self::BareLicense => {
                ("bare-3-licenses", Bare(3), "the answer of a license from three bare servers")
            }
            Self::BareDocument => {
                ("bare-3-documents", Bare(3), "the answer of a document from three bare servers")
            }
            Self::Create => ("create", Keymoot, "signed POST for new content, at all nodes"),
            Self::CreateAtLeader => ("create-at-leader", Keymoot, "creates at the leader only"),
            Self::CreateAtFollowers => ("create-at-followers", Keymoot, "creates at the followers only"),
            Self::EtcdPut => ("etcd-put", Etcd, "put of a new key with a value of 256 bytes, at all nodes"),
            Self::EtcdPutAtFollowers => ("etcd-put-at-followers", Etcd, "puts at the followers only"),
            Self::Read => {
                ("read", Keymoot, "signed GET of content that has a key, linearizable, at all nodes")
            }
            Self::ReadAtLeader => ("read-at-leader", Keymoot, "GETs at the leader only"),
            Self::ReadAtFollowers => ("read-at-followers", Keymoot, "GETs at the followers only"),
            Self::ReadByPost => {
                ("read-by-post", Keymoot, "signed POST for content that has a key, at all nodes")
            }
            Self::ReadByPostAtLeader => ("read-by-post-at-leader", Keymoot, "such POSTs at the leader only"),
            Self::ReadByPostAtFollowers => {
                ("read-by-post-at-followers", Keymoot, "such POSTs at the followers only")
            }
            Self::EtcdGet => ("etcd-get", Etcd, "linearizable get, at all nodes"),
            Self::EtcdGetAtFollowers => ("etcd-get-at-followers", Etcd, "gets at the followers only"),
            Self::Schedule => ("schedule", Keymoot, "the keys of three crypto periods of a live stream"),
            Self::Widevine => ("widevine", Keymoot, "Widevine API, AES signer, five tracks that have keys"),
            Self::WidevineCreate => {
                ("widevine-create", Keymoot, "the same for new content: five keys are made")
            }
            Self::License => ("license", Keymoot, "Clear Key license, at all nodes"),
            Self::Document => {
                ("document", Keymoot, "SPEKE 2.0: a known document of eight keys for three systems, SigV4")
            }
            Self::Mixed => ("mixed", Keymoot, "19 GETs and one create of every 20, at all nodes"),
            Self::TlsCreate => {
                ("tls-create", KeymootTls, "POST for new content, proved by a client certificate")
            }
            Self::TlsRead => ("tls-read", KeymootTls, "the same for content that has a key"),
        }
    }

    /// The name in tables.
    pub const fn text(self) -> &'static str {
        self.row().0
    }

    pub const fn system(self) -> System {
        self.row().1
    }

    /// A description of the requests.
    pub const fn asks(self) -> &'static str {
        self.row().2
    }

    /// The workload that it is compared with at the same rate in an open loop.
    pub const fn rival(self) -> Option<Self> {
        match self {
            Self::Create => Some(Self::EtcdPut),
            Self::EtcdPut => Some(Self::Create),
            Self::Read => Some(Self::EtcdGet),
            Self::EtcdGet => Some(Self::Read),
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|name| name.text() == text);
        known.ok_or_else(|| {
            format!("there is no such workload; there are {}", Self::ALL.map(Self::text).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_found_by_a_name_of_its_own() {
        for name in Name::ALL {
            assert_eq!(name.text().parse(), Ok(name));
            assert!(name.rival().is_none_or(|rival| rival.rival() == Some(name)));
        }
        assert!("reed".parse::<Name>().unwrap_err().contains("read-by-post"));
    }
}
