//! A Widevine client's challenge: a `SignedMessage` of protocol buffers, read only for the
//! requested key ids.
//!
//! The license server judges the client's identity and signature. Field numbers are those of the
//! public definitions that license proxies use.

use keymoot_drm::protobuf::{MessageReader, NotAMessage, Value};
use keymoot_drm::{Provider as _, SystemId, Widevine, pssh};
use keymoot_model::Kid;

/// The longest challenge read, in bytes. Real ones stay below 20 thousand.
pub(crate) const CHALLENGE_BYTES_MAX: usize = 64 * 1024;

/// The most key ids in one challenge.
pub const KIDS_MAX: usize = 64;

/// Why a challenge is not forwarded. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WidevineChallengeError {
    /// The body is no `SignedMessage`.
    #[error("the body is no Widevine challenge; it must be the bytes that the CDM gave, as they are")]
    Form,
    /// The message is of a type that no client sends.
    #[error("the body is a Widevine message of another kind; send license and certificate requests here")]
    Kind,
    /// The content identification cannot be read.
    #[error("the Widevine challenge names its content in a form that cannot be read")]
    Content,
    /// More key ids than one challenge may name.
    #[error("the Widevine challenge names more than {KIDS_MAX} key ids")]
    TooManyKids,
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WidevineChallenge {
    /// The license server's certificate, which encrypts the client's identity; no keys.
    ServiceCertificate,
    /// A license for these keys; no key ids when the content is identified by other means.
    New {
        /// The key ids, each once.
        kids: Vec<Kid>,
    },
    /// Renewal or release of a license that the client has.
    Existing,
}

mod signed_message {
    pub(super) const TYPE: u64 = 1;
    pub(super) const MESSAGE: u64 = 2;
    pub(super) const LICENSE_REQUEST: u64 = 1;
    pub(super) const SERVICE_CERTIFICATE_REQUEST: u64 = 4;
}

/// `LicenseRequest.content_id`.
const CONTENT_ID: u64 = 2;

mod content_identification {
    pub(super) const WIDEVINE_PSSH: u64 = 1;
    pub(super) const EXISTING_LICENSE: u64 = 3;
    pub(super) const INIT_DATA: u64 = 4;
    /// Field of `InitData`.
    pub(super) const INIT_DATA_BYTES: u64 = 2;
    /// Field of `WidevinePsshData` in the request: repeated.
    pub(super) const PSSH_DATA: u64 = 1;
}

impl From<NotAMessage> for WidevineChallengeError {
    fn from(NotAMessage: NotAMessage) -> Self {
        Self::Form
    }
}

impl WidevineChallenge {
    /// Reads a challenge.
    ///
    /// # Errors
    /// [`WidevineChallengeError`] says what is wrong with it.
    pub fn parse(challenge: &[u8]) -> Result<Self, WidevineChallengeError> {
        if challenge.is_empty() || challenge.len() > CHALLENGE_BYTES_MAX {
            return Err(WidevineChallengeError::Form);
        }
        let (mut kind, mut message) = (None, None);
        for field in MessageReader::new(challenge) {
            match field? {
                (signed_message::TYPE, Value::Varint(number)) => kind = Some(number),
                (signed_message::MESSAGE, Value::Bytes(bytes)) => message = Some(bytes),
                _ => {}
            }
        }
        match (kind, message) {
            (Some(signed_message::SERVICE_CERTIFICATE_REQUEST), _) => Ok(Self::ServiceCertificate),
            (Some(signed_message::LICENSE_REQUEST), Some(message)) => license_request(message),
            (None, _) => Err(WidevineChallengeError::Form),
            _ => Err(WidevineChallengeError::Kind),
        }
    }
}

fn license_request(message: &[u8]) -> Result<WidevineChallenge, WidevineChallengeError> {
    let mut kids = Vec::new();
    let mut exists = false;
    for field in bytes_of(message, CONTENT_ID)? {
        exists |= !bytes_of(field, content_identification::EXISTING_LICENSE)?.is_empty();
        for pssh in bytes_of(field, content_identification::WIDEVINE_PSSH)? {
            for payload in bytes_of(pssh, content_identification::PSSH_DATA)? {
                add(&mut kids, payload)?;
            }
        }
        for init in bytes_of(field, content_identification::INIT_DATA)? {
            for boxes in bytes_of(init, content_identification::INIT_DATA_BYTES)? {
                add_boxes(&mut kids, boxes)?;
            }
        }
    }
    if exists && kids.is_empty() {
        return Ok(WidevineChallenge::Existing);
    }
    Ok(WidevineChallenge::New { kids })
}

/// Every value of a field of bytes.
fn bytes_of(message: &[u8], number: u64) -> Result<Vec<&[u8]>, NotAMessage> {
    let mut found = Vec::new();
    for field in MessageReader::new(message) {
        match field? {
            (of, Value::Bytes(bytes)) if of == number => found.push(bytes),
            _ => {}
        }
    }
    Ok(found)
}

fn add_boxes(kids: &mut Vec<Kid>, bytes: &[u8]) -> Result<(), WidevineChallengeError> {
    let boxes = pssh::parse_boxes(bytes).map_err(|_| WidevineChallengeError::Content)?;
    for one in boxes.iter().filter(|one| one.system == SystemId::WIDEVINE) {
        add(kids, &one.data)?;
    }
    Ok(())
}

/// Adds the key ids of a Widevine `pssh` payload.
fn add(kids: &mut Vec<Kid>, payload: &[u8]) -> Result<(), WidevineChallengeError> {
    for kid in Widevine.kids(payload).map_err(|_| WidevineChallengeError::Content)? {
        if !kids.contains(&kid) {
            kids.push(kid);
        }
    }
    if kids.len() > KIDS_MAX { Err(WidevineChallengeError::TooManyKids) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use keymoot_drm::protobuf::MessageWriter;

    fn message() -> MessageWriter {
        MessageWriter::default()
    }

    fn pssh_data(kids: &[[u8; 16]]) -> Vec<u8> {
        kids.iter().fold(message(), |message, kid| message.bytes(2, kid)).finish()
    }

    /// A license request with this content identification.
    fn challenge(content: &[u8]) -> Vec<u8> {
        let request = message().bytes(1, b"client").bytes(2, content).varint(3, 1).varint(4, 1_700_000_000);
        message().varint(1, 1).bytes(2, &request.finish()).bytes(3, b"signature").finish()
    }

    #[test]
    fn two_bytes_ask_for_the_certificate() {
        assert_eq!(WidevineChallenge::parse(b"\x08\x04"), Ok(WidevineChallenge::ServiceCertificate));
    }

    #[test]
    fn key_ids_are_read_from_pssh_data_and_from_boxes() {
        let (one, two) = ([1; 16], [2; 16]);
        let data = pssh_data(&[one, two, one]);
        let kids = vec![Kid::from_bytes(one), Kid::from_bytes(two)];
        let pssh = message().bytes(1, &data).varint(2, 1).finish();
        let expected = Ok(WidevineChallenge::New { kids });
        assert_eq!(WidevineChallenge::parse(&challenge(&message().bytes(1, &pssh).finish())), expected);
        let mut boxed = u32::try_from(32 + data.len()).unwrap().to_be_bytes().to_vec();
        boxed.extend_from_slice(b"pssh\0\0\0\0");
        boxed.extend_from_slice(SystemId::WIDEVINE.as_bytes());
        boxed.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        boxed.extend_from_slice(&data);
        let init = message().varint(1, 1).bytes(2, &boxed).finish();
        assert_eq!(WidevineChallenge::parse(&challenge(&message().bytes(4, &init).finish())), expected);
    }

    #[test]
    fn a_renewal_names_the_license_that_exists() {
        let existing = message().bytes(3, &message().bytes(1, b"id").finish()).finish();
        assert_eq!(WidevineChallenge::parse(&challenge(&existing)), Ok(WidevineChallenge::Existing));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bytes in [&b""[..], b"{}", b"<soap", &[0xff; 30], b"\x12\x00"] {
            assert_eq!(WidevineChallenge::parse(bytes), Err(WidevineChallengeError::Form), "{bytes:?}");
        }
        assert_eq!(WidevineChallenge::parse(b"\x08\x02\x12\x00"), Err(WidevineChallengeError::Kind));
        let short = message()
            .bytes(1, &message().bytes(1, &message().bytes(2, b"15 bytes long..").finish()).finish());
        assert_eq!(
            WidevineChallenge::parse(&challenge(&short.finish())),
            Err(WidevineChallengeError::Content)
        );
        let many: Vec<_> = (0..=KIDS_MAX).map(|at| [at as u8; 16]).collect();
        let many = message().bytes(1, &message().bytes(1, &pssh_data(&many)).finish()).finish();
        assert_eq!(WidevineChallenge::parse(&challenge(&many)), Err(WidevineChallengeError::TooManyKids));
    }

    proptest! {
        #[test]
        fn no_challenge_is_too_odd_to_be_answered(bytes: Vec<u8>) {
            let _answered = WidevineChallenge::parse(&bytes).is_ok();
            let _answered = WidevineChallenge::parse(&challenge(&bytes)).is_ok();
        }
    }
}
