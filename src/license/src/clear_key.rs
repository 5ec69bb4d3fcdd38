//! Clear Key (W3C Encrypted Media Extensions, 9.1): the request holds key ids, the license holds
//! keys, both as JSON.
//!
//! The license holds the key in the clear, and the player's user can read it. So only accounts that
//! the configuration names get Clear Key licenses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use keymoot_crypto::ContentKey;
use keymoot_model::{AccountId, Kid, Policy, TrackName, loose_base64};

use super::LicenseTerms;
use super::provider::NO_CLEAR_KEY;
use super::system::{
    Challenge, ChallengeError, LicenseFuture, LicenseSystem, LicensingError, NotServed, PolicyRefusal,
    WantedKeys,
};
use super::terms::clear_key::permit;

/// The key ids that one request may name: tracks times the crypto periods a player looks ahead.
pub const KIDS_MAX: usize = 64;

/// The longest request read, in bytes.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// An answer with the most keys: each takes less than 96 bytes.
const LICENSE_BYTES_MAX: usize = 64 + 96 * KIDS_MAX;

/// What some editors write in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a challenge is no Clear Key request. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearKeyError {
    /// Not the object that EME describes.
    #[error(
        "the body is no Clear Key license request; it must be JSON such as {{\"kids\":[\"…\"],\"type\":\"temporary\"}}"
    )]
    Form,
    #[error("kids is empty; name the key ids that licenses are wanted for")]
    NoKids,
    /// More key ids than one request may name.
    #[error("kids has more than {KIDS_MAX} key ids")]
    TooManyKids,
    /// A key id in another form.
    #[error("each of kids must be 16 bytes in base64url")]
    Kid,
    /// A session type other than the two of EME.
    #[error("type must be \"temporary\" or \"persistent-license\"")]
    Type,
}

/// How long a player may keep a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SessionType {
    /// Until the session ends.
    #[serde(rename = "temporary")]
    Temporary,
    /// Beyond the session, on the player's disk.
    #[serde(rename = "persistent-license")]
    Persistent,
}

/// What a player asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearKeyRequest {
    /// The key ids, each once, in the order they came.
    pub kids: Vec<Kid>,
    /// How long it wants to keep the license.
    pub session: SessionType,
}

#[derive(Deserialize)]
struct EmeRequest {
    kids: Vec<String>,
    #[serde(rename = "type")]
    session: Option<String>,
}

impl ClearKeyRequest {
    /// Reads a challenge. Members that EME does not know are passed over.
    ///
    /// # Errors
    /// [`ClearKeyError`] says what is wrong with it.
    pub fn parse(challenge: &[u8]) -> Result<Self, ClearKeyError> {
        if challenge.len() > REQUEST_BYTES_MAX {
            return Err(ClearKeyError::TooManyKids);
        }
        let text = challenge.strip_prefix(BYTE_ORDER_MARK).unwrap_or(challenge);
        let request: EmeRequest = serde_json::from_slice(text).map_err(|_| ClearKeyError::Form)?;
        let session = match request.session.as_deref() {
            None | Some("temporary") => SessionType::Temporary,
            Some("persistent-license") => SessionType::Persistent,
            Some(_) => return Err(ClearKeyError::Type),
        };
        if request.kids.len() > KIDS_MAX {
            return Err(ClearKeyError::TooManyKids);
        }
        let mut kids = Vec::with_capacity(request.kids.len());
        for text in &request.kids {
            let kid = kid(text).ok_or(ClearKeyError::Kid)?;
            if !kids.contains(&kid) {
                kids.push(kid);
            }
        }
        if kids.is_empty() {
            return Err(ClearKeyError::NoKids);
        }
        Ok(Self { kids, session })
    }
}

/// Clear Key licenses, for these accounts.
#[derive(Debug)]
pub struct ClearKey {
    accounts: Vec<AccountId>,
}

impl ClearKey {
    /// For these accounts only.
    pub const fn new(accounts: Vec<AccountId>) -> Self {
        Self { accounts }
    }
}

impl LicenseSystem for ClearKey {
    fn serves(&self, account: &AccountId) -> Result<(), NotServed> {
        if self.accounts.contains(account) { Ok(()) } else { Err(NotServed(NO_CLEAR_KEY.into())) }
    }

    fn read<'c>(&self, challenge: &'c [u8]) -> Result<Challenge<'c>, ChallengeError> {
        let ClearKeyRequest { kids, session } =
            ClearKeyRequest::parse(challenge).map_err(ChallengeError::new)?;
        let is_persistent = session == SessionType::Persistent;
        Ok(Challenge { is_persistent, ..Challenge::as_it_came(WantedKeys::Kids(kids), challenge) })
    }

    fn permits(&self, policy: &Policy, track: &TrackName) -> Result<(), PolicyRefusal> {
        Ok(permit(policy, track)?)
    }

    fn license<'a>(&'a self, challenge: &'a Challenge<'_>, terms: LicenseTerms<'a>) -> LicenseFuture<'a> {
        let session = match challenge.is_persistent {
            true => SessionType::Persistent,
            false => SessionType::Temporary,
        };
        let keys = terms.keys.iter().map(|key| (key.kid, key.key));
        let made = license(keys, session).map_err(LicensingError::Writing);
        Box::pin(std::future::ready(made))
    }
}

/// EME has base64url without padding; players that were written by hand have the other forms.
fn kid(text: &str) -> Option<Kid> {
    let bytes = loose_base64::decode(text).ok()?;
    Some(Kid::from_bytes(bytes.try_into().ok()?))
}

#[derive(Serialize)]
struct KeySet<'k> {
    keys: Vec<Jwk<'k>>,
    #[serde(rename = "type")]
    session: SessionType,
}

/// A symmetric key in the form of RFC 7517.
#[derive(Serialize)]
struct Jwk<'k> {
    kty: &'static str,
    kid: &'k str,
    k: &'k str,
}

/// The license with these keys.
///
/// # Errors
/// Never for keys; the JSON writer has an error type of its own.
pub fn license<'k>(
    keys: impl IntoIterator<Item = (&'k Kid, &'k ContentKey)>,
    session: SessionType,
) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let texts: Vec<(String, Zeroizing<String>)> =
        keys.into_iter().map(|(kid, key)| (URL_SAFE_NO_PAD.encode(kid.as_bytes()), base64url(key))).collect();
    let keys = texts.iter().map(|(kid, k)| Jwk { kty: "oct", kid, k }).collect();
    // The buffer holds the whole license from the start, because growing would leave a copy of keys
    // behind.
    let mut license = Zeroizing::new(Vec::with_capacity(LICENSE_BYTES_MAX));
    serde_json::to_writer(&mut *license, &KeySet { keys, session })?;
    Ok(license)
}

fn base64url(key: &ContentKey) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(key.expose().as_slice()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The request of W3C EME's own example (9.1.3), and its key ids.
    const EXAMPLE: &str =
        r#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A","0DdtU9od-Bh5L3xbv0Xf_A"],"type":"temporary"}"#;

    fn refusal(text: &str) -> ClearKeyError {
        ClearKeyRequest::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_specifications_example_is_read() {
        let request = ClearKeyRequest::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(request.kids[0].to_hex(), "2f05477fc24bb4faefd86517156daffc");
        assert_eq!((request.kids.len(), request.session), (2, SessionType::Temporary));
    }

    #[test]
    fn a_type_may_be_left_out_and_a_repeated_kid_counts_once() {
        let text = r#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A","LwVHf8JLtPrv2GUXFW2v_A"],"later":true}"#;
        let request = ClearKeyRequest::parse(text.as_bytes()).unwrap();
        assert_eq!((request.kids.len(), request.session), (1, SessionType::Temporary));
        let lasting = EXAMPLE.replace("temporary", "persistent-license");
        assert_eq!(ClearKeyRequest::parse(lasting.as_bytes()).unwrap().session, SessionType::Persistent);
    }

    #[test]
    fn a_kid_may_be_in_either_alphabet_and_padded_or_not() {
        let forms =
            r#"{"kids":["LwVHf8JLtPrv2GUXFW2v/A","LwVHf8JLtPrv2GUXFW2v\/A==","LwVHf8JLtPrv2GUXFW2v_A=="]}"#;
        for text in [forms.to_owned(), format!("\u{feff}{forms}")] {
            let request = ClearKeyRequest::parse(text.as_bytes()).unwrap();
            assert_eq!(
                request.kids.iter().map(Kid::to_hex).collect::<Vec<_>>(),
                ["2f05477fc24bb4faefd86517156daffc"]
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(refusal(""), ClearKeyError::Form);
        assert_eq!(refusal("{\"kids\":1}"), ClearKeyError::Form);
        assert_eq!(refusal("{\"kids\":[]}x"), ClearKeyError::Form);
        assert_eq!(refusal("{\"kids\":[]}"), ClearKeyError::NoKids);
        assert_eq!(refusal("{\"kids\":[\"LwVHf8JLtPrv2GUXFW2v/_==\"]}"), ClearKeyError::Kid);
        assert_eq!(refusal("{\"kids\":[\"AAAA\"]}"), ClearKeyError::Kid);
        assert_eq!(refusal(&EXAMPLE.replace("temporary", "lasting")), ClearKeyError::Type);
        let many = vec!["\"LwVHf8JLtPrv2GUXFW2v_A\""; KIDS_MAX + 1].join(",");
        assert_eq!(refusal(&format!("{{\"kids\":[{many}]}}")), ClearKeyError::TooManyKids);
        assert_eq!(refusal(&" ".repeat(REQUEST_BYTES_MAX + 1)), ClearKeyError::TooManyKids);
    }

    #[test]
    fn a_license_is_a_set_of_web_keys() {
        let kid = Kid::from_bytes([0xfb; 16]);
        let key = ContentKey::from_bytes(b"0123456789abcdef");
        let license = license([(&kid, &key)], SessionType::Temporary).unwrap();
        assert_eq!(
            std::str::from_utf8(&license).unwrap(),
            r#"{"keys":[{"kty":"oct","kid":"-_v7-_v7-_v7-_v7-_v7-w","k":"MDEyMzQ1Njc4OWFiY2RlZg"}],"type":"temporary"}"#
        );
    }

    #[test]
    fn the_largest_license_needs_no_more_room_than_it_was_given() {
        let keys: Vec<_> = (0..KIDS_MAX)
            .map(|at| (Kid::from_bytes([at as u8; 16]), ContentKey::from_bytes(&[at as u8; 16])))
            .collect();
        let pairs = keys.iter().map(|(kid, key)| (kid, key));
        assert!(license(pairs, SessionType::Persistent).unwrap().len() <= LICENSE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn no_challenge_is_too_odd_to_be_answered(bytes: Vec<u8>, text in "[{}\\[\\]\":,kids]{0,60}") {
            let _answered = ClearKeyRequest::parse(&bytes).is_ok();
            let _answered = ClearKeyRequest::parse(text.as_bytes()).is_ok();
        }
    }
}
