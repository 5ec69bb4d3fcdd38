//! AWS Signature Version 4 on requests, as clients of AWS sign them: the `Authorization` header alone, never the query.
//!
//! A signature counts only if it covers the host, the date and every header of AWS's own; if its date is of now; and if
//! the body is the one that was hashed. Region and service may be any: the secret is this cluster's own, so they bind
//! nothing. Clients differ in how often they escape a path, so it is held against both forms. Whether it is right is
//! asked with an account's secrets, in constant time.

use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};

use keymoot_model::TimeStamp;

use super::aws_canonical::{header_value, paths, query};
use super::{CredentialName, Envelope, SignatureWindow};

/// What stands before the parameters in the header.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What a credential's scope ends in.
const TERMINATOR: &str = "aws4_request";
/// The longest header read.
const HEADER_BYTES_MAX: usize = 4096;
/// The most headers signed.
const HEADERS_MAX: usize = 64;

/// Why a request's signature is refused before any key is tried. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsSignatureError {
    #[error(
        "Authorization must be {ALGORITHM} Credential=ID/DATE/REGION/SERVICE/{TERMINATOR}, SignedHeaders=…, Signature=…"
    )]
    Form,
    #[error(
        "the signature must cover the headers host, x-amz-date and every x-amz- header; {0} is not covered"
    )]
    Uncovered(String),
    #[error("the signature covers {0}, which the request does not have")]
    Absent(String),
    #[error("x-amz-date must be there once, as 20260131T235959Z, on the date of the credential's scope")]
    Date,
    #[error(
        "x-amz-content-sha256 must be the SHA-256 of the body; unsigned and streamed bodies are not taken"
    )]
    Body,
    #[error("a path that is signed must have no segments . and ..")]
    Path,
    #[error("the signature's time is past or not yet come; sign anew, and check this machine's clock")]
    Untimely,
}

/// Who an access key id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessKey {
    /// The name of a credential alone: AWS's own form.
    Id(String),
    /// Account and credential.
    Named(CredentialName),
}

impl AccessKey {
    fn parse(text: &str) -> Option<Self> {
        let is_bounded = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_bounded {
            return None;
        }
        match text.contains('/') {
            true => CredentialName::parse(text).map(Self::Named),
            false => Some(Self::Id(text.to_owned())),
        }
    }

    /// The access key that a request says it is signed with; `None` when it is not signed so.
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let header = envelope.header("authorization")?;
        let parts = Parts::read(&header)?.ok()?;
        Self::parse(parts.access_key)
    }

    /// Whether it may be the credential of this name of the account.
    pub fn means(&self, account: &keymoot_model::AccountId, credential: &str) -> bool {
        match self {
            Self::Id(id) => id == credential,
            Self::Named(name) => name.means(account, credential),
        }
    }
}

/// The signature of a request, ready to be verified.
pub struct AwsSignature {
    pub access_key: AccessKey,
    /// When it was made: seconds since 1970 UTC.
    pub created_s: u64,
    /// The host that it is for, as it was signed.
    pub host: String,
    /// What makes it good only once, where that is asked for.
    pub nonce: String,
    scope: Scope,
    /// What is signed, for each form of the path.
    to_sign: Vec<String>,
    signature: [u8; 32],
}

/// What a signing key is bound to.
struct Scope {
    date: String,
    region: String,
    service: String,
}

/// The parameters of the header, as they stand there.
struct Parts<'h> {
    access_key: &'h str,
    /// Date, region and service.
    scope: [&'h str; 3],
    headers: Vec<&'h str>,
    signature: &'h str,
}

impl<'h> Parts<'h> {
    /// `None` when the header is of another kind.
    fn read(header: &'h str) -> Option<Result<Self, AwsSignatureError>> {
        let rest = header.trim().strip_prefix(ALGORITHM)?;
        Some(Self::of(rest).filter(|_| header.len() <= HEADER_BYTES_MAX).ok_or(AwsSignatureError::Form))
    }

    fn of(text: &'h str) -> Option<Self> {
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        // The access key may hold slashes.
        let mut parts = credential?.rsplitn(5, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (terminator, service, region, date) = (next()?, next()?, next()?, next()?);
        let access_key = next()?;
        let headers: Vec<&str> = headers?.split(';').collect();
        let is_sound = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        // Sorted, so that none is named twice.
        let in_order = headers.is_sorted_by(|a, b| a < b);
        if terminator != TERMINATOR
            || headers.len() > HEADERS_MAX
            || !in_order
            || !headers.iter().all(is_sound)
        {
            return None;
        }
        Some(Self { access_key, scope: [date, region, service], headers, signature: signature? })
    }
}

impl AwsSignature {
    /// The signature of a request; `None` when it is not signed so.
    ///
    /// # Errors
    /// [`AwsSignatureError`], which depends on the request and the time alone.
    pub fn read(envelope: &Envelope, window: SignatureWindow) -> Result<Option<Self>, AwsSignatureError> {
        let Some(header) = envelope.header("authorization") else { return Ok(None) };
        match Parts::read(&header) {
            Some(parts) => Self::of(&parts?, envelope, window).map(Some),
            None => Ok(None),
        }
    }

    fn of(
        parts: &Parts<'_>,
        envelope: &Envelope,
        window: SignatureWindow,
    ) -> Result<Self, AwsSignatureError> {
        let access_key = AccessKey::parse(parts.access_key).ok_or(AwsSignatureError::Form)?;
        let mut signature = [0; 32];
        base16ct::lower::decode(parts.signature, &mut signature)
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .ok_or(AwsSignatureError::Form)?;
        must_cover(parts, envelope)?;
        let headers = canonical_headers(parts, envelope)?;
        let (date, created_s) = date(parts, envelope, window)?;
        let body = base16ct::lower::encode_string(&Sha256::digest(&envelope.body));
        if let Some(stated) = envelope.header("x-amz-content-sha256")
            && !stated.eq_ignore_ascii_case(&body)
        {
            return Err(AwsSignatureError::Body);
        }
        let [day, region, service] = parts.scope.map(str::to_owned);
        let names = parts.headers.join(";");
        let query = query(envelope.query.as_deref().unwrap_or_default());
        let to_sign = |path: &String| {
            let canonical = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{body}", envelope.method);
            let digest = base16ct::lower::encode_string(&Sha256::digest(canonical));
            format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{TERMINATOR}\n{digest}")
        };
        let paths = paths(&envelope.path).ok_or(AwsSignatureError::Path)?;
        Ok(Self {
            access_key,
            created_s,
            host: host(envelope),
            nonce: parts.signature.to_owned(),
            to_sign: paths.iter().map(to_sign).collect(),
            scope: Scope { date: day, region, service },
            signature,
        })
    }

    /// Whether it was made with this secret access key.
    pub fn verify(&self, secret: &[u8]) -> bool {
        let Scope { date, region, service } = &self.scope;
        let mut first = zeroize::Zeroizing::new(b"AWS4".to_vec());
        first.extend_from_slice(secret);
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
        for part in [date.as_str(), region, service, TERMINATOR] {
            let tag = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        // All forms are tried, so that the time taken tells nothing.
        let right = |text: &String| hmac::verify(&key, text.as_bytes(), &self.signature).is_ok();
        self.to_sign.iter().map(right).fold(false, |any, is_right| any | is_right)
    }
}

impl std::fmt::Debug for AwsSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AwsSignature({:?})", self.access_key)
    }
}

/// The host as a client signs it; where no header names one, that of the target.
fn host(envelope: &Envelope) -> String {
    envelope.header("host").filter(|host| !host.is_empty()).unwrap_or_else(|| envelope.authority.clone())
}

fn must_cover(parts: &Parts<'_>, envelope: &Envelope) -> Result<(), AwsSignatureError> {
    let of_aws =
        envelope.headers.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    let mut needed = ["host", "x-amz-date"].into_iter().chain(of_aws);
    match needed.find(|name| !parts.headers.contains(name)) {
        Some(name) => Err(AwsSignatureError::Uncovered(name.chars().take(64).collect())),
        None => Ok(()),
    }
}

/// Each header with its value, a line each.
fn canonical_headers(parts: &Parts<'_>, envelope: &Envelope) -> Result<String, AwsSignatureError> {
    let mut lines = String::new();
    for name in &parts.headers {
        let value = match *name {
            "host" => Some(host(envelope)),
            name => header_value(envelope, name),
        };
        let value = value.ok_or_else(|| AwsSignatureError::Absent(name.chars().take(64).collect()))?;
        lines.push_str(name);
        lines.push(':');
        lines.push_str(&value);
        lines.push('\n');
    }
    Ok(lines)
}

/// The date as it is written, and when that is: seconds since 1970 UTC, within the window.
fn date(
    parts: &Parts<'_>,
    envelope: &Envelope,
    window: SignatureWindow,
) -> Result<(String, u64), AwsSignatureError> {
    let text = envelope.header("x-amz-date").ok_or(AwsSignatureError::Date)?;
    let created_s = instant(&text).ok_or(AwsSignatureError::Date)?;
    let [day, ..] = parts.scope;
    if text.get(..8) != Some(day) {
        return Err(AwsSignatureError::Date);
    }
    let now_s = envelope.received_at_s;
    let is_old = now_s.saturating_sub(created_s) > window.lifetime_s + window.clock_skew_s;
    let is_early = created_s.saturating_sub(now_s) > window.clock_skew_s;
    if is_old || is_early { Err(AwsSignatureError::Untimely) } else { Ok((text, created_s)) }
}

/// `20150830T123600Z`.
fn instant(text: &str) -> Option<u64> {
    let digits = |from: usize, to: usize| {
        text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_form = text.len() == 16 && text.get(8..9) == Some("T") && text.get(15..) == Some("Z");
    if !is_form {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    let (hour, minute, second) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
    let time: TimeStamp = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()?;
    u64::try_from(time.unix_s()).ok()
}

#[cfg(test)]
mod tests;
