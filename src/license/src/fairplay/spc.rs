//! The Server Playback Context, in the form players send it: raw or in base64, whatever the
//! Content-Type.
//!
//! Everything but the outer layout is encrypted for the KSM.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// The longest SPC read, in bytes; real ones take a few thousand.
pub const SPC_BYTES_MAX: usize = 32 * 1024;

/// Version, reserved, IV, encrypted key, certificate hash and the length of the payload.
const HEAD_BYTES: usize = 4 + 4 + 16 + 128 + 20 + 4;

const VERSIONS: std::ops::RangeInclusive<u32> = 1..=3;

/// The body is no SPC. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the body is no FairPlay playback context; it must be the SPC that the device gave, as it is or in base64"
)]
pub struct SpcError;

/// The bytes of the SPC in a request's body: raw, base64, or a form's `spc=` with base64.
///
/// # Errors
/// [`SpcError`] when it is none of these.
pub fn read_spc(body: &[u8]) -> Result<Vec<u8>, SpcError> {
    if body.len() > 2 * SPC_BYTES_MAX {
        return Err(SpcError);
    }
    // An SPC begins with its version in four bytes, the first of which is 0. Base64 has no such
    // byte.
    let spc = if body.first() == Some(&0) { body.to_vec() } else { decode(body)? };
    let version = spc.first_chunk().map(|version| u32::from_be_bytes(*version));
    let is_whole = spc.len() > HEAD_BYTES && spc.len() <= SPC_BYTES_MAX;
    if is_whole && version.is_some_and(|version| VERSIONS.contains(&version)) {
        Ok(spc)
    } else {
        Err(SpcError)
    }
}

fn decode(body: &[u8]) -> Result<Vec<u8>, SpcError> {
    let text = body.trim_ascii();
    let text = match text.strip_prefix(b"spc=") {
        // A form's value has percent escapes, and a plus that became a space.
        Some(value) => percent_encoding::percent_decode(value)
            .map(|byte| if byte == b' ' { b'+' } else { byte })
            .collect(),
        None => text.to_vec(),
    };
    STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).map_err(|_| SpcError)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn spc() -> Vec<u8> {
        let mut spc = vec![0xfb; HEAD_BYTES + 300];
        spc[..4].copy_from_slice(&[0, 0, 0, 1]);
        spc
    }

    #[test]
    fn an_spc_is_read_in_each_form_that_players_send() {
        let base64 = STANDARD.encode(spc());
        let form = format!("spc={}", utf8_percent_encode(&base64, NON_ALPHANUMERIC));
        let spaced = format!("spc={}", base64.replace('+', " "));
        for body in [spc(), base64.clone().into(), format!("{base64}\r\n").into(), form.into(), spaced.into()]
        {
            assert_eq!(read_spc(&body), Ok(spc()));
        }
        assert_eq!(read_spc(URL_SAFE.encode(spc()).as_bytes()), Ok(spc()));
    }

    #[test]
    fn what_is_no_spc_is_refused() {
        let short = spc()[..HEAD_BYTES].to_vec();
        let mut version = spc();
        version[3] = 9;
        let long = [spc(), vec![0; SPC_BYTES_MAX]].concat();
        let other = vec![b'/'; 400];
        for body in [vec![], vec![0], short, version, long, b"{\"spc\":1}".to_vec(), other] {
            assert_eq!(read_spc(&body), Err(SpcError));
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd_to_be_answered(bytes: Vec<u8>) {
            let _read = read_spc(&bytes).is_ok();
            let _read = read_spc(&[b"spc=", bytes.as_slice()].concat()).is_ok();
        }
    }
}
