//! Widevine (Modular): the `WidevinePsshData` message.

use super::protobuf::{MessageReader, MessageWriter, Value};
use super::{ContentKeyInfo, DrmError, Provider, System, SystemData, SystemId};
use keymoot_model::{Kid, TrackName};

/// Field numbers of `WidevinePsshData`.
mod field {
    pub(super) const ALGORITHM: u32 = 1;
    pub(super) const KEY_ID: u32 = 2;
    pub(super) const PROVIDER: u32 = 3;
    pub(super) const CONTENT_ID: u32 = 4;
    pub(super) const TRACK_TYPE: u32 = 5;
    pub(super) const CRYPTO_PERIOD_INDEX: u32 = 7;
    pub(super) const PROTECTION_SCHEME: u32 = 9;
    pub(super) const CRYPTO_PERIOD_SECONDS: u32 = 10;
}

/// `Algorithm.AESCTR`.
const ALGORITHM_AES_CTR: u64 = 1;

/// Makes Widevine data. The message names the account as its provider, so that a license proxy that sees only
/// the message knows the owner of the content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Widevine;

impl Provider for Widevine {
    fn system_id(&self) -> SystemId {
        SystemId::WIDEVINE
    }

    fn system_data(&self, info: &ContentKeyInfo<'_>) -> Result<SystemData, DrmError> {
        let mut message = MessageWriter::default();
        // The enum has no CBC value. Clients that still read it would mistake CBC for CTR, so it is left out
        // of CBC content; the protection scheme states the mode.
        if info.scheme.is_counter_mode() {
            message = message.varint(field::ALGORITHM, ALGORITHM_AES_CTR);
        }
        message = message
            .bytes(field::KEY_ID, info.kid.as_bytes())
            .bytes(field::PROVIDER, info.account.as_str().as_bytes())
            .bytes(field::CONTENT_ID, &info.content.to_bytes());
        // Deprecated, and harmless to clients that do not read it. The default track means "no track given",
        // so the field is left out for it.
        if *info.track != TrackName::default_track() {
            message = message.bytes(field::TRACK_TYPE, info.track.as_str().as_bytes());
        }
        if let Some(period) = info.period {
            message = message.varint(field::CRYPTO_PERIOD_INDEX, period.index.into());
        }
        message = message.varint(field::PROTECTION_SCHEME, u64::from(info.scheme.four_cc()));
        // A length of 0 means that the scrambler did not state it.
        if let Some(period) = info.period.filter(|period| period.length_s > 0) {
            message = message.varint(field::CRYPTO_PERIOD_SECONDS, period.length_s.into());
        }
        Ok(SystemData { uuid: self.system_id(), data: message.finish() })
    }

    fn kids(&self, data: &[u8]) -> Result<Vec<Kid>, DrmError> {
        let malformed = |what| DrmError::Malformed { system: System::Widevine, what };
        let mut kids = Vec::new();
        for entry in MessageReader::new(data) {
            let (number, value) = entry.map_err(|_| malformed("it is no protocol buffers message"))?;
            if number != u64::from(field::KEY_ID) {
                continue;
            }
            let Value::Bytes(bytes) = value else {
                return Err(malformed("its key id is not bytes"));
            };
            let bytes = bytes.try_into().map_err(|_| malformed("its key id is not 16 bytes long"))?;
            kids.push(Kid::from_bytes(bytes));
        }
        Ok(kids)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Sample;
    use super::super::{ContentKeyInfo, ProtectionScheme};
    use super::*;
    use base16ct::lower::encode_string as hex;
    use keymoot_model::{ContentId, Period};

    #[test]
    fn cenc_data_is_this_message_byte_for_byte() {
        let sample = Sample::fixed();
        let data = Widevine.system_data(&sample.info()).unwrap().data;
        assert_eq!(
            hex(&data),
            concat!(
                "0801",                                 // algorithm: AESCTR
                "121033221100554477668899aabbccddeeff", // key_id
                "1a03313637",                           // provider: 167
                "2205612e6d7034",                       // content_id: a.mp4
                "48e3dc959b06",                         // protection_scheme: 0x63656e63
            )
        );
    }

    #[test]
    fn cbcs_data_names_no_counter_mode_and_a_named_track_is_told() {
        let sample = Sample::fixed();
        let track = TrackName::new("HD").unwrap();
        let info = ContentKeyInfo { scheme: ProtectionScheme::Cbcs, track: &track, ..sample.info() };
        let data = Widevine.system_data(&info).unwrap().data;
        assert_eq!(
            hex(&data),
            concat!(
                "121033221100554477668899aabbccddeeff",
                "1a03313637",
                "2205612e6d7034",
                "2a024844",     // track type: HD
                "48f3c6899b06", // protection_scheme: 0x63626373
            )
        );
    }

    #[test]
    fn rotating_data_tells_index_and_length_of_its_period() {
        let sample = Sample::fixed();
        let period = Some(Period { length_s: 10, index: 300 });
        let data = Widevine.system_data(&ContentKeyInfo { period, ..sample.info() }).unwrap().data;
        let text = hex(&data);
        assert!(text.ends_with("38ac0248e3dc959b06500a"), "{text}");
        let untold = Some(Period { length_s: 0, index: 0 });
        let data = Widevine.system_data(&ContentKeyInfo { period: untold, ..sample.info() }).unwrap().data;
        assert!(hex(&data).ends_with("380048e3dc959b06"));
    }

    #[test]
    fn a_binary_content_name_stands_in_the_data_as_its_bytes() {
        let sample = Sample::fixed();
        let content = ContentId::from_bytes(&[0, 255]).unwrap();
        let data = Widevine.system_data(&ContentKeyInfo { content: &content, ..sample.info() }).unwrap().data;
        assert!(hex(&data).contains("220200ff"));
    }

    #[test]
    fn data_with_a_key_id_of_another_length_or_kind_is_refused() {
        for data in [&b"\x12\x01a"[..], b"\x10\x01", b"\x12\x10short"] {
            assert!(matches!(Widevine.kids(data), Err(DrmError::Malformed { .. })), "{data:02x?}");
        }
    }

    #[test]
    fn every_key_id_is_read() {
        let two = MessageWriter::default().bytes(2, &[1; 16]).varint(7, 3).bytes(2, &[2; 16]).finish();
        assert_eq!(Widevine.kids(&two), Ok(vec![Kid::from_bytes([1; 16]), Kid::from_bytes([2; 16])]));
    }
}
