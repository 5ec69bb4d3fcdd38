//! Accounts: who may ask, with what credential, from where.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AccountId, Wrapped};

/// The part of the API that a credential gives access to. A credential of one scope grants no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Content keys, for scramblers.
    Encryption,
    License,
    Policy,
    /// Nothing. Old records may have it; no new credential gets it.
    Admin,
}

/// How a request proves that its sender holds the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// uDRM 2.3.1: Base64(SHA1(key + data)).
    #[serde(rename = "udrm-sha1")]
    UdrmSha1,
    /// HTTP Message Signatures (RFC 9421) with a shared secret, `hmac-sha256`.
    #[serde(rename = "http-hmac-sha256")]
    HttpHmacSha256,
    /// HTTP Message Signatures (RFC 9421) with the client's own key pair, `ed25519`.
    #[serde(rename = "http-ed25519")]
    HttpEd25519,
    /// HTTP Basic (RFC 7617), over TLS only.
    #[serde(rename = "basic")]
    Basic,
    /// HTTP Digest (RFC 7616) with SHA-256, over TLS only.
    #[serde(rename = "digest")]
    Digest,
    /// The certificate that the client showed when it connected.
    #[serde(rename = "mutual-tls")]
    MutualTls,
    /// Widevine common encryption API: AES-256-CBC of the request's SHA-1.
    #[serde(rename = "widevine-aes")]
    WidevineAes,
    /// Widevine common encryption API: RSASSA-PSS with SHA-1; the secret is the public key in PEM.
    #[serde(rename = "widevine-rsa")]
    WidevineRsa,
    /// AWS Signature Version 4: the credential's name is the access key id, its secret the secret access key.
    #[serde(rename = "aws-sigv4")]
    AwsSigV4,
}

/// Something an account proves itself with. Several of one scope may be valid at once, for roll-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Names the credential within its account, for roll-over and the log.
    pub name: String,
    pub scope: Scope,
    /// How the sender proves that it holds the credential.
    pub scheme: Scheme,
    /// The signing key's text bytes, wrapped.
    pub secret: Wrapped,
    /// When it was added: milliseconds since 1970 UTC.
    pub created_at_ms: u64,
}

/// How fresh the answers to this account's reads are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Every read sees every write acknowledged before it, on any node.
    #[default]
    Linearizable,
    /// Reads answer from the node's own applied state, even when it is cut off from the quorum.
    Local,
}

/// Whether encryption answers are an object or an array of one object; clients differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseShape {
    /// The shape that the known clients of the path expect.
    #[default]
    ByPath,
    Object,
    /// Always an array of exactly one object.
    Array,
}

/// An account of the platform, as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    /// The `ca_system` values its requests may carry, lower case; empty accepts any.
    pub ca_systems: Vec<String>,
    pub credentials: Vec<Credential>,
    /// Networks whose addresses may reach the encryption endpoints (uDRM 2.5.1). Empty: none.
    pub allow_list: Vec<IpNet>,
    pub consistency: Consistency,
    pub response_shape: ResponseShape,
    /// Where players ask for licenses, announced in encryption answers.
    pub license_url: Option<String>,
    /// When the account was made: milliseconds since 1970 UTC.
    pub created_at_ms: u64,
    /// The weakest scheme that proves this account's requests; `None` accepts every scheme.
    pub minimum_scheme: Option<Scheme>,
    /// Whether packagers that cannot sign are served by the Widevine common encryption API and by
    /// PlayReady's AcquirePackagingData; the allow-list is then the only check.
    pub allow_unsigned_packagers: bool,
    /// The `LA_URL` of the account's PlayReady headers; with `None` they carry none.
    pub playready_la_url: Option<String>,
}
