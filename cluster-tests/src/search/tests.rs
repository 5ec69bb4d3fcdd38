//! Secrets hidden in every encoding are found, and the search agrees with the plain one.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_form_is_found_wherever_it_stands(
        secret in prop::array::uniform16(any::<u8>()),
        before in prop::collection::vec(any::<u8>(), 0..40),
        after in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let needles = forms_of("key", &secret);
        let around = |middle: &[u8]| [before.as_slice(), middle, after.as_slice()].concat();
        let inside = around(&secret);
        for haystack in [
            inside.clone(),
            hex(&inside).into_bytes(),
            hex(&inside).to_uppercase().into_bytes(),
            STANDARD.encode(&inside).into_bytes(),
            URL_SAFE_NO_PAD.encode(&inside).into_bytes(),
        ] {
            prop_assert!(!found_in(&haystack, &needles).is_empty());
        }
    }

    #[test]
    fn the_search_agrees_with_comparing_every_window(
        haystack in prop::collection::vec(0_u8..3, 0..60),
        needle in prop::collection::vec(0_u8..3, 1..4),
    ) {
        let expected = haystack.windows(needle.len()).any(|window| window == needle.as_slice());
        prop_assert_eq!(contains(&haystack, &needle), expected);
    }
}

#[test]
fn what_stands_behind_pages_of_zeros_or_across_two_is_found() {
    for before in [PAGE_BYTES - 1, PAGE_BYTES, 3 * PAGE_BYTES - 2] {
        let haystack = [&vec![0; before][..], b"secret"].concat();
        assert!(contains(&haystack, b"secret") && !contains(&haystack, b"secrets"), "behind {before} bytes");
    }
}

#[test]
fn files_of_every_depth_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::fs::write(dir.path().join("a/b/c"), "x").unwrap();
    std::fs::write(dir.path().join("d"), "x").unwrap();
    let found = files_under(dir.path()).unwrap();
    assert_eq!(found, [dir.path().join("a/b/c"), dir.path().join("d")]);
}
