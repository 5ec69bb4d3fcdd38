//! The encryptor's side of SPEKE and CPIX, written from their descriptions.
//!
//! Shares no code with Keymoot. Documents are read as the plainest of clients read them: by the text of their tags.

mod answered;
mod aws;
mod document;

pub use answered::{Answered, AnsweredKey, AnsweredSystem};
pub use aws::AccessKey;
pub use document::{Document, DocumentKey, guid, kid_of};

use std::net::SocketAddr;

use crate::raw::{self, Answer};
use crate::{Cluster, RigError, secret_file};

/// An account whose encryptors sign as AWS's do, added by [`add_account`].
pub const ACCOUNT: &str = "Encryptors";
/// Its access key.
const ACCESS_KEY: &str = "AKIAENCRYPTOR";
const SECRET: &str = "an encryptor's secret access key, of forty letters";

/// Widevine, PlayReady, FairPlay.
pub const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
pub const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";
pub const FAIRPLAY: &str = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2";
/// The system of any player's, whose box lists the key ids.
pub const COMMON: &str = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/// What an encryptor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Speke1,
    Speke2_0,
    Speke2_1,
    Cpix,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Speke1, Self::Speke2_0, Self::Speke2_1, Self::Cpix];

    /// Where its documents go.
    pub fn path(self, account: &str) -> String {
        match self {
            Self::Speke1 => format!("/speke/v1.0/copyProtection/{account}"),
            Self::Speke2_0 | Self::Speke2_1 => format!("/speke/v2.0/copyProtection/{account}"),
            Self::Cpix => format!("/cpix/{account}"),
        }
    }

    /// The header that names it.
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Speke1 | Self::Cpix => None,
            Self::Speke2_0 => Some(("X-Speke-Version", "2.0")),
            Self::Speke2_1 => Some(("X-Speke-Version", "2.1")),
        }
    }
}

/// An encryptor of an account.
#[derive(Clone, Debug)]
pub struct Encryptor {
    pub account: String,
    key: AccessKey,
}

impl Encryptor {
    /// The bytes of a signed request with this document.
    pub fn request(&self, version: Version, document: &str) -> Vec<u8> {
        let path = version.path(&self.account);
        let signed = self.key.sign("POST", &path, raw::HOST, document.as_bytes());
        let mut head =
            format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/xml\r\n", raw::HOST);
        let headers = signed.iter().map(|(name, value)| (*name, value.as_str())).chain(version.header());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{document}", document.len()));
        head.into_bytes()
    }

    /// What it signs with.
    pub const fn access_key(&self) -> &AccessKey {
        &self.key
    }

    /// Sends a document and returns the answer, whatever it is.
    ///
    /// # Errors
    /// As for [`raw::exchange`].
    pub fn send(&self, node: SocketAddr, version: Version, document: &str) -> Result<Answer, RigError> {
        raw::exchange(node, &self.request(version, document), raw::ANSWER_WITHIN)
    }

    /// Asks for a document's keys.
    ///
    /// # Errors
    /// When there is no answer, or it is not the document filled in.
    pub fn ask(&self, node: SocketAddr, version: Version, document: &Document) -> Result<Answered, RigError> {
        Answered::read(&self.send(node, version, &document.text(version))?)
    }
}

/// Adds [`ACCOUNT`] to a running cluster, whose scramblers and players sign with the demo account's keys and whose
/// encryptors sign as AWS's do. `more` are further arguments.
///
/// # Errors
/// When the command fails.
pub fn add_account(cluster: &Cluster, more: &[&str]) -> Result<Encryptor, RigError> {
    let dir = cluster.dir();
    let secret = dir.join("encryptors.secret");
    secret_file::write(&secret, SECRET)?;
    let [encryption, license] =
        ["encryption.key", "license.key"].map(|name| dir.join(name).display().to_string());
    let credential = format!("{ACCESS_KEY}:encryption:aws-sigv4:{}", secret.display());
    let own =
        ["--encryption-key-file", &encryption, "--license-key-file", &license, "--credential", &credential];
    cluster.add_account(ACCOUNT, &[&own[..], more].concat())?;
    Ok(Encryptor { account: ACCOUNT.to_owned(), key: AccessKey::new(ACCESS_KEY, SECRET) })
}
