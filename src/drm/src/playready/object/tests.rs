//! Objects byte by byte, the headers of every version, and input that the readers must refuse.

use proptest::prelude::*;

use super::*;
use crate::playready::WrmKey;
use keymoot_model::Kid;

/// An object with one record of type 1 whose value is `A` in UTF-16, put together by hand.
const SMALL: [u8; 12] = [12, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0x41, 0];

fn header_of(xml: &str) -> Result<WrmHeader, PlayReadyError> {
    PlayReadyObject::with_header(xml)?.header()
}

#[test]
fn an_object_is_written_and_read_little_endian() {
    let object = PlayReadyObject::with_header("A").unwrap();
    assert_eq!(object.to_bytes(), SMALL);
    assert_eq!(PlayReadyObject::parse(&SMALL), Ok(object));
}

#[test]
fn an_object_cut_off_anywhere_is_refused() {
    for end in 0..SMALL.len() {
        let mut bytes = SMALL[..end].to_vec();
        assert!(PlayReadyObject::parse(&bytes).is_err(), "cut at {end}");
        if let Some(length) = bytes.first_mut() {
            *length = end as u8;
            assert!(PlayReadyObject::parse(&bytes).is_err(), "sized {end}");
        }
    }
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let mut long = SMALL.to_vec();
    long.push(0);
    assert_eq!(PlayReadyObject::parse(&long), Err(PlayReadyError::Length { said: 12, given: 13 }));
    long[0] = 13;
    assert_eq!(PlayReadyObject::parse(&long), Err(PlayReadyError::Trailing { bytes: 1 }));
}

#[test]
fn objects_beyond_the_limit_are_neither_made_nor_read() {
    let refused = Err(PlayReadyError::TooLong { bytes_max: OBJECT_BYTES_MAX });
    assert_eq!(PlayReadyObject::parse(&vec![0; OBJECT_BYTES_MAX + 1]), refused);
    // Ten bytes precede the header; each of its letters takes two bytes.
    let most = (OBJECT_BYTES_MAX - 10) / 2;
    assert_eq!(PlayReadyObject::with_header(&"x".repeat(most + 1)), refused);
    let object = PlayReadyObject::with_header(&"x".repeat(most)).unwrap();
    assert_eq!(PlayReadyObject::parse(&object.to_bytes()), Ok(object));
}

#[test]
fn an_object_without_a_header_says_so() {
    let store = [10, 0, 0, 0, 1, 0, 3, 0, 0, 0];
    let object = PlayReadyObject::parse(&store).unwrap();
    assert_eq!(object.records(), [Record { record_type: 3, value: vec![] }]);
    assert_eq!(object.header(), Err(PlayReadyError::NoHeader));
}

#[test]
fn a_header_that_is_not_utf_16_is_refused() {
    for value in [&[0x00, 0xd8][..], &[0x41]] {
        let length = value.len() as u8;
        let bytes = [&[10 + length, 0, 0, 0, 1, 0, 1, 0, length, 0][..], value].concat();
        let object = PlayReadyObject::parse(&bytes).unwrap();
        assert_eq!(object.header(), Err(PlayReadyError::Header("it is not UTF-16")));
    }
}

#[test]
fn keys_are_read_from_where_each_version_puts_them() {
    let kid: Kid = "33221100-5544-7766-8899-aabbccddeeff".parse().unwrap();
    let (value, checksum) = ("ABEiM0RVZneImaq7zN3u/w==", "AAECAwQFBgc=");
    let bodies = [
        format!(
            "<PROTECTINFO><ALGID>AESCTR</ALGID></PROTECTINFO><CHECKSUM>{checksum}</CHECKSUM><KID> {value}\n</KID>"
        ),
        format!(
            "<PROTECTINFO><KID ALGID='AESCTR' CHECKSUM='{checksum}' VALUE='{value}'></KID></PROTECTINFO>"
        ),
        format!(
            "<PROTECTINFO><KIDS><KID ALGID='AESCTR' CHECKSUM='{checksum}' VALUE='{value}'/></KIDS></PROTECTINFO>"
        ),
    ];
    for body in bodies {
        let header = header_of(&format!("<WRMHEADER version='4.x'><DATA>{body}</DATA></WRMHEADER>")).unwrap();
        let key = WrmKey {
            kid,
            algorithm: Some("AESCTR".to_owned()),
            checksum: Some(vec![0, 1, 2, 3, 4, 5, 6, 7]),
        };
        assert_eq!(
            header,
            WrmHeader { version: "4.x".to_owned(), keys: vec![key], license_url: None },
            "{body}"
        );
    }
}

#[test]
fn several_keys_a_license_url_and_custom_attributes_are_read() {
    let header = header_of(
        "<WRMHEADER version='4.3.0.0'><DATA><PROTECTINFO><KIDS>\
         <KID VALUE='AAAAAAAAAAAAAAAAAAAAAA=='></KID><KID VALUE='AQAAAAAAAAAAAAAAAAAAAA=='></KID>\
         </KIDS></PROTECTINFO><LA_URL>https://a/?b=1&amp;c=2</LA_URL>\
         <CUSTOMATTRIBUTES><x:KID>1</x:KID></CUSTOMATTRIBUTES></DATA></WRMHEADER>",
    )
    .unwrap();
    let kids: Vec<String> = header.keys.iter().map(|key| key.kid.to_string()).collect();
    assert_eq!(kids, ["00000000-0000-0000-0000-000000000000", "00000001-0000-0000-0000-000000000000"]);
    assert_eq!(header.license_url.as_deref(), Some("https://a/?b=1&c=2"));
}

#[test]
fn headers_of_another_form_are_refused() {
    let bodies = [
        "<KID>AAAA</KID>",
        "<KID>no base64</KID>",
        "<KID>AAAAAAAAAAAAAAAAAAAAAA==</KID><KID>AAAAAAAAAAAAAAAAAAAAAA==</KID>",
        "<PROTECTINFO><KID ALGID='AESCTR'></KID></PROTECTINFO>",
        "<LA_URL>&entity;</LA_URL>",
        "<KID>",
    ];
    for body in bodies {
        let refused = header_of(&format!("<WRMHEADER version='4.0.0.0'><DATA>{body}</DATA></WRMHEADER>"));
        assert!(matches!(refused, Err(PlayReadyError::Header(_))), "{body}: {refused:?}");
    }
    for xml in ["", "<OTHER version='4.0.0.0'></OTHER>", "<WRMHEADER><DATA></DATA></WRMHEADER>", "<WRMHEADER"]
    {
        assert!(matches!(header_of(xml), Err(PlayReadyError::Header(_))), "{xml:?}");
    }
}

#[test]
fn deep_nesting_neither_overflows_the_stack_nor_is_read_as_a_header() {
    for tag in ["<a>", "<DATA>", "<KIDS>"] {
        let xml = format!("<WRMHEADER version=''>{}", tag.repeat(7000 / tag.len()));
        assert!(matches!(header_of(&xml), Err(PlayReadyError::Header(_))), "{tag}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = PlayReadyObject::parse(&bytes);
    }

    #[test]
    fn no_records_make_the_reader_panic(value in any::<Vec<u8>>(), text in "\\PC{0,64}") {
        let _ = PlayReadyObject { records: vec![Record { record_type: 1, value }] }.header();
        let _ = WrmHeader::parse(&format!("<WRMHEADER version=''>{text}"));
    }

    #[test]
    fn objects_of_any_records_read_back(records in prop::collection::vec((any::<u16>(), any::<Vec<u8>>()), 0..5)) {
        let records = records.into_iter().map(|(record_type, value)| Record { record_type, value }).collect();
        let object = PlayReadyObject { records };
        prop_assert_eq!(PlayReadyObject::parse(&object.to_bytes()), Ok(object));
    }
}
