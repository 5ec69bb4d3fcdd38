//! HTTP Message Signatures on requests (RFC 9421), and what they must cover here.
//!
//! A signature counts only if it covers the method, the whole address and, when there is a body,
//! its digest; if it says when it was made; and if it carries a nonce, so that it is good once.
//! All of that depends on the request alone, so its errors may be told to the caller. Whether the
//! signature is right is asked later, with an account's keys, in constant time.

use aws_lc_rs::{hmac, signature::ED25519, signature::UnparsedPublicKey};
use sfv::{BareItem, Dictionary, InnerList, Key, ListEntry, Parser};

use super::signature_base::{base, name_of};
use super::{AwsSignatureError, BaseError, ContentDigestError, CredentialName, Envelope, content_digest};
use keymoot_model::Scheme;

/// The tag that singles out the signature meant for this server when there are several.
pub const TAG: &str = "keymoot";
/// The longest nonce.
const NONCE_BYTES_MAX: usize = 128;
/// A shorter nonce could be met by chance.
const NONCE_BYTES_MIN: usize = 16;
/// The most components covered.
const COMPONENTS_MAX: usize = 32;
/// What stands in for the keys an account does not have: the base point of the curve.
const DUMMY_PUBLIC_KEY: [u8; 32] = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
};

/// For how long a signature is good, and how far clocks may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureWindow {
    /// The longest time from `created` until a signature is too old, whatever `expires` says.
    pub lifetime_s: u64,
    /// How far the clocks of client and server may differ.
    pub clock_skew_s: u64,
}

impl SignatureWindow {
    /// The longest lifetime that can be configured: spent nonces are kept for long enough for it.
    pub const LIFETIME_S_MAX: u64 = 300;
    /// The largest difference of clocks that can be configured.
    pub const CLOCK_SKEW_S_MAX: u64 = 60;
}

impl Default for SignatureWindow {
    fn default() -> Self {
        Self { lifetime_s: 300, clock_skew_s: 30 }
    }
}

/// Why a request's message signature is refused before any key is tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpSignatureError {
    /// The headers are not as the RFC has them.
    #[error("Signature-Input and Signature must be dictionaries with one label in common")]
    Form,
    /// More than one signature, and not exactly one of them for this server.
    #[error("several signatures: give the one for this server, and no other, the parameter tag=\"{TAG}\"")]
    Several,
    /// A parameter is missing or is not what it must be.
    #[error("the signature parameter {name} must be {expected}")]
    Parameter {
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Something is not covered that must be.
    #[error("the signature must cover {0}")]
    Uncovered(&'static str),
    /// There is no base.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// AWS's kind of signature.
    #[error(transparent)]
    Aws(#[from] AwsSignatureError),
    /// The body is not the one that was signed.
    #[error(transparent)]
    Digest(#[from] ContentDigestError),
    /// It was signed for another server.
    #[error(
        "the signature is for an authority (host and port) that is no name of this server; its operator lists those in \
         auth.authorities"
    )]
    Authority,
    /// It is too old, or from the future.
    #[error("the signature's time is past or not yet come; sign anew, and check this machine's clock")]
    Untimely,
}

/// A message signature of a request, ready to be verified.
pub struct HttpSignature {
    /// Who says to have made it.
    pub name: CredentialName,
    /// Which scheme it must be of, when it says so.
    pub scheme: Option<Scheme>,
    /// When it was made: seconds since 1970 UTC.
    pub created_s: u64,
    /// What makes it good only once.
    pub nonce: String,
    base: String,
    signature: Vec<u8>,
}

impl HttpSignature {
    /// The message signature of a request; `None` when it carries none.
    ///
    /// # Errors
    /// [`HttpSignatureError`], which depends on the request and the time alone.
    pub fn read(envelope: &Envelope, window: SignatureWindow) -> Result<Option<Self>, HttpSignatureError> {
        // `Signature` alone belongs to older conventions that proxies and viewers may still send.
        let Some(input) = envelope.header("signature-input") else { return Ok(None) };
        let signature = envelope.header("signature");
        let Some((covered, signature)) = own_signature(&input, signature.as_deref())? else {
            return Ok(None);
        };
        covers_what_it_must(&covered, envelope)?;
        let read = Self {
            name: CredentialName::parse(text(&covered, "keyid").unwrap_or_default())
                .ok_or(HttpSignatureError::Parameter { name: "keyid", expected: "ACCOUNT/CREDENTIAL" })?,
            scheme: scheme(&covered)?,
            created_s: timely(&covered, envelope.received_at_s, window)?,
            nonce: nonce(&covered)?,
            base: base(&covered, envelope)?,
            signature,
        };
        Ok(Some(read))
    }

    /// Whether a credential of this scheme with this secret made the signature.
    pub fn verify(&self, scheme: Scheme, secret: &[u8]) -> bool {
        match scheme {
            Scheme::HttpHmacSha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, self.base.as_bytes(), &self.signature).is_ok()
            }
            Scheme::HttpEd25519 => {
                UnparsedPublicKey::new(&ED25519, secret).verify(self.base.as_bytes(), &self.signature).is_ok()
            }
            _ => false,
        }
    }

    /// A key that costs as much to try as a true one of the scheme, and opens nothing.
    pub fn dummy_secret(scheme: Scheme) -> &'static [u8] {
        match scheme {
            Scheme::HttpEd25519 => &DUMMY_PUBLIC_KEY,
            _ => b"this key belongs to no account..",
        }
    }
}

impl std::fmt::Debug for HttpSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpSignature(by {:?}, created {})", self.name, self.created_s)
    }
}

/// The key ids of the signatures for this server, whether they prove anything or not.
pub(super) fn key_ids(envelope: &Envelope) -> Vec<String> {
    let input = envelope.header("signature-input").unwrap_or_default();
    let Ok(inputs) = Parser::new(&input).parse::<Dictionary>() else { return Vec::new() };
    let lists = inputs.values().filter_map(|entry| match entry {
        ListEntry::InnerList(list) => Some(list),
        ListEntry::Item(_) => None,
    });
    let own = lists.filter(|list| text(list, "tag").is_none_or(|tag| tag == TAG));
    own.filter_map(|list| text(list, "keyid").map(str::to_owned)).collect()
}

/// The covered components and the bytes of the one signature that is meant for this server: the one with its tag, or
/// else the one without any. Those with other tags are for others, and prove nothing here.
fn own_signature(
    input: &str,
    signature: Option<&str>,
) -> Result<Option<(InnerList, Vec<u8>)>, HttpSignatureError> {
    let parse = |text: &str| Parser::new(text).parse::<Dictionary>().map_err(|_| HttpSignatureError::Form);
    let inputs = parse(input)?;
    let mut signatures = parse(signature.ok_or(HttpSignatureError::Form)?)?;
    let (mut tagged, mut untagged): (Vec<&Key>, Vec<&Key>) = (Vec::new(), Vec::new());
    for (label, entry) in &inputs {
        let ListEntry::InnerList(list) = entry else { return Err(HttpSignatureError::Form) };
        match list.params.get("tag") {
            None => untagged.push(label),
            Some(BareItem::String(tag)) if tag.as_str() == TAG => tagged.push(label),
            Some(BareItem::String(_)) => {}
            Some(_) => return Err(HttpSignatureError::Parameter { name: "tag", expected: "a string" }),
        }
    }
    let label = match (tagged.as_slice(), untagged.as_slice()) {
        ([label], _) | ([], [label]) => (*label).clone(),
        ([], []) if inputs.is_empty() => return Err(HttpSignatureError::Form),
        ([], []) => return Ok(None),
        _ => return Err(HttpSignatureError::Several),
    };
    let Some(ListEntry::InnerList(covered)) = inputs.get(&label) else {
        return Err(HttpSignatureError::Form);
    };
    match signatures.swap_remove(&label) {
        Some(ListEntry::Item(item)) => match item.bare_item {
            BareItem::ByteSequence(bytes) => Ok(Some((covered.clone(), bytes))),
            _ => Err(HttpSignatureError::Form),
        },
        _ => Err(HttpSignatureError::Form),
    }
}

fn covers_what_it_must(covered: &InnerList, envelope: &Envelope) -> Result<(), HttpSignatureError> {
    if covered.items.len() > COMPONENTS_MAX {
        return Err(HttpSignatureError::Uncovered("at most 32 components"));
    }
    let covers =
        |name: &str| covered.items.iter().any(|item| name_of(item) == Some(name) && item.params.is_empty());
    if !covers("@method") {
        return Err(HttpSignatureError::Uncovered("@method"));
    }
    let covers_address = covers("@target-uri") || ["@authority", "@path", "@query"].into_iter().all(covers);
    if !covers_address {
        return Err(HttpSignatureError::Uncovered("@target-uri, or @authority, @path and @query"));
    }
    let digest = envelope.header("content-digest");
    let covers_body = envelope.body.is_empty() || (digest.is_some() && covers("content-digest"));
    if !covers_body {
        return Err(HttpSignatureError::Uncovered("content-digest, because there is a body"));
    }
    match digest {
        Some(digest) => Ok(content_digest::check(&digest, &envelope.body)?),
        None => Ok(()),
    }
}

fn text<'l>(covered: &'l InnerList, name: &str) -> Option<&'l str> {
    match covered.params.get(name) {
        Some(BareItem::String(text)) => Some(text.as_str()),
        _ => None,
    }
}

fn seconds(covered: &InnerList, name: &'static str) -> Result<Option<u64>, HttpSignatureError> {
    let wrong = HttpSignatureError::Parameter { name, expected: "the seconds since 1970 UTC" };
    match covered.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => u64::try_from(*seconds).map(Some).map_err(|_| wrong),
        Some(_) => Err(wrong),
    }
}

/// When it was made, if it is good at `now_s`.
fn timely(covered: &InnerList, now_s: u64, window: SignatureWindow) -> Result<u64, HttpSignatureError> {
    let missing = HttpSignatureError::Parameter { name: "created", expected: "the seconds since 1970 UTC" };
    let created = seconds(covered, "created")?.ok_or(missing)?;
    let oldest = created.saturating_add(window.lifetime_s);
    let end = seconds(covered, "expires")?.map_or(oldest, |expires| expires.min(oldest));
    let is_timely = created <= now_s.saturating_add(window.clock_skew_s)
        && now_s <= end.saturating_add(window.clock_skew_s)
        && created <= end;
    if is_timely { Ok(created) } else { Err(HttpSignatureError::Untimely) }
}

fn nonce(covered: &InnerList) -> Result<String, HttpSignatureError> {
    match text(covered, "nonce") {
        Some(nonce) if (NONCE_BYTES_MIN..=NONCE_BYTES_MAX).contains(&nonce.len()) => Ok(nonce.to_owned()),
        _ => Err(HttpSignatureError::Parameter {
            name: "nonce",
            expected: "16 to 128 characters that were never used before",
        }),
    }
}

fn scheme(covered: &InnerList) -> Result<Option<Scheme>, HttpSignatureError> {
    match (text(covered, "alg"), covered.params.contains_key("alg")) {
        (Some("hmac-sha256"), _) => Ok(Some(Scheme::HttpHmacSha256)),
        (Some("ed25519"), _) => Ok(Some(Scheme::HttpEd25519)),
        (None, false) => Ok(None),
        _ => Err(HttpSignatureError::Parameter { name: "alg", expected: "hmac-sha256 or ed25519" }),
    }
}

#[cfg(test)]
mod tests;
