//! The `Authorization` header: Basic (RFC 7617) and Digest with SHA-256 (RFC 7616).
//!
//! The user name is `ACCOUNT` or `ACCOUNT/CREDENTIAL`. Other kinds of the header, and such as
//! cannot be read, are no offer: proxies forward their viewers' headers, and those are nobody's
//! business here. Digest answers are bound to a nonce that any node of the cluster can check and
//! that is good for minutes; its count makes each answer good once.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{CredentialName, Envelope};

/// The realm of every challenge and answer.
pub const REALM: &str = "keymoot";
/// The longest header read.
const HEADER_BYTES_MAX: usize = 4096;

/// A user name and password.
pub struct BasicAnswer {
    pub name: CredentialName,
    password: Zeroizing<Vec<u8>>,
}

impl BasicAnswer {
    /// Whether the password is this one. Digests are compared, so that the time taken does not
    /// tell how long the right one is.
    pub fn verify(&self, secret: &[u8]) -> bool {
        Sha256::digest(&*self.password).ct_eq(&Sha256::digest(secret)).into()
    }

    /// The password. Do not copy it into anything that is not zeroized.
    pub fn expose(&self) -> &[u8] {
        &self.password
    }
}

/// The answer to a Digest challenge.
pub struct DigestAnswer {
    pub name: CredentialName,
    /// The challenge's nonce with the client's count behind it: shown once at most.
    pub nonce_use: String,
    /// When the challenge was made.
    pub created_s: u64,
    fields: DigestFields,
}

struct DigestFields {
    username: String,
    realm: String,
    nonce: String,
    count: String,
    client_nonce: String,
    method: String,
    uri: String,
    response: String,
}

impl DigestFields {
    fn expected(&self, password: &[u8]) -> String {
        let a1 = Sha256::new()
            .chain_update(&self.username)
            .chain_update(b":")
            .chain_update(&self.realm)
            .chain_update(b":")
            .chain_update(password)
            .finalize();
        let a2 = Sha256::digest(format!("{}:{}", self.method, self.uri));
        let Self { nonce, count, client_nonce, .. } = self;
        base16ct::lower::encode_string(&Sha256::digest(format!(
            "{}:{nonce}:{count}:{client_nonce}:auth:{}",
            base16ct::lower::encode_string(&a1),
            base16ct::lower::encode_string(&a2)
        )))
    }
}

impl DigestAnswer {
    /// Whether the answer was made with this password.
    pub fn verify(&self, secret: &[u8]) -> bool {
        let expected = self.fields.expected(secret);
        expected.as_bytes().ct_eq(self.fields.response.as_bytes()).into()
    }
}

/// Makes and checks the nonces of Digest challenges. No node remembers them: they carry the time
/// they were made and a tag that only this cluster can make.
pub struct DigestNonces {
    key: hmac::Key,
    lifetime_s: u64,
}

impl DigestNonces {
    /// With a key that all nodes of the cluster share.
    pub fn new(key: &[u8], lifetime_s: u64) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), lifetime_s }
    }

    /// A nonce for a challenge made now.
    pub fn issue(&self, now_s: u64) -> String {
        let time = now_s.to_be_bytes();
        let tag = hmac::sign(&self.key, &time);
        URL_SAFE_NO_PAD.encode([&time[..], tag.as_ref()].concat())
    }

    /// When the nonce was made, if this cluster made it and it is still good.
    fn created(&self, nonce: &str, now_s: u64) -> Option<u64> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (time, tag) = bytes.split_first_chunk::<8>()?;
        hmac::verify(&self.key, time, tag).ok()?;
        let created_s = u64::from_be_bytes(*time);
        // Nodes' clocks differ a little, so a nonce may seem to come from the future.
        (now_s.abs_diff(created_s) <= self.lifetime_s).then_some(created_s)
    }
}

/// What an `Authorization` header offers.
pub enum Authorization {
    Basic(BasicAnswer),
    /// An answer to a challenge.
    Digest(DigestAnswer),
    /// An answer to a challenge that is too old, or that this cluster did not make.
    Stale,
}

impl Authorization {
    /// Reads the header; `None` when it is not there or is not for this server.
    pub fn read(envelope: &Envelope, nonces: Option<&DigestNonces>) -> Option<Self> {
        let header = Zeroizing::new(envelope.header("authorization")?);
        if header.len() > HEADER_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest.trim()).map(Self::Basic);
        }
        if scheme.eq_ignore_ascii_case("digest") {
            return digest(rest, envelope, nonces?);
        }
        None
    }
}

/// The user name that the header bears, whether it proves anything or not.
pub(super) fn user_name(envelope: &Envelope) -> Option<String> {
    let header = Zeroizing::new(envelope.header("authorization")?);
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let answer = basic(rest.trim())?;
        let CredentialName { account, credential } = answer.name;
        return Some(
            credential.map_or_else(|| account.to_string(), |credential| format!("{account}/{credential}")),
        );
    }
    scheme.eq_ignore_ascii_case("digest").then(|| parameters(rest)?.remove("username"))?
}

fn basic(text: &str) -> Option<BasicAnswer> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (user, password) = bytes.split_at_checked(colon)?;
    let name = CredentialName::parse(std::str::from_utf8(user).ok()?)?;
    Some(BasicAnswer { name, password: Zeroizing::new(password.get(1..)?.to_vec()) })
}

fn digest(text: &str, envelope: &Envelope, nonces: &DigestNonces) -> Option<Authorization> {
    let mut given = parameters(text)?;
    let uri = given.remove("uri")?;
    let query = envelope.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    // A wrong address, quality or algorithm would be another request's answer.
    // A client that asks through a forward proxy may name the whole address.
    let is_for_this = [format!("{}{query}", envelope.path), envelope.target_uri()].contains(&uri)
        && given.get("realm").is_some_and(|realm| realm == REALM)
        && given.get("qop").is_some_and(|qop| qop == "auth")
        && given.get("algorithm").is_some_and(|name| name.eq_ignore_ascii_case("SHA-256"))
        && given
            .get("nc")
            .is_some_and(|count| count.len() == 8 && count.bytes().all(|b| b.is_ascii_hexdigit()));
    if !is_for_this {
        return None;
    }
    let fields = DigestFields {
        username: given.remove("username")?,
        realm: REALM.to_owned(),
        nonce: given.remove("nonce")?,
        count: given.remove("nc")?.to_ascii_lowercase(),
        client_nonce: given.remove("cnonce")?,
        method: envelope.method.clone(),
        uri,
        response: given.remove("response")?.to_ascii_lowercase(),
    };
    let name = CredentialName::parse(&fields.username)?;
    let Some(created_s) = nonces.created(&fields.nonce, envelope.received_at_s) else {
        return Some(Authorization::Stale);
    };
    let nonce_use = format!("{}:{}", fields.nonce, fields.count);
    Some(Authorization::Digest(DigestAnswer { name, nonce_use, created_s, fields }))
}

/// The parameters of a challenge's answer: `name=token` or `name="text"`, between commas.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, after) = after.split_at_checked(end)?;
                (value.trim().to_owned(), after)
            }
        };
        if found.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(found)
}

/// The text up to the closing quote, without its escapes, and what stands behind it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
