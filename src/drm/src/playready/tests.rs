//! The provider's objects, byte by byte, and the URLs it accepts.

use super::*;
use crate::conformance::Sample;

const OPEN_4_0: &str =
    "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" version=\"4.0.0.0\">";
const OPEN_4_3: &str =
    "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" version=\"4.3.0.0\">";
const CLOSE: &str = "</DATA></WRMHEADER>";

/// The header that the object must hold, with the ten bytes before it: total length, one record, of
/// type 1, its length.
fn assert_object_is(data: &[u8], xml: &str) {
    let header: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let prefix =
        [&(header.len() as u32 + 10).to_le_bytes()[..], &[1, 0, 1, 0], &(header.len() as u16).to_le_bytes()]
            .concat();
    assert_eq!(data[..10], prefix);
    let units: Vec<u16> =
        data[10..].chunks(2).map(|unit| u16::from_le_bytes(unit.try_into().unwrap())).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), xml);
}

#[test]
fn a_cenc_key_gets_a_4_0_header_with_the_checksum_of_fips_197() {
    let data = PlayReady.system_data(&Sample::fixed().info()).unwrap().data;
    // The swapped key id is 00112233445566778899aabbccddeeff, which the key turns into
    // 69c4e0d86a7b0430d8cdb78070b4c55a (FIPS 197, C.1).
    let keys = "<DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>\
                <KID>ABEiM0RVZneImaq7zN3u/w==</KID><CHECKSUM>acTg2Gp7BDA=</CHECKSUM>";
    assert_object_is(&data, &format!("{OPEN_4_0}{keys}{CLOSE}"));
    assert_eq!(data[..14], *b"\x06\x02\x00\x00\x01\x00\x01\x00\xfc\x01<\0W\0");
}

#[test]
fn without_the_key_there_is_no_checksum() {
    let sample = Sample::fixed();
    let info = ContentKeyInfo { key: None, ..sample.info() };
    let data = PlayReady.system_data(&info).unwrap().data;
    let header = PlayReadyObject::parse(&data).unwrap().header().unwrap();
    assert_eq!(
        header.keys,
        [WrmKey { kid: sample.kid, algorithm: Some("AESCTR".to_owned()), checksum: None }]
    );
}

#[test]
fn a_cbcs_key_gets_a_4_3_header_without_checksum() {
    let sample = Sample { scheme: ProtectionScheme::Cbcs, ..Sample::fixed() };
    let data = PlayReady.system_data(&sample.info()).unwrap().data;
    let keys = "<DATA><PROTECTINFO><KIDS><KID ALGID=\"AESCBC\" VALUE=\"ABEiM0RVZneImaq7zN3u/w==\"></KID>\
                </KIDS></PROTECTINFO>";
    assert_object_is(&data, &format!("{OPEN_4_3}{keys}{CLOSE}"));
}

#[test]
fn the_license_url_stands_behind_the_keys_and_is_escaped() {
    let url = LicenseUrl::new("https://license.example/rights?a=1&b=\"2\"").unwrap();
    for (scheme, version) in [(ProtectionScheme::Cenc, "4.0.0.0"), (ProtectionScheme::Cbcs, "4.3.0.0")] {
        let sample = Sample { scheme, license_url: Some(url.clone()), ..Sample::fixed() };
        let object = PlayReadyObject::parse(&PlayReady.system_data(&sample.info()).unwrap().data).unwrap();
        let header = object.header().unwrap();
        assert_eq!(header.version, version);
        assert_eq!(header.license_url.as_deref(), Some("https://license.example/rights?a=1&b=\"2\""));
        let text: String =
            object.records()[0].value.iter().step_by(2).map(|byte| char::from(*byte)).collect();
        assert!(
            text.ends_with(
                "<LA_URL>https://license.example/rights?a=1&amp;b=\"2\"</LA_URL></DATA></WRMHEADER>"
            ),
            "{text}"
        );
    }
}

#[test]
fn schemes_that_playready_cannot_play_are_refused() {
    for scheme in [ProtectionScheme::Cens, ProtectionScheme::Cbc1] {
        let sample = Sample { scheme, ..Sample::fixed() };
        let refused = PlayReady.system_data(&sample.info()).unwrap_err();
        assert!(matches!(refused, DrmError::SchemeNotPlayable { .. }), "{refused}");
    }
}

#[test]
fn license_urls_must_be_absolute_short_and_plain() {
    for url in ["", "license", "/rights", "ftp://a/", "https://", "https:///a", "https://a/ b", "https://a/é"]
    {
        assert!(LicenseUrl::new(url).is_err(), "{url:?}");
    }
    let longest = format!("https://{}", "u".repeat(LicenseUrl::ESCAPED_BYTES_MAX - 8));
    assert!(LicenseUrl::new(&longest).is_ok());
    assert!(LicenseUrl::new(&format!("{longest}u")).is_err());
    // 100 ampersands take 500 bytes once they are escaped.
    assert!(LicenseUrl::new(&format!("https://a/{}", "&".repeat(100))).is_err());
}

#[test]
fn the_guid_swap_turns_the_first_three_groups_and_undoes_itself() {
    let text = *b"0123456789abcdef";
    assert_eq!(swap_guid(&text), *b"3210547689abcdef");
    assert_eq!(swap_guid(&swap_guid(&text)), text);
}
