use super::*;

const HEAD: &str = r#"{"bulk":1,"ca_system":"OVP","account_id":"demo","keys":true}"#;

fn body(text: &str) -> Result<BulkBody, BulkError> {
    BulkBody::parse(&Bytes::from(text.to_owned()))
}

#[test]
fn lines_keep_their_numbers_and_empty_ones_are_passed_over() {
    let read = body(&format!("{HEAD}\r\n\n{{\"content_id\":\"a\"}}\r\nnonsense\n\n")).unwrap();
    assert!(read.head().wants_keys());
    assert_eq!(read.head().account_id().as_str(), "demo");
    let lines: Vec<_> = read.lines().iter().map(|(number, line)| (*number, &line[..])).collect();
    assert_eq!(lines, [(3, &br#"{"content_id":"a"}"#[..]), (4, b"nonsense")]);
    assert!(body(HEAD).unwrap().lines().is_empty());
}

#[test]
fn the_head_is_read_before_the_rest_has_come() {
    for received in [HEAD.to_owned(), format!("{HEAD}\n"), format!("{HEAD}\r\n{{\"content_id\":\"a")] {
        let claim = BulkHead::of_body(received.as_bytes()).unwrap().claim();
        assert_eq!(claim.account.as_str(), "demo");
    }
    assert!(BulkHead::of_body(b"").is_err() && BulkHead::of_body(&[b' '; 20_000]).is_err());
}

#[test]
fn a_body_without_a_sound_head_is_refused_whole() {
    for (head, word) in [
        ("", "not a strict JSON object"),
        (r#"{"ca_system":"OVP","account_id":"demo"}"#, "custom data bulk must be 1"),
        (r#"{"bulk":2,"ca_system":"OVP","account_id":"demo"}"#, "custom data bulk must be 1"),
        (r#"{"bulk":1,"ca_system":"OVP"}"#, "Missing custom data account_id"),
        (r#"{"bulk":1,"ca_system":"OVP","account_id":"demo","content_id":"a"}"#, "not known"),
        (r#"{"bulk":1,"ca_system":"OVP","account_id":"demo","keys":1}"#, "true or false"),
    ] {
        let error = body(&format!("{head}\n{{\"content_id\":\"a\"}}\n")).unwrap_err().to_string();
        assert!(error.starts_with("line 1") && error.contains(word), "{head}: {error}");
    }
}

#[test]
fn what_a_hash_is_extended_with_makes_the_whole_body_refused() {
    for padding in [&b"\x80\x00\x00\x01\xa8"[..], b"\x80", b"\0", b"\x01", b"\xc3"] {
        let extended = [HEAD.as_bytes(), b"\n", padding, b"\n{\"content_id\":\"stolen\"}\n"].concat();
        let error = BulkBody::parse(&extended.into()).unwrap_err();
        assert_eq!(error, BulkError::NotText(HEAD.len() + 1), "{padding:?}");
    }
}

#[test]
fn the_number_of_items_is_bounded() {
    let lines = |count: usize| format!("{HEAD}\n{}", "{}\n".repeat(count));
    assert!(body(&lines(BulkBody::ITEMS_MAX)).is_ok());
    let refused = body(&lines(BulkBody::ITEMS_MAX + 1)).unwrap_err();
    assert!(refused.to_string().contains("split it"), "{refused}");
}

#[test]
fn an_item_is_custom_data_of_one_content() {
    let line = r#"{"content_id":"film","track":"HD","key":"AAECAwQFBgcICQoLDA0ODw==",
        "key_id":"MDEyMzQ1Njc4OWFiY2RlZg==","period":{"length_s":10,"index":3},"replace":true,
        "aux":{"super_cas_id":"0x4ad40001"}}"#;
    let item = BulkItem::parse(line.as_bytes()).unwrap();
    assert_eq!((item.content.as_str(), item.track.as_str()), ("film", "HD"));
    assert_eq!(item.period, Some(Period { length_s: 10, index: 3 }));
    assert_eq!(item.supplied().unwrap().0, Kid::from_bytes(*b"0123456789abcdef"));
    assert!(item.replace && item.auxiliary.is_some());
    let plain = BulkItem::parse(br#"{"content_id":"film"}"#).unwrap();
    assert!(plain.track == TrackName::default_track() && !plain.replace && plain.supplied().is_none());
}

#[test]
fn a_bad_item_is_told_what_is_wrong_and_not_what_it_holds() {
    for (line, word) in [
        ("{}", "Missing custom data content_id"),
        (r#"{"content_id":"a","keyid":"s3cret"}"#, "not known"),
        (r#"{"content_id":"a","key":"s3cret","key_id":"s3cret"}"#, "custom data key_id must be"),
        (r#"{"content_id":"a","key":"s3cret"}"#, "without key_id"),
        (r#"{"content_id":"a","replace":true}"#, "replace is given without key and key_id"),
        (r#"{"content_id":"a","period":{"length_s":1,"index":2}}"#, "period is given without key and key_id"),
        (r#"{"content_id":"a","period":{"length_s":1}}"#, "length_s and index"),
        (r#"{"content_id":"a","period":{"length_s":-1,"index":0}}"#, "length_s and index"),
        (r#"{"content_id":"a","track":7}"#, "custom data track must be"),
        (r#"{"content_id":"a"} {"content_id":"b"}"#, "not a strict JSON object"),
    ] {
        let error = BulkItem::parse(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("s3cret"), "{line}: {error}");
    }
}
