//! Boxes byte by byte, and input that the reader must refuse.

use proptest::prelude::*;

use super::*;

const WIDEVINE: [u8; 16] = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";

/// A version 0 Widevine box with the data `ab`, put together by hand.
fn version_0() -> Vec<u8> {
    [&[0, 0, 0, 34][..], b"pssh", &[0; 4], &WIDEVINE, &[0, 0, 0, 2], b"ab"].concat()
}

/// A version 1 Widevine box with two key ids and the data `ab`, put together by hand.
fn version_1() -> Vec<u8> {
    let kids = [[1; 16], [2; 16]].concat();
    [&[0, 0, 0, 70][..], b"pssh", &[1, 0, 0, 0], &WIDEVINE, &[0, 0, 0, 2], &kids, &[0, 0, 0, 2], b"ab"]
        .concat()
}

fn with_byte(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    bytes
}

#[test]
fn both_versions_are_written_and_read_as_the_standard_lays_them_out() {
    let old = PsshBox { system: SystemId::WIDEVINE, kids: None, data: b"ab".to_vec() };
    let kids = vec![Kid::from_bytes([1; 16]), Kid::from_bytes([2; 16])];
    let new = PsshBox { kids: Some(kids), ..old.clone() };
    assert_eq!(old.to_bytes(), version_0());
    assert_eq!(new.to_bytes(), version_1());
    assert_eq!(parse_boxes(&[version_0(), version_1()].concat()), Ok(vec![old, new]));
}

#[test]
fn no_bytes_are_no_boxes() {
    assert_eq!(parse_boxes(&[]), Ok(vec![]));
}

#[test]
fn a_box_cut_off_anywhere_is_refused() {
    for whole in [version_0(), version_1()] {
        for end in 1..whole.len() {
            assert!(parse_boxes(&whole[..end]).is_err(), "cut at {end}");
            // Also when the size field agrees with what is left.
            if end >= 4 {
                assert!(parse_boxes(&with_byte(whole[..end].to_vec(), 3, end as u8)).is_err(), "sized {end}");
            }
        }
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for size in [0, 1, 3] {
        let refused = parse_boxes(&with_byte(version_0(), 3, size));
        assert_eq!(refused, Err(PsshError::Size { size: u32::from(size), bytes_left: 34 }));
    }
    let huge = with_byte(version_0(), 0, 0xff);
    assert_eq!(parse_boxes(&huge), Err(PsshError::Size { size: 0xff00_0022, bytes_left: 34 }));
}

#[test]
fn other_types_versions_and_flags_are_refused() {
    assert_eq!(parse_boxes(&with_byte(version_0(), 4, b'm')), Err(PsshError::NotPssh));
    assert_eq!(parse_boxes(&with_byte(version_0(), 8, 2)), Err(PsshError::Version { version: 2, flags: 0 }));
    assert_eq!(parse_boxes(&with_byte(version_0(), 11, 1)), Err(PsshError::Version { version: 0, flags: 1 }));
}

#[test]
fn counts_and_lengths_beyond_the_box_are_refused_before_anything_is_allocated() {
    let count = with_byte(version_1(), 28, 0xff);
    assert_eq!(parse_boxes(&count), Err(PsshError::Truncated { what: "list of key ids" }));
    let data = with_byte(version_0(), 28, 0xff);
    assert_eq!(parse_boxes(&data), Err(PsshError::Truncated { what: "data" }));
}

#[test]
fn bytes_behind_the_data_are_refused_inside_the_box_and_outside() {
    assert_eq!(parse_boxes(&with_byte(version_0(), 31, 1)), Err(PsshError::Trailing { bytes: 1 }));
    let refused = parse_boxes(&[version_0(), vec![0]].concat());
    assert_eq!(refused, Err(PsshError::Truncated { what: "size" }));
}

#[test]
fn input_beyond_the_limit_is_refused() {
    let refused = parse_boxes(&vec![0; INPUT_BYTES_MAX + 1]);
    assert_eq!(refused, Err(PsshError::TooLong { bytes_max: INPUT_BYTES_MAX }));
}

fn boxes() -> impl Strategy<Value = PsshBox> {
    let kids = prop::option::of(prop::collection::vec(any::<[u8; 16]>().prop_map(Kid::from_bytes), 0..4));
    (any::<[u8; 16]>(), kids, any::<Vec<u8>>()).prop_map(|(system, kids, data)| PsshBox {
        system: SystemId::from_bytes(system),
        kids,
        data,
    })
}

proptest! {
    #[test]
    fn boxes_read_back(boxes in prop::collection::vec(boxes(), 0..4)) {
        let bytes: Vec<u8> = boxes.iter().flat_map(PsshBox::to_bytes).collect();
        prop_assert_eq!(parse_boxes(&bytes), Ok(boxes));
    }

    #[test]
    fn what_is_read_is_written_back_byte_for_byte(at in 0_usize..70, byte in any::<u8>()) {
        let bytes = with_byte(version_1(), at, byte);
        if let Ok(boxes) = parse_boxes(&bytes) {
            prop_assert_eq!(boxes.iter().flat_map(PsshBox::to_bytes).collect::<Vec<u8>>(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse_boxes(&bytes);
    }
}
