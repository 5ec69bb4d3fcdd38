//! A PlayReady client's challenge: SOAP with `AcquireLicense`, read only for the requested key ids.
//!
//! The client signs its challenge, so it is forwarded unchanged. The content header in it is the
//! one in the content.

use quick_xml::Reader;
use quick_xml::events::Event;

use keymoot_drm::playready::WrmHeader;
use keymoot_model::Kid;

/// The longest challenge read, in bytes. Real ones stay below 30 thousand.
pub(crate) const CHALLENGE_BYTES_MAX: usize = 64 * 1024;

/// The most key ids in one challenge; the data for the license server must fit a header.
pub const KIDS_MAX: usize = 16;

/// The deepest nesting of elements.
const DEPTH_MAX: usize = 64;

/// Why a challenge is not forwarded. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlayReadyChallengeError {
    /// The body is no SOAP message with this operation.
    #[error(
        "the body is no PlayReady license challenge; it must be the SOAP message with AcquireLicense that the client gave"
    )]
    Form,
    /// No content header, or none that can be read.
    #[error("the PlayReady challenge holds no content header (WRMHEADER) with key ids")]
    Header,
    /// More key ids than one challenge may name.
    #[error("the PlayReady challenge names more than {KIDS_MAX} key ids")]
    TooManyKids,
}

/// The key ids that a challenge requests, each once.
///
/// # Errors
/// [`PlayReadyChallengeError`] says what is wrong with it.
pub fn kids(challenge: &[u8]) -> Result<Vec<Kid>, PlayReadyChallengeError> {
    let text = Some(challenge).filter(|bytes| bytes.len() <= CHALLENGE_BYTES_MAX);
    let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(PlayReadyChallengeError::Form)?;
    let header = WrmHeader::parse(header(text)?).map_err(|_| PlayReadyChallengeError::Header)?;
    let mut kids = Vec::new();
    for key in header.keys {
        if !kids.contains(&key.kid) {
            kids.push(key.kid);
        }
    }
    match kids.len() {
        0 => Err(PlayReadyChallengeError::Header),
        1..=KIDS_MAX => Ok(kids),
        _ => Err(PlayReadyChallengeError::TooManyKids),
    }
}

/// The text of the first WRMHEADER below `Envelope/Body/AcquireLicense`.
fn header(text: &str) -> Result<&str, PlayReadyChallengeError> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut path: Vec<Vec<u8>> = Vec::new();
    loop {
        let from = position(&reader)?;
        match reader.read_event().map_err(|_| PlayReadyChallengeError::Form)? {
            Event::Start(element) if element.local_name().as_ref() == b"WRMHEADER" => {
                if !is_license_request(&path) {
                    return Err(PlayReadyChallengeError::Form);
                }
                reader.read_to_end(element.name()).map_err(|_| PlayReadyChallengeError::Form)?;
                let to = position(&reader)?;
                let text = text.trim_start_matches('\u{feff}');
                return text.get(from..to).ok_or(PlayReadyChallengeError::Header);
            }
            Event::Start(element) => {
                path.push(element.local_name().as_ref().to_vec());
                if path.len() > DEPTH_MAX {
                    return Err(PlayReadyChallengeError::Form);
                }
            }
            Event::End(_) => drop(path.pop()),
            // A document type could change the meaning of everything after it.
            Event::DocType(_) => return Err(PlayReadyChallengeError::Form),
            Event::Eof => return Err(PlayReadyChallengeError::Header),
            _ => {}
        }
    }
}

fn is_license_request(path: &[Vec<u8>]) -> bool {
    matches!(path, [envelope, body, operation, ..]
        if envelope == b"Envelope" && body == b"Body" && operation == b"AcquireLicense")
}

fn position(reader: &Reader<&[u8]>) -> Result<usize, PlayReadyChallengeError> {
    usize::try_from(reader.buffer_position()).map_err(|_| PlayReadyChallengeError::Form)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>MzIxMDU0NzY4OWFiY2RlZg==</KID></DATA></WRMHEADER>"#;

    fn challenge(header: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicense xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><challenge><Challenge xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols/messages"><LA Id="SignedData"><Version>1</Version><ContentHeader>{header}</ContentHeader><CLIENTINFO/></LA></Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>"#
        )
    }

    #[test]
    fn the_key_ids_of_the_content_header_are_read() {
        let kids = kids(challenge(HEADER).as_bytes()).unwrap();
        assert_eq!(kids, [Kid::from_bytes(*b"0123456789abcdef")]);
        let marked = format!("\u{feff}{}", challenge(HEADER));
        assert_eq!(super::kids(marked.as_bytes()).unwrap(), kids);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for wrong in ["", "CAES", "<a>", "<!DOCTYPE a><a/>", &HEADER.replace("WRMHEADER", "X")] {
            kids(wrong.as_bytes()).unwrap_err();
        }
        assert_eq!(kids(HEADER.as_bytes()), Err(PlayReadyChallengeError::Form), "outside of any request");
        assert_eq!(kids(challenge("").as_bytes()), Err(PlayReadyChallengeError::Header));
        let unnamed = HEADER.replace("<KID>MzIxMDU0NzY4OWFiY2RlZg==</KID>", "");
        assert_eq!(kids(challenge(&unnamed).as_bytes()), Err(PlayReadyChallengeError::Header));
        let other = challenge(HEADER).replace("AcquireLicense", "JoinDomain");
        assert_eq!(kids(other.as_bytes()), Err(PlayReadyChallengeError::Form));
        let deep = format!("{}{HEADER}", "<a>".repeat(DEPTH_MAX + 1));
        assert_eq!(kids(deep.as_bytes()), Err(PlayReadyChallengeError::Form));
        let long = challenge(&" ".repeat(CHALLENGE_BYTES_MAX));
        assert_eq!(kids(long.as_bytes()), Err(PlayReadyChallengeError::Form));
    }

    proptest! {
        #[test]
        fn no_challenge_is_too_odd_to_be_answered(bytes: Vec<u8>, text in "[<>/ a!=\"WRMHEADER]{0,60}") {
            let _answered = kids(&bytes).is_ok();
            let _answered = kids(challenge(&text).as_bytes()).is_ok();
        }
    }
}
